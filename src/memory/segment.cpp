// SPDX-License-Identifier: Apache-2.0
//
// The file of a segment, beside its heap:
//
//   SegmentFile: header, name, first_chunk ─► NameChunk: next ─► NameChunk: next ─► 0
//                                               entries            entries
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
#include <sluice/memory/heap.hpp>
#include <sluice/memory/name_table.hpp>
#include <sluice/memory/segment.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/process.hpp>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace sluice {
namespace {

struct SegmentFile {
  FileHeader header;
  std::uint64_t name_bytes;
  char name[256];
  std::atomic<std::uint64_t> first_chunk;  ///< offset; chunks are added in front and never removed
  std::uint64_t unused[6];
};
static_assert(sizeof(SegmentFile) == 384 && offsetof(SegmentFile, first_chunk) == 328);

constexpr int kAttempts = 100;  // directories and files can vanish between two steps
constexpr int kLooks = 3;       // at a lock that may be one that is about to remove the file

/// Removes the file of a dead creator. False: its creator is alive. True: the name is free, or
/// another's by now.
Result<bool> remove_dead(const Directory& directory, const std::string& key) {
  auto file = open_file(directory, key, true);
  if (!file && file.error() == Errc::not_found) return true;
  if (!file && file.error() == Errc::no_permission) {
    const auto readable = open_file(directory, key, false);
    if (readable && is_locked(*readable)) return false;
  }
  if (!file) return file.failure();
  if (is_locked(*file)) return false;
  auto locked = try_lock(*file, LockKind::exclusive);
  if (!locked || !*locked) return locked;
  if (!leads_to(directory, key, *file)) return true;
  if (::unlinkat(directory.fd(), key.c_str(), 0) == 0) return true;
  return system_failure("remove", directory.path_of(key), errno);
}

/// What is known of the one who has the name, for messages.
std::string owner_of(const Directory& directory, const std::string& key) {
  const auto file = open_file(directory, key, false);
  FileHeader header{};
  if (!file || ::pread(file->fd(), &header, sizeof header, 0) != sizeof header) return "its owner";
  return format("its owner, process {},", header.pid);
}

/// Names the new file, after removing one that a dead creator left. Errc::not_found: the directory
/// is gone.
Result<void> claim(SharedFile& file, const Directory& directory, const std::string& key,
                   std::string_view name) {
  int looks = 0;
  Result<void> linked;
  for (int i = 0; i < kAttempts; ++i) {
    linked = file.link(directory, key);
    if (linked || linked.error() != Errc::already_exists) return linked;
    const auto removed = remove_dead(directory, key);
    if (!removed) return removed.failure();
    if (*removed) continue;
    if (++looks == kLooks) {
      return Failure{Errc::already_exists,
                     format("segment '{}' exists already in {}, and {} is alive; open it, or "
                            "choose another name",
                            name, directory.path, owner_of(directory, key))};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return linked;
}

Result<void> check_reserve(std::uint64_t reserve_bytes) {
  if (reserve_bytes >= sizeof(SegmentFile) && reserve_bytes <= kMaxReservedBytes) return {};
  return Failure{Errc::invalid_options,
                 format("reserve_bytes is {}; {} to {} are possible", reserve_bytes,
                        sizeof(SegmentFile), kMaxReservedBytes)};
}

}  // namespace

struct Segment::State {
  struct Block {
    std::uint64_t count = 0;
    std::uint64_t element_bytes = 0;
    std::uint64_t alignment = 0;
    std::uint64_t type_hash = 0;
    std::string type;
    std::string name;
    NameEntry* entry = nullptr;  ///< null: unnamed
  };

  ~State();
  Result<void> make(SegmentOptions segment_options);
  Result<void> make_file(std::uint64_t reserve_bytes);
  Result<void> open();
  Result<NameEntry*> take_entry();
  [[nodiscard]] const SegmentFile& words() const noexcept {
    return *file.region().at<SegmentFile>(0);
  }
  /// Beyond every file for an address in front of the mapping.
  [[nodiscard]] std::uint64_t offset_of(const void* address) const noexcept {
    return reinterpret_cast<std::uintptr_t>(address) -
           reinterpret_cast<std::uintptr_t>(file.region().data());
  }
  /// Maps more where the file has grown so far. Safe for any two numbers.
  Result<bool> reaches(std::uint64_t offset, std::uint64_t bytes);
  Result<std::optional<NamedObject>> search(std::string_view object);

  RootOptions options;
  std::string name;
  std::string key;
  Directory directory;
  SharedFile file;
  Heap heap;
  std::optional<SharedHeap> shared_heap;  // where it was asked for
  bool is_creator = false;
  std::uint32_t generation = fork_generation();
  Failure failure;
  // The creator's own knowledge, by offset.
  std::unordered_map<std::uint64_t, Block> blocks;
  std::unordered_set<std::string> names;
  std::vector<NameEntry*> free_entries;
};

Segment::State::~State() {
  if (!is_creator || generation != fork_generation()) return;
  if (leads_to(directory, key, file.file())) ::unlinkat(directory.fd(), key.c_str(), 0);
  remove_empty_directories(options);
}

Result<void> Segment::State::make_file(std::uint64_t reserve_bytes) {
  auto created = SharedFile::create(directory, file_mode(options.access), FileKind::segment, 0,
                                    sizeof(SegmentFile), reserve_bytes);
  if (!created) return created.failure();
  file = std::move(*created);
  const FileHeader header = file.header();  // a copy: it lies where the object is made
  auto* made = new (file.region().data()) SegmentFile{
      .header = header, .name_bytes = name.size(), .name = {}, .first_chunk = {}, .unused = {}};
  std::memcpy(made->name, name.data(), name.size());
  auto made_heap = Heap::create(file, sizeof(SegmentFile));
  if (!made_heap) return made_heap.failure();
  heap = *made_heap;
  return claim(file, directory, key, name);
}

Result<void> Segment::State::make(SegmentOptions segment_options) {
  if (auto ok = check_reserve(segment_options.reserve_bytes); !ok) return ok;
  auto resolved = resolve({.domain = std::move(segment_options.domain),
                           .root = std::move(segment_options.root),
                           .access = segment_options.access});
  if (!resolved) return resolved.failure();
  options = std::move(*resolved);
  Result<void> made;
  for (int i = 0; i < kAttempts; ++i) {
    file = SharedFile();  // before its directory
    auto opened = make_domain_directory(options, "segments");
    if (!opened) return opened.failure();
    directory = std::move(*opened);
    made = make_file(segment_options.reserve_bytes);
    is_creator = made.has_value();
    if (made || made.error() != Errc::not_found) return made;
  }
  return made;
}

Result<void> Segment::State::open() {
  auto opened = open_domain_directory(options, "segments");
  const auto not_found = [&](std::string_view why) {
    return Failure{Errc::not_found, format("there is no segment '{}' in domain '{}' below {}{}",
                                           name, options.domain, options.root, why)};
  };
  if (!opened) return opened.error() == Errc::not_found ? not_found("") : opened.failure();
  directory = std::move(*opened);
  auto found = SharedFile::open(directory, key, FileKind::segment, sizeof(SegmentFile));
  if (!found) return found.error() == Errc::not_found ? not_found("") : found.failure();
  file = std::move(*found);
  const std::uint64_t name_bytes = words().name_bytes;
  if (name_bytes > kMaxNameBytes) {
    return Failure{Errc::corrupted, format("{} has a name of {} bytes, at most {} are "
                                           "possible; remove it",
                                           file.path(), name_bytes, kMaxNameBytes)};
  }
  if (std::string_view(words().name, name_bytes) != name) return not_found("");
  if (is_locked(file.file())) return {};
  return not_found(format("; process {} made one and is gone", file.header().pid));
}

Result<bool> Segment::State::reaches(std::uint64_t offset, std::uint64_t bytes) {
  if (file.region().contains(offset, bytes)) return true;
  if (is_creator) return false;
  if (auto followed = file.follow_growth(); !followed) return followed.failure();
  return file.region().contains(offset, bytes);
}

/// A free entry, from a new chunk where there is none.
Result<NameEntry*> Segment::State::take_entry() {
  if (free_entries.empty()) {
    const auto offset = heap.allocate(sizeof(NameChunk), alignof(NameChunk));
    if (!offset) return offset.failure();
    auto* chunk = new (file.region().data() + *offset) NameChunk{};
    std::atomic<std::uint64_t>& first = file.region().at<SegmentFile>(0)->first_chunk;
    // relaxed: this process alone writes both; the release below makes them known.
    chunk->next.store(first.load(std::memory_order_relaxed), std::memory_order_relaxed);
    // release: pairs with the acquire in `search`.
    first.store(*offset, std::memory_order_release);
    for (NameEntry& entry : chunk->entries) free_entries.push_back(&entry);
  }
  NameEntry* entry = free_entries.back();
  free_entries.pop_back();
  return entry;
}

Result<std::optional<NamedObject>> Segment::State::search(std::string_view object) {
  const auto corrupted = [&](const char* what, std::uint64_t offset) {
    return Failure{Errc::corrupted,
                   format("{}: {} at offset {}, outside of the {} bytes that there are",
                          file.path(), what, offset, file.region().mapped_bytes())};
  };
  const std::uint64_t name_hash = hash_of(object);
  // acquire: pairs with the release in `take_entry`; a chunk's `next` is as old as the chunk.
  std::uint64_t at = words().first_chunk.load(std::memory_order_acquire);
  for (std::uint64_t chunks = 1; at != 0; ++chunks) {
    const auto chunk_is_there = reaches(at, sizeof(NameChunk));
    if (!chunk_is_there) return chunk_is_there.failure();
    if (!*chunk_is_there || at % alignof(NameChunk) != 0) return corrupted("a table of names", at);
    // A creator that means harm may have made a circle of them.
    if (chunks > file.region().mapped_bytes() / sizeof(NameChunk)) break;
    const auto* chunk = file.region().at<const NameChunk>(at);
    for (const NameEntry& entry : chunk->entries) {
      auto found = read_entry(entry, object, name_hash);
      if (!found) continue;
      const bool fits = found->element_bytes != 0 &&
                        found->count <= file.region().reserved_bytes() / found->element_bytes;
      const auto is_there =
          fits ? reaches(found->offset, found->count * found->element_bytes) : Result<bool>(false);
      if (!is_there) return is_there.failure();
      if (!*is_there) return corrupted("an object", found->offset);
      return found;
    }
    // relaxed: written before the chunk was made known.
    at = chunk->next.load(std::memory_order_relaxed);
  }
  return std::optional<NamedObject>();
}

// --- Segment ----------------------------------------------------------------------------------

Segment::Segment(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Segment::Segment(Segment&&) noexcept = default;
Segment& Segment::operator=(Segment&&) noexcept = default;
Segment::~Segment() = default;

Result<Segment> Segment::create(std::string_view name, SegmentOptions options) noexcept {
  watch_forks();
  if (auto ok = check_name("segment", name); !ok) return ok.failure();
  auto state = std::make_unique<State>();
  state->name = name;
  state->key = key_of(name);
  if (auto made = state->make(std::move(options)); !made) return made.failure();
  return Segment(std::move(state));
}

Result<Segment> Segment::open(std::string_view name, RootOptions options) noexcept {
  watch_forks();
  if (auto ok = check_name("segment", name); !ok) return ok.failure();
  auto resolved = resolve(std::move(options));
  if (!resolved) return resolved.failure();
  auto state = std::make_unique<State>();
  state->options = std::move(*resolved);
  state->name = name;
  state->key = key_of(name);
  if (auto opened = state->open(); !opened) return opened.failure();
  return Segment(std::move(state));
}

bool Segment::usable(bool for_writing) noexcept {
  if (state_ == nullptr) return false;
  if (state_->generation != fork_generation()) {
    state_->failure = {Errc::forked, format("segment '{}' belongs to the parent process; a "
                                            "forked child opens it for itself",
                                            state_->name)};
    return false;
  }
  if (for_writing && !state_->is_creator) {
    state_->failure = {Errc::no_permission,
                       format("segment '{}' was opened, which is for reading; only the process "
                              "that created it builds and destroys objects",
                              state_->name)};
    return false;
  }
  return true;
}

void* Segment::allocate(const std::string_view* name, const Type& type,
                        std::uint64_t count) noexcept {
  if (!usable(true)) return nullptr;
  State& state = *state_;
  const auto fail = [&](const Failure& failure) {
    state.failure = failure;
    return nullptr;
  };
  State::Block block{.count = count,
                     .element_bytes = type.bytes,
                     .alignment = type.alignment,
                     .type_hash = 0,
                     .type = normalised_type_name(type.spelling),
                     .name = {},
                     .entry = nullptr};
  block.type_hash = hash_of(block.type);
  if (name != nullptr) {
    block.name = *name;
    if (auto ok = check_name("object", *name); !ok) return fail(ok.failure());
    if (state.names.contains(block.name)) {
      return fail({Errc::already_exists,
                   format("segment '{}' has an object '{}' already; destroy it first, or choose "
                          "another name",
                          state.name, *name)});
    }
  }
  const std::uint64_t reserved = state.file.region().reserved_bytes();
  if (count > reserved / type.bytes) {
    return fail({Errc::no_address_space,
                 format("segment '{}' has no room for {} objects of {} bytes: {} bytes of "
                        "address space are reserved; create it with a larger reserve_bytes",
                        state.name, count, type.bytes, reserved)});
  }
  const auto explain = [&](Failure failure) {
    failure.message = format("segment '{}': {}", state.name, failure.message);
    if (failure.code == Errc::no_address_space) {
      failure.message += "; create it with a larger reserve_bytes";
    }
    return fail(failure);
  };
  const auto offset = state.heap.allocate(count * type.bytes, type.alignment);
  if (!offset) return explain(offset.failure());
  if (name != nullptr) {
    const auto entry = state.take_entry();
    if (!entry) {
      state.heap.deallocate(*offset);
      return explain(entry.failure());
    }
    block.entry = *entry;
    state.names.insert(block.name);
  }
  state.blocks.emplace(*offset, std::move(block));
  return state.file.region().data() + *offset;
}

void Segment::publish(void* memory) noexcept {
  const std::uint64_t offset = state_->offset_of(memory);
  const State::Block& block = state_->blocks.at(offset);
  if (block.entry == nullptr) return;
  write_entry(*block.entry, {.offset = offset,
                             .count = block.count,
                             .element_bytes = block.element_bytes,
                             .alignment = block.alignment,
                             .type_hash = block.type_hash,
                             .name = block.name,
                             .type = block.type});
}

bool Segment::withdraw(void* memory, const Type& type, std::uint64_t& count) noexcept {
  if (!usable(true)) return false;
  const std::uint64_t offset = state_->offset_of(memory);
  const auto found = state_->blocks.find(offset);
  if (found == state_->blocks.end()) {
    abort_with(format("Segment::destroy: no object of segment '{}' begins at {:#x}, or it is "
                      "destroyed already",
                      state_->name, reinterpret_cast<std::uintptr_t>(memory))
                   .c_str());
  }
  const State::Block& block = found->second;
  if (block.type_hash != hash_of(normalised_type_name(type.spelling))) {
    abort_with(format("Segment::destroy: an object of segment '{}' was built as {} and is "
                      "destroyed as {}",
                      state_->name, block.type, normalised_type_name(type.spelling))
                   .c_str());
  }
  if (block.entry != nullptr) write_entry(*block.entry, {});
  count = block.count;
  return true;
}

void Segment::release(void* memory) noexcept {
  const std::uint64_t offset = state_->offset_of(memory);
  const auto found = state_->blocks.find(offset);
  if (found->second.entry != nullptr) {
    state_->names.erase(found->second.name);
    state_->free_entries.push_back(found->second.entry);
  }
  state_->blocks.erase(found);
  state_->heap.deallocate(offset);
}

const void* Segment::look_up(std::string_view name, const Type& type,
                             std::uint64_t& count) noexcept {
  if (!usable(false)) return nullptr;
  State& state = *state_;
  const auto fail = [&](const Failure& failure) {
    state.failure = failure;
    return nullptr;
  };
  const auto searched = state.search(name);
  if (!searched) return fail(searched.failure());
  if (!*searched) {
    return fail({Errc::not_found,
                 format("segment '{}' has no object '{}'", state.name, name.substr(0, 256))});
  }
  const NamedObject& found = **searched;
  const std::string wanted = normalised_type_name(type.spelling);
  if (found.type_hash != hash_of(wanted) || found.element_bytes != type.bytes ||
      found.alignment != type.alignment) {
    return fail({Errc::type_mismatch,
                 format("object '{}' of segment '{}' is a {} ({} bytes, alignment {}), not a {} "
                        "({} bytes, alignment {})",
                        name, state.name, found.type, found.element_bytes, found.alignment, wanted,
                        type.bytes, type.alignment)});
  }
  if (found.offset % type.alignment != 0) {
    return fail({Errc::corrupted, format("object '{}' of segment '{}' lies at offset {}, which "
                                         "is no multiple of {}",
                                         name, state.name, found.offset, type.alignment)});
  }
  // What the object points to was there before it was named; by now it is mapped too.
  if (!state.is_creator) {
    if (auto followed = state.file.follow_growth(); !followed) return fail(followed.failure());
  }
  count = found.count;
  return state.file.region().data() + found.offset;
}

bool Segment::holds_containers(std::string_view name, const ContainerMap& map,
                               const void* object) noexcept {
  const Region& region = state_->file.region();
  if (check_containers(map, object, region.data(), region.mapped_bytes())) return true;
  state_->failure = {Errc::corrupted,
                     format("object '{}' in segment '{}' has a container that leads outside of "
                            "the {} bytes that there are",
                            name, state_->name, region.mapped_bytes())};
  return false;
}

Allocator<> Segment::allocator() noexcept {
  if (!usable(true)) return {};
  if (!state_->shared_heap) state_->shared_heap.emplace(state_->heap);
  return Allocator<>(*state_->shared_heap);
}

bool Segment::contains(const void* address, std::size_t bytes) noexcept {
  if (!usable(false)) return false;
  const auto reached = state_->reaches(state_->offset_of(address), bytes);
  if (!reached) state_->failure = reached.failure();
  return reached && *reached;
}

const std::string& Segment::name() const noexcept {
  static const std::string none;
  return state_ == nullptr ? none : state_->name;
}

std::uint64_t Segment::committed_bytes() const noexcept {
  return state_ == nullptr ? 0 : state_->file.region().mapped_bytes();
}

std::uint64_t Segment::reserve_bytes() const noexcept {
  return state_ == nullptr ? 0 : state_->file.region().reserved_bytes();
}

bool Segment::alive() const noexcept {
  if (state_ == nullptr || state_->generation != fork_generation()) return false;
  return state_->is_creator || is_locked(state_->file.file());
}

const Failure& Segment::failure() const noexcept {
  static const Failure closed{Errc::closed, "a segment that was moved away is used"};
  return state_ == nullptr ? closed : state_->failure;
}

}  // namespace sluice
