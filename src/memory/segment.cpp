// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
#include <sluice/memory/segment.hpp>
#include <sluice/memory/segment_file.hpp>
#include <unordered_map>
#include <unordered_set>

namespace sluice {

struct Segment::State {
  struct Block {
    NamedObject object;
    NameEntry* entry = nullptr;  ///< null: unnamed
  };

  State(RootOptions resolved, std::string_view name) : file(std::move(resolved), name) {}

  /// A segment of which `prepare(file)` makes or opens the file.
  template <typename Prepare>
  static Result<Segment> made(std::string_view name, RootOptions options, Prepare prepare) {
    watch_forks();
    if (auto ok = check_name("segment", name); !ok) return ok.failure();
    auto resolved = resolve(std::move(options));
    if (!resolved) return resolved.failure();
    auto state = std::make_unique<State>(std::move(*resolved), name);
    if (auto prepared = prepare(state->file); !prepared) return prepared.failure();
    return Segment(std::move(state));
  }

  /// For functions that return null where they fail.
  std::nullptr_t fail(Failure why) {
    failure = std::move(why);
    return nullptr;
  }
  std::nullptr_t fail(Errc code, std::string_view what_the_segment_does) {
    return fail({code, format("segment '{}' {}", file.name(), what_the_segment_does)});
  }

  SegmentFile file;
  std::optional<SharedHeap> shared_heap;  // where it was asked for
  Failure failure;
  // The creator's own knowledge, by offset.
  std::unordered_map<std::uint64_t, Block> blocks;
  std::unordered_set<std::string> names;
};

Segment::Segment(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Segment::Segment(Segment&&) noexcept = default;
Segment& Segment::operator=(Segment&&) noexcept = default;
Segment::~Segment() = default;

Result<Segment> Segment::create(std::string_view name, SegmentOptions options) noexcept {
  const std::uint64_t reserve_bytes = options.reserve_bytes;
  return State::made(name,
                     {.domain = std::move(options.domain),
                      .root = std::move(options.root),
                      .access = options.access},
                     [&](SegmentFile& file) { return file.make(reserve_bytes); });
}

Result<Segment> Segment::open(std::string_view name, RootOptions options) noexcept {
  return State::made(name, std::move(options), [](SegmentFile& file) { return file.open(); });
}

bool Segment::usable(bool for_writing) noexcept {
  if (state_ == nullptr) return false;
  if (state_->file.is_forked()) {
    state_->fail(Errc::forked, "belongs to the parent process; a forked child opens it for itself");
    return false;
  }
  if (for_writing && !state_->file.is_creator()) {
    state_->fail(Errc::no_permission,
                 "was opened, which is for reading; only the process that created it builds and "
                 "destroys objects");
    return false;
  }
  return true;
}

void* Segment::allocate(const std::string_view* name, const Type& type,
                        std::uint64_t count) noexcept {
  if (!usable(true)) return nullptr;
  State& state = *state_;
  NamedObject object{.offset = 0,
                     .count = count,
                     .element_bytes = type.bytes,
                     .alignment = type.alignment,
                     .type_hash = 0,
                     .name = std::string(name == nullptr ? "" : *name),
                     .type = normalised_type_name(type.spelling)};
  object.type_hash = hash_of(object.type);
  if (name != nullptr) {
    if (auto ok = check_name("object", *name); !ok) return state.fail(ok.failure());
    if (state.names.contains(object.name)) {
      return state.fail(
          Errc::already_exists,
          format("has an object '{}' already; destroy it first, or choose another name", *name));
    }
  }
  const std::uint64_t reserved = state.file.region().reserved_bytes();
  if (count > reserved / type.bytes) {
    return state.fail(Errc::no_address_space,
                      format("has no room for {} objects of {} bytes: {} bytes of address space "
                             "are reserved; create it with a larger reserve_bytes",
                             count, type.bytes, reserved));
  }
  const auto explain = [&](Failure failure) {
    failure.message = format("segment '{}': {}", state.file.name(), failure.message);
    if (failure.code == Errc::no_address_space) {
      failure.message += "; create it with a larger reserve_bytes";
    }
    return state.fail(failure);
  };
  const auto offset = state.file.heap().allocate(count * type.bytes, type.alignment);
  if (!offset) return explain(offset.failure());
  object.offset = *offset;
  NameEntry* entry = nullptr;
  if (name != nullptr) {
    const auto taken = state.file.take_entry();
    if (!taken) {
      state.file.heap().deallocate(*offset);
      return explain(taken.failure());
    }
    entry = *taken;
    state.names.insert(object.name);
  }
  state.blocks.emplace(*offset, State::Block{std::move(object), entry});
  return state.file.region().data() + *offset;
}

void Segment::publish(void* memory) noexcept {
  const State::Block& block = state_->blocks.at(state_->file.region().offset_of(memory));
  if (block.entry != nullptr) write_entry(*block.entry, block.object);
}

bool Segment::withdraw(void* memory, const Type& type, std::uint64_t& count) noexcept {
  if (!usable(true)) return false;
  const std::uint64_t offset = state_->file.region().offset_of(memory);
  const auto found = state_->blocks.find(offset);
  if (found == state_->blocks.end()) {
    abort_with(format("Segment::destroy: no object of segment '{}' begins at {:#x}, or it is "
                      "destroyed already",
                      state_->file.name(), reinterpret_cast<std::uintptr_t>(memory))
                   .c_str());
  }
  const State::Block& block = found->second;
  if (block.object.type_hash != hash_of(normalised_type_name(type.spelling))) {
    abort_with(format("Segment::destroy: an object of segment '{}' was built as {} and is "
                      "destroyed as {}",
                      state_->file.name(), block.object.type, normalised_type_name(type.spelling))
                   .c_str());
  }
  if (block.entry != nullptr) write_entry(*block.entry, {});
  count = block.object.count;
  return true;
}

void Segment::release(void* memory) noexcept {
  const std::uint64_t offset = state_->file.region().offset_of(memory);
  const auto found = state_->blocks.find(offset);
  if (found->second.entry != nullptr) {
    state_->names.erase(found->second.object.name);
    state_->file.give_back(found->second.entry);
  }
  state_->blocks.erase(found);
  state_->file.heap().deallocate(offset);
}

const void* Segment::look_up(std::string_view name, const Type& type,
                             std::uint64_t& count) noexcept {
  if (!usable(false)) return nullptr;
  State& state = *state_;
  const auto searched = state.file.search(name);
  if (!searched) return state.fail(searched.failure());
  const NamedObject& found = *searched;
  const std::string wanted = normalised_type_name(type.spelling);
  if (found.type_hash != hash_of(wanted) || found.element_bytes != type.bytes ||
      found.alignment != type.alignment) {
    return state.fail(Errc::type_mismatch,
                      format("has an object '{}' that is a {} ({} bytes, alignment {}), not a {} "
                             "({} bytes, alignment {})",
                             name, found.type, found.element_bytes, found.alignment, wanted,
                             type.bytes, type.alignment));
  }
  if (found.offset % type.alignment != 0) {
    return state.fail(Errc::corrupted,
                      format("has an object '{}' at offset {}, which is no multiple of {}", name,
                             found.offset, type.alignment));
  }
  // What the object points to was there before it was named; by now it is mapped too.
  if (auto followed = state.file.follow_growth(); !followed) return state.fail(followed.failure());
  const Region& region = state.file.region();
  const std::byte* first = region.data() + found.offset;
  for (std::uint64_t i = 0; type.containers != nullptr && i < found.count; ++i) {
    if (check_containers(type.containers(), first + i * type.bytes, region.data(),
                         region.mapped_bytes())) {
      continue;
    }
    return state.fail({Errc::corrupted,
                       format("object '{}' in segment '{}' has a container that leads outside of "
                              "the {} bytes that there are",
                              name, state.file.name(), region.mapped_bytes())});
  }
  count = found.count;
  return first;
}

Allocator<> Segment::allocator() noexcept {
  if (!usable(true)) return {};
  if (!state_->shared_heap) state_->shared_heap.emplace(state_->file.heap());
  return Allocator<>(*state_->shared_heap);
}

bool Segment::contains(const void* address, std::size_t bytes) noexcept {
  if (!usable(false)) return false;
  const auto reached = state_->file.reaches(state_->file.region().offset_of(address), bytes);
  if (!reached) state_->failure = reached.failure();
  return reached && *reached;
}

const std::string& Segment::name() const noexcept {
  static const std::string none;
  return state_ == nullptr ? none : state_->file.name();
}

std::uint64_t Segment::committed_bytes() const noexcept {
  return state_ == nullptr ? 0 : state_->file.region().mapped_bytes();
}

std::uint64_t Segment::reserve_bytes() const noexcept {
  return state_ == nullptr ? 0 : state_->file.region().reserved_bytes();
}

bool Segment::alive() const noexcept {
  return state_ != nullptr && state_->file.is_creator_alive();
}

const Failure& Segment::failure() const noexcept {
  static const Failure closed{Errc::closed, "a segment that was moved away is used"};
  return state_ == nullptr ? closed : state_->failure;
}

}  // namespace sluice
