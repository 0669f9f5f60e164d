// SPDX-License-Identifier: Apache-2.0
//
// The names of a segment's objects, which one process writes and any may read at the same time.
//
// An entry's version is odd while its writer changes it, and its offset is 0 while it is free. A
// writer killed in between leaves an odd version for ever: to readers, no name. A reader that meets
// a change skips the entry, for the name it looks for was absent at some time during its search. So
// a search is one pass over the entries, which needs no repetition. Those of a chunk stay where
// they are, and chunks are only ever added, in front.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// What an entry says of an object, or of an array of them.
struct NamedObject {
  std::uint64_t offset = 0;  ///< from the start of the file; 0: none
  std::uint64_t count = 0;   ///< elements
  std::uint64_t element_bytes = 0;
  std::uint64_t alignment = 0;
  std::uint64_t type_hash = 0;  ///< of the whole name of the type
  std::string name;
  std::string type;  ///< the type's name, cut off after 128 bytes
};

/// In shared memory. All words are atomic, because a reader may look while the creator writes.
struct NameEntry {
  using Word = std::atomic<std::uint64_t>;
  static constexpr std::size_t kNameBytes = 256;
  static constexpr std::size_t kTypeBytes = 128;

  Word version;  ///< odd: being changed
  Word offset;   ///< 0: free
  Word count;
  Word element_bytes;
  Word alignment;
  Word type_hash;
  Word name_hash;
  Word name_bytes;
  Word text[(kNameBytes + kTypeBytes) / 8];  ///< name, then type; each ends with 0 if shorter
};
static_assert(NameEntry::Word::is_always_lock_free && sizeof(NameEntry) == 448 &&
              offsetof(NameEntry, text) == 64);

/// In shared memory.
struct NameChunk {
  static constexpr std::size_t kEntries = 7;

  NameEntry::Word next;  ///< offset of the next chunk, 0: none; constant once the chunk is known
  std::uint64_t unused[7];
  NameEntry entries[kEntries];
};
static_assert(sizeof(NameChunk) == 3200 && offsetof(NameChunk, entries) == 64);

/// Writer only. Publishes the object too, and all that was done before.
void write_entry(NameEntry& entry, const NamedObject& object) noexcept;

/// What the entry says if it is named `name`; nothing if it is not, or is being changed.
/// `name_hash` is `hash_of(name)`. Any thread or process.
[[nodiscard]] std::optional<NamedObject> read_entry(const NameEntry& entry, std::string_view name,
                                                    std::uint64_t name_hash);

}  // namespace sluice
