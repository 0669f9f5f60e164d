// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {
namespace {

/// A new file that nobody takes for abandoned: one with a temporary name can be seen, and removed,
/// before it is locked.
Result<NewFile> create_locked(const Directory& directory, mode_t mode, LockKind kind) {
  for (int attempt = 1;; ++attempt) {
    auto created = NewFile::create(directory, mode);
    if (!created) return created;
    const auto locked = try_lock(created->file(), kind);
    if (!locked) return locked.failure();
    if ((*locked && created->exists(directory)) || attempt == kMaxAttempts) return created;
  }
}

/// Whether `header`, at the start of a file of `file_bytes`, is one of `kind` that this build
/// reads. The message says what was found.
Result<void> check_header(const FileHeader& header, FileKind kind, std::uint64_t file_bytes,
                          std::uint64_t least_bytes, const std::string& path) {
  const auto corrupted = [&](const std::string& what) {
    return Failure{Errc::corrupted, format("{} {}; remove it", path, what)};
  };
  if (file_bytes < sizeof(FileHeader) || header.magic != FileHeader::kMagic) {
    return corrupted(
        format("is not a file of this library ({} bytes, wrong magic number)", file_bytes));
  }
  if (header.byte_order != FileHeader::kByteOrder || header.word_bytes != sizeof(void*)) {
    return Failure{
        Errc::version_mismatch,
        format("{} was made with {}-byte words and byte order {:#06x}, this build "
               "needs {} and {:#06x}",
               path, header.word_bytes, header.byte_order, sizeof(void*), FileHeader::kByteOrder)};
  }
  if (header.layout_version != FileHeader::kLayoutVersion) {
    return Failure{Errc::version_mismatch,
                   format("{} was made by layout {}, this build reads {}; rebuild one of the "
                          "two programs",
                          path, header.layout_version, FileHeader::kLayoutVersion)};
  }
  if (header.kind != kind) {
    return corrupted(format("has kind {} where {} is needed", static_cast<int>(header.kind),
                            static_cast<int>(kind)));
  }
  if (file_bytes < least_bytes) {
    return corrupted(format("is truncated: {} bytes, at least {} needed", file_bytes, least_bytes));
  }
  if (header.reserved_bytes > kMaxReservedBytes) {
    return corrupted(format("asks for {} bytes of address space, at most {} are sensible",
                            header.reserved_bytes, kMaxReservedBytes));
  }
  return {};
}

}  // namespace

Result<SharedFile> SharedFile::create(const Directory& directory, mode_t mode, FileKind kind,
                                      std::uint64_t node, std::uint64_t bytes,
                                      std::uint64_t reserved_bytes) {
  auto created = create_locked(directory, mode,
                               kind == FileKind::service ? LockKind::shared : LockKind::exclusive);
  if (!created) return created.failure();
  SharedFile result;
  result.path_ = directory.path;  // the name is not known before `link`
  result.unlinked_.emplace(std::move(*created));
  File& file = result.unlinked_->file();
  bytes = whole_pages(bytes);
  if (auto reserved = reserve(file, 0, bytes, result.path_); !reserved) return reserved.failure();
  auto region = Region::map(file, result.path_, Region::Access::read_write, bytes, reserved_bytes);
  if (!region) return region.failure();
  result.region_ = std::move(*region);
  *result.region_.at<FileHeader>(0) = FileHeader{.magic = FileHeader::kMagic,
                                                 .layout_version = FileHeader::kLayoutVersion,
                                                 .byte_order = FileHeader::kByteOrder,
                                                 .word_bytes = sizeof(void*),
                                                 .kind = kind,
                                                 .incarnation = random_number(),
                                                 .node = node,
                                                 .pid = static_cast<std::uint32_t>(::getpid()),
                                                 .has_left = 0,
                                                 .reserved_bytes = result.region_.reserved_bytes(),
                                                 .announced = 0,
                                                 .looked = 0};
  return result;
}

Result<void> SharedFile::link(const Directory& directory, const std::string& name) {
  region_.hand_on();
  // Nobody owns a board: its lock says something else, see `PublisherPort::open`.
  if (header().kind == FileKind::board) unlock(unlinked_->file());
  if (auto linked = unlinked_->link(directory, name); !linked) return linked;
  file_ = unlinked_->take();
  unlinked_.reset();
  path_ = directory.path_of(name);
  return {};
}

Result<SharedFile> SharedFile::open(const Directory& directory, const std::string& name,
                                    FileKind kind, std::uint64_t least_bytes,
                                    Region::Access access) {
  auto file = open_file(directory, name, access == Region::Access::read_write);
  if (!file) return file.failure();
  return adopt(std::move(*file), directory.path_of(name), kind, least_bytes, access);
}

Result<SharedFile> SharedFile::adopt(File file, std::string path, FileKind kind,
                                     std::uint64_t least_bytes, Region::Access access) {
  SharedFile result;
  result.path_ = std::move(path);
  result.file_ = std::move(file);
  const auto status = status_of(result.file_, result.path_);
  if (!status) return status.failure();

  FileHeader header{};
  const ssize_t got = ::pread(result.file_.fd(), &header, sizeof header, 0);
  if (got != sizeof header) header = {};
  if (auto ok = check_header(header, kind, status->bytes, least_bytes, result.path_); !ok) {
    return ok.failure();
  }
  auto region =
      Region::map(result.file_, result.path_, access, status->bytes, header.reserved_bytes);
  if (!region) return region.failure();
  result.region_ = std::move(*region);
  return result;
}

Result<void> SharedFile::grow_to(std::uint64_t bytes) {
  bytes = whole_pages(bytes);
  const std::uint64_t present = region_.mapped_bytes();
  if (bytes <= present) return {};
  if (bytes > region_.reserved_bytes()) {
    return Failure{Errc::no_address_space,
                   format("{} cannot grow: {} bytes needed, {} bytes of address space reserved",
                          path_, bytes, region_.reserved_bytes())};
  }
  File& file = unlinked_ ? unlinked_->file() : file_;
  if (auto reserved = reserve(file, present, bytes, path_); !reserved) return reserved;
  return region_.extend(file, path_, bytes);
}

Result<void> SharedFile::follow_growth() {
  const auto status = status_of(file_, path_);
  if (!status) return status.failure();
  return region_.extend(file_, path_, std::min(status->bytes, region_.reserved_bytes()));
}

}  // namespace sluice
