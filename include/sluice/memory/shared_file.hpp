// SPDX-License-Identifier: Apache-2.0
//
// What every file below the root has in common: a header that says what it is, one owner who maps
// it writable, and others who map it read-only after they checked it.
//
//   0             8                12           14           15       16
//   | magic       | layout_version | byte_order | word_bytes | kind   |
//   16            24     32    36         40               48         64
//   | incarnation | node | pid | has_left | reserved_bytes | announced, looked |
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/memory/region.hpp>
#include <sluice/platform/file.hpp>
#include <string>

namespace sluice {

enum class FileKind : std::uint8_t {
  node = 1,
  service,
  board,
  publisher,
  subscriber,
  segment,
  client,
  server,
  notifier,
  listener,
  producer,
  worker,
  work_queue,
};

/// The first line of every file. All but `has_left`, `announced` and `looked` is immutable once the
/// file can be seen; these three are a port's, see service/departure.hpp.
struct FileHeader {
  static constexpr std::uint64_t kMagic = 0x0a656369756c731a;  // "\x1asluice\n"
  static constexpr std::uint32_t kLayoutVersion = 3;
  static constexpr std::uint16_t kByteOrder = 0x0102;

  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint16_t byte_order;
  std::uint8_t word_bytes;
  FileKind kind;
  std::uint64_t incarnation;     ///< random; tells an owner from the next one under the same name
  std::uint64_t node;            ///< id of the owner's node
  std::uint32_t pid;             ///< for people; never a proof of life
  std::uint32_t has_left;        ///< 1: left in good order
  std::uint64_t reserved_bytes;  ///< address space that the file may grow to
  std::uint64_t announced;       ///< generation of the board that counts its coming; 0: none yet
  std::uint64_t looked;          ///< generation up to which it has looked for others; 0: not yet
};
static_assert(sizeof(FileHeader) == 64 && offsetof(FileHeader, incarnation) == 16 &&
              offsetof(FileHeader, reserved_bytes) == 40);

/// The most address space that a peer's file may ask for.
inline constexpr std::uint64_t kMaxReservedBytes = std::uint64_t{1} << 42;

/// A file below the root, mapped. Move-only; the mapping does not move.
class SharedFile {
 public:
  SharedFile() = default;

  /// An owner's new file: sized, reserved, mapped writable, header written, the rest zero, locked
  /// exclusively (shared for `FileKind::service`). Nobody sees it before `link`.
  [[nodiscard]] static Result<SharedFile> create(const Directory& directory, mode_t mode,
                                                 FileKind kind, std::uint64_t node,
                                                 std::uint64_t bytes, std::uint64_t reserved_bytes);
  /// Gives the new file its name. Errors as `NewFile::link`.
  [[nodiscard]] Result<void> link(const Directory& directory, const std::string& name);

  /// A peer's file, mapped read-only after its header was checked (writable for the pages that
  /// several processes may write). `least_bytes` is what the kind needs at least.
  /// Errors: Errc::corrupted, Errc::version_mismatch, Errc::not_found, …
  [[nodiscard]] static Result<SharedFile> open(const Directory& directory, const std::string& name,
                                               FileKind kind, std::uint64_t least_bytes,
                                               Region::Access access = Region::Access::read_only);

  /// The same for a file that is open already.
  [[nodiscard]] static Result<SharedFile> adopt(File file, std::string path, FileKind kind,
                                                std::uint64_t least_bytes, Region::Access access);

  /// Owner: reserves memory up to `bytes` and maps it. Nothing changes where that fails.
  [[nodiscard]] Result<void> grow_to(std::uint64_t bytes);
  /// Peer: maps what the file holds by now.
  [[nodiscard]] Result<void> follow_growth();

  [[nodiscard]] const FileHeader& header() const noexcept { return *region_.at<FileHeader>(0); }
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return header().incarnation; }
  [[nodiscard]] const Region& region() const noexcept { return region_; }
  [[nodiscard]] File& file() noexcept { return file_; }
  [[nodiscard]] const File& file() const noexcept { return file_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] bool is_open() const noexcept { return region_.is_mapped(); }

  /// Closes the descriptor of a peer's file and keeps the mapping.
  void close_descriptor() noexcept { file_.close(); }

 private:
  File file_;
  Region region_;
  std::string path_;
  std::optional<NewFile> unlinked_;  // holds the descriptor until `link`
};

}  // namespace sluice
