// SPDX-License-Identifier: Apache-2.0
//
// The file of a segment, beside its heap:
//
//   SegmentWords: header, name, first_chunk ─► NameChunk: next ─► NameChunk: next ─► 0
//                                                entries            entries
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/heap.hpp>
#include <sluice/memory/name_table.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/platform/root.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// In shared memory.
struct SegmentWords {
  FileHeader header;
  std::uint64_t name_bytes;
  char name[256];
  std::atomic<std::uint64_t> first_chunk;  ///< offset; chunks are added in front and never removed
  std::uint64_t unused[6];
};
static_assert(sizeof(SegmentWords) == 384 && offsetof(SegmentWords, first_chunk) == 328);

/// A segment's file in the process that made it, which removes it again, or in one that opened it.
/// Thread safety: none.
class SegmentFile {
 public:
  SegmentFile(RootOptions resolved, std::string_view segment)
      : options_(std::move(resolved)), name_(segment), key_(key_of(segment)) {}
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;
  ~SegmentFile();

  /// Makes the file and gives it its name, which it takes from a creator that is dead.
  [[nodiscard]] Result<void> make(std::uint64_t reserve_bytes);
  /// Opens it read-only. Errors: not_found, also where the creator is dead.
  [[nodiscard]] Result<void> open();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool is_creator() const noexcept { return is_creator_; }
  /// Whether this process is a child of the one that made or opened it.
  [[nodiscard]] bool is_forked() const noexcept { return generation_ != fork_generation(); }
  [[nodiscard]] bool is_creator_alive() const noexcept;
  [[nodiscard]] const Region& region() const noexcept { return file_.region(); }
  /// Creator only.
  [[nodiscard]] Heap& heap() noexcept { return heap_; }

  /// A reader maps what the creator has added so far.
  [[nodiscard]] Result<void> follow_growth();
  /// Maps more where the file has grown so far. Safe for any two numbers.
  [[nodiscard]] Result<bool> reaches(std::uint64_t offset, std::uint64_t bytes);

  /// A free entry of the table of names, from a new chunk where there is none. Creator only.
  [[nodiscard]] Result<NameEntry*> take_entry();
  void give_back(NameEntry* entry) { free_entries_.push_back(entry); }
  /// What the table says of the object of that name; checked: it lies inside the file.
  /// Errors: not_found, corrupted.
  [[nodiscard]] Result<NamedObject> search(std::string_view object);

 private:
  [[nodiscard]] SegmentWords& words() const noexcept { return *region().at<SegmentWords>(0); }
  [[nodiscard]] Result<void> make_once(std::uint64_t reserve_bytes);

  RootOptions options_;
  std::string name_;
  std::string key_;
  Directory directory_;
  SharedFile file_;
  Heap heap_;
  std::vector<NameEntry*> free_entries_;
  bool is_creator_ = false;
  std::uint32_t generation_ = fork_generation();
};

}  // namespace sluice
