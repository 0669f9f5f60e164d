// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <sluice/platform/lock.hpp>

namespace sluice {
namespace {

struct flock whole_file(short type) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<bool> try_lock(File& file, LockKind kind) {
  file.close_in_forked_child();
  struct flock lock = whole_file(kind == LockKind::shared ? F_RDLCK : F_WRLCK);
  if (::fcntl(file.fd(), F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return Failure{
      Errc::locks_unsupported,
      std::string("the file system under the root has no open-file-description locks (") +
          std::strerror(errno) +
          "); set SLUICE_ROOT to a directory on a local file system such as tmpfs"};
}

void unlock(File& file) noexcept {
  struct flock lock = whole_file(F_UNLCK);
  ::fcntl(file.fd(), F_OFD_SETLK, &lock);
}

bool is_locked(const File& file) noexcept {
  struct flock lock = whole_file(F_WRLCK);
  // Where the kernel does not answer, nobody may be taken for dead.
  return ::fcntl(file.fd(), F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace sluice
