// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {
namespace {

/// The lock of a file is that of its first bytes, more than it will ever have; marks lie beyond.
constexpr off_t kMarks = off_t{1} << 62;

struct flock bytes_of_file(short type, off_t begin, off_t count) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = begin;
  lock.l_len = count;
  return lock;
}

struct flock whole_file(short type) noexcept {
  return bytes_of_file(type, 0, kMarks);
}

struct flock mark_on_file(short type, std::uint64_t mark) noexcept {
  return bytes_of_file(type, kMarks + static_cast<off_t>(mark), 1);
}

Result<bool> try_lock_bytes(File& file, struct flock lock) {
  file.close_in_forked_child();
  if (::fcntl(file.fd(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return Failure{
      Errc::locks_unsupported,
      std::string("the file system under the root has no open-file-description locks (") +
          std::strerror(errno) +
          "); set SLUICE_ROOT to a directory on a local file system such as tmpfs"};
}

}  // namespace

Result<bool> try_lock(File& file, LockKind kind) {
  return try_lock_bytes(file, whole_file(kind == LockKind::shared ? F_RDLCK : F_WRLCK));
}

void unlock(File& file) noexcept {
  struct flock lock = whole_file(F_UNLCK);
  ::fcntl(file.fd(), F_OFD_SETLK, &lock);
}

std::optional<LockKind> lock_of_another(const File& file) noexcept {
  struct flock lock = whole_file(F_WRLCK);
  // Where the kernel does not answer, nobody may be taken for dead.
  if (::fcntl(file.fd(), F_OFD_GETLK, &lock) != 0) return LockKind::shared;
  if (lock.l_type == F_UNLCK) return std::nullopt;
  return lock.l_type == F_WRLCK ? LockKind::exclusive : LockKind::shared;
}

bool is_locked_shared(const File& file) noexcept {
  struct flock lock = whole_file(F_WRLCK);
  return ::fcntl(file.fd(), F_OFD_GETLK, &lock) != 0 || lock.l_type == F_RDLCK;
}

Result<bool> try_lock_mark(File& file, std::uint64_t mark) {
  return try_lock_bytes(file, mark_on_file(F_WRLCK, mark));
}

void unlock_mark(File& file, std::uint64_t mark) noexcept {
  struct flock lock = mark_on_file(F_UNLCK, mark);
  ::fcntl(file.fd(), F_OFD_SETLK, &lock);
}

Result<LockHolder> LockHolder::create(const File& file, const std::string& path) {
  // A child that was forked between the two calls would keep the mapping, and with it the locks.
  const NoForks held;
  void* page = ::mmap(nullptr, 1, PROT_NONE, MAP_SHARED, file.fd(), 0);
  if (page == MAP_FAILED) {
    Failure failure = system_failure("map", path, errno);
    if (errno == ENOMEM || errno == EAGAIN) failure.code = Errc::no_address_space;
    return failure;
  }
  ::madvise(page, 1, MADV_DONTFORK);
  LockHolder holder;
  holder.page_ = {page, Unmap{fork_generation()}};
  return holder;
}

void LockHolder::Unmap::operator()(void* page) const noexcept {
  if (fork_generation == sluice::fork_generation()) ::munmap(page, 1);
}

}  // namespace sluice
