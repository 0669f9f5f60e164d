// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <chrono>
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
#include <sluice/memory/segment_file.hpp>
#include <sluice/platform/lock.hpp>
#include <thread>

namespace sluice {
namespace {

constexpr int kLooks = 3;  // at a lock that may be one that is about to remove the file

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
  auto locked = try_lock(*file, LockKind::exclusive);
  if (!locked || !*locked) return locked;
  if (!leads_to(directory, key, *file)) return true;
  if (::unlinkat(directory.fd(), key.c_str(), 0) == 0) return true;
  return system_failure("remove", directory.path_of(key), errno);
}

/// What is known of the one who has the name, for messages.
std::string owner_of(const Directory& directory, const std::string& key) {
  const auto file = SharedFile::open(directory, key, FileKind::segment, sizeof(SegmentWords));
  return file ? format("its owner, process {},", file->header().pid) : "its owner";
}

/// Names the new file, after removing one that a dead creator left. Errc::not_found: the directory
/// is gone.
Result<void> claim(SharedFile& file, const Directory& directory, const std::string& key,
                   std::string_view name) {
  int looks = 0;
  Result<void> linked;
  for (int i = 0; i < kMaxAttempts; ++i) {
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

}  // namespace

SegmentFile::~SegmentFile() {
  if (!is_creator_ || is_forked()) return;
  if (leads_to(directory_, key_, file_.file())) ::unlinkat(directory_.fd(), key_.c_str(), 0);
  remove_empty_directories(options_);
}

Result<void> SegmentFile::make_once(std::uint64_t reserve_bytes) {
  auto opened = make_domain_directory(options_, "segments");
  if (!opened) return opened.failure();
  directory_ = std::move(*opened);
  auto created = SharedFile::create(directory_, file_mode(options_.access), FileKind::segment, 0,
                                    sizeof(SegmentWords), reserve_bytes);
  if (!created) return created.failure();
  file_ = std::move(*created);
  words().name_bytes = name_.size();
  name_.copy(words().name, name_.size());
  auto made_heap = Heap::create(file_, sizeof(SegmentWords));
  if (!made_heap) return made_heap.failure();
  heap_ = *made_heap;
  return claim(file_, directory_, key_, name_);
}

Result<void> SegmentFile::make(std::uint64_t reserve_bytes) {
  if (reserve_bytes < sizeof(SegmentWords) || reserve_bytes > kMaxReservedBytes) {
    return Failure{Errc::invalid_options,
                   format("reserve_bytes is {}; {} to {} are possible", reserve_bytes,
                          sizeof(SegmentWords), kMaxReservedBytes)};
  }
  Result<void> made;
  for (int i = 0; i < kMaxAttempts; ++i) {
    file_ = SharedFile();  // before its directory
    made = make_once(reserve_bytes);
    is_creator_ = made.has_value();
    if (made || made.error() != Errc::not_found) break;
  }
  return made;
}

Result<void> SegmentFile::open() {
  auto opened = open_domain_directory(options_, "segments");
  const auto not_found = [&](std::string_view why) {
    return Failure{Errc::not_found, format("there is no segment '{}' in domain '{}' below {}{}",
                                           name_, options_.domain, options_.root, why)};
  };
  if (!opened) return opened.error() == Errc::not_found ? not_found("") : opened.failure();
  directory_ = std::move(*opened);
  auto found = SharedFile::open(directory_, key_, FileKind::segment, sizeof(SegmentWords));
  if (!found) return found.error() == Errc::not_found ? not_found("") : found.failure();
  file_ = std::move(*found);
  const std::uint64_t name_bytes = words().name_bytes;
  if (name_bytes > kMaxNameBytes) {
    return Failure{Errc::corrupted, format("{} has a name of {} bytes, at most {} are "
                                           "possible; remove it",
                                           file_.path(), name_bytes, kMaxNameBytes)};
  }
  if (std::string_view(words().name, name_bytes) != name_) return not_found("");
  if (is_locked(file_.file())) return {};
  return not_found(format("; process {} made one and is gone", file_.header().pid));
}

bool SegmentFile::is_creator_alive() const noexcept {
  return !is_forked() && (is_creator_ || is_locked(file_.file()));
}

Result<void> SegmentFile::follow_growth() {
  if (is_creator_) return {};
  return file_.follow_growth();
}

Result<bool> SegmentFile::reaches(std::uint64_t offset, std::uint64_t bytes) {
  if (region().contains(offset, bytes)) return true;
  if (auto followed = follow_growth(); !followed) return followed.failure();
  return region().contains(offset, bytes);
}

Result<NameEntry*> SegmentFile::take_entry() {
  if (free_entries_.empty()) {
    const auto offset = heap_.allocate(sizeof(NameChunk), alignof(NameChunk));
    if (!offset) return offset.failure();
    auto* chunk = new (region().data() + *offset) NameChunk{};
    std::atomic<std::uint64_t>& first = words().first_chunk;
    // relaxed: this process alone writes both; the release below makes them known.
    chunk->next.store(first.load(std::memory_order_relaxed), std::memory_order_relaxed);
    // release: pairs with the acquire in `search`.
    first.store(*offset, std::memory_order_release);
    for (NameEntry& entry : chunk->entries) free_entries_.push_back(&entry);
  }
  NameEntry* entry = free_entries_.back();
  free_entries_.pop_back();
  return entry;
}

Result<NamedObject> SegmentFile::search(std::string_view object) {
  const auto corrupted = [&](const char* what, std::uint64_t offset) {
    return Failure{Errc::corrupted,
                   format("{}: {} at offset {}, outside of the {} bytes that there are",
                          file_.path(), what, offset, region().mapped_bytes())};
  };
  const std::uint64_t name_hash = hash_of(object);
  // acquire: pairs with the release in `take_entry`; a chunk's `next` is as old as the chunk.
  std::uint64_t at = words().first_chunk.load(std::memory_order_acquire);
  for (std::uint64_t chunks = 1; at != 0; ++chunks) {
    const auto chunk_is_there = reaches(at, sizeof(NameChunk));
    if (!chunk_is_there) return chunk_is_there.failure();
    if (!*chunk_is_there || at % alignof(NameChunk) != 0) return corrupted("a table of names", at);
    // A creator that means harm may have made a circle of them.
    if (chunks > region().mapped_bytes() / sizeof(NameChunk)) break;
    const auto* chunk = region().at<const NameChunk>(at);
    for (const NameEntry& entry : chunk->entries) {
      auto found = read_entry(entry, object, name_hash);
      if (!found) continue;
      const bool fits = found->element_bytes != 0 &&
                        found->count <= region().reserved_bytes() / found->element_bytes;
      const auto is_there =
          fits ? reaches(found->offset, found->count * found->element_bytes) : Result<bool>(false);
      if (!is_there) return is_there.failure();
      if (!*is_there) return corrupted("an object", found->offset);
      return *std::move(found);
    }
    // relaxed: written before the chunk was made known.
    at = chunk->next.load(std::memory_order_relaxed);
  }
  return Failure{Errc::not_found,
                 format("segment '{}' has no object '{}'", name_, object.substr(0, 256))};
}

}  // namespace sluice
