// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sluice/core/format.hpp>
#include <sluice/platform/file.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/process.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kTemporaryPrefix = ".new.";

Errc cause_of(int errno_value) noexcept {
  switch (errno_value) {
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::no_permission;
    case ENOENT:
      return Errc::not_found;
    case EEXIST:
      return Errc::already_exists;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      return Errc::no_memory;
    default:
      return Errc::system;
  }
}

/// Whether this system can make unnamed files and name them later, which takes /proc.
bool has_proc_links() noexcept {
  static const bool has = ::access("/proc/self/fd", X_OK) == 0;
  return has;
}

Result<Directory> checked(Directory directory, OwnedBy owner) {
  struct stat status {};
  if (::fstat(directory.fd(), &status) != 0) {
    return system_failure("look at", directory.path, errno);
  }
  const uid_t self = ::geteuid();
  const bool sticky = (status.st_mode & S_ISVTX) != 0;
  const bool trusted =
      status.st_uid == self || (owner == OwnedBy::self_or_sticky && (status.st_uid == 0 || sticky));
  if (trusted) return directory;
  return Failure{
      Errc::no_permission,
      format("directory {} belongs to user {}, but user {} needs one of {}; remove it or "
             "choose another SLUICE_ROOT",
             directory.path, status.st_uid, self,
             owner == OwnedBy::self ? "its own" : "its own, of root, or a sticky one")};
}

Result<Directory> open_checked(int at, const char* name, std::string path, int flags,
                               OwnedBy owner) {
  Directory directory{File(::openat(at, name, flags | O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                      std::move(path)};
  if (!directory.file.is_open()) {
    const int error = errno;
    if (error == ELOOP || error == ENOTDIR) {
      return Failure{Errc::corrupted,
                     format("{} should be a directory and is not; remove it", directory.path)};
    }
    return system_failure("open directory", directory.path, error);
  }
  return checked(std::move(directory), owner);
}

Result<Directory> make_checked(int at, const char* name, std::string path, mode_t mode, int flags,
                               OwnedBy owner) {
  const bool made = ::mkdirat(at, name, mode) == 0;
  if (!made && errno != EEXIST) return system_failure("make directory", path, errno);
  auto directory = open_checked(at, name, std::move(path), flags, owner);
  if (!directory) return directory;
  struct stat status {};
  // A maker killed before this left the directory with the bits that the umask let through.
  if (::fstat(directory->fd(), &status) == 0 && status.st_uid == ::geteuid() &&
      (made || (status.st_mode & mode & S_ISVTX) != 0) && (status.st_mode & 07777) != mode) {
    ::fchmod(directory->fd(), mode);
  }
  return directory;
}

template <typename Look>
Result<void> for_each_name(const Directory& directory, Look look) {
  // A description of its own: the position in a directory belongs to the description.
  const int fd = ::openat(directory.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return system_failure("list", directory.path, error);
  }
  while (const dirent* entry = ::readdir(stream)) look(std::string(entry->d_name));
  ::closedir(stream);
  return {};
}

}  // namespace

File::File(int fd) noexcept : fd_(fd), fork_generation_(fork_generation()) {}

File::File(File&& other) noexcept { *this = std::move(other); }

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  fork_generation_ = other.fork_generation_;
  locked_ = std::exchange(other.locked_, false);
  return *this;
}

void File::close_in_forked_child() {
  if (std::exchange(locked_, true)) return;
  close_in_child(fd_);
}

bool File::is_inherited() const noexcept { return fork_generation_ != fork_generation(); }

void File::close() noexcept {
  if (fd_ < 0) return;
  const bool closed_by_fork = locked_ && is_inherited();
  if (!closed_by_fork) {
    if (locked_) keep_in_child(fd_);
    ::close(fd_);
  }
  fd_ = -1;
  locked_ = false;
}

bool is_dead_pipe(const Directory& directory, const std::string& name) noexcept {
  const File file(
      ::openat(directory.fd(), name.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  return !file.is_open() && errno == ENXIO;
}

Failure system_failure(const char* action, const std::string& path, int errno_value) {
  std::string message = format("cannot {} {}: {}", action, path, std::strerror(errno_value));
  if (errno_value == EMFILE) message += "; raise RLIMIT_NOFILE (ulimit -n)";
  if (errno_value == EACCES) message += format(" (user {})", ::geteuid());
  return {cause_of(errno_value), std::move(message)};
}

Result<Directory> open_directory_at_path(const std::string& path) {
  return open_checked(AT_FDCWD, path.c_str(), path, 0, OwnedBy::self_or_sticky);
}

Result<Directory> open_directory(const Directory& parent, const std::string& name, OwnedBy owner) {
  return open_checked(parent.fd(), name.c_str(), parent.path_of(name), O_NOFOLLOW, owner);
}

Result<Directory> make_directory(const Directory& parent, const std::string& name, mode_t mode,
                                 OwnedBy owner) {
  return make_checked(parent.fd(), name.c_str(), parent.path_of(name), mode, O_NOFOLLOW, owner);
}

Result<Directory> make_directory_at_path(const std::string& path, mode_t mode, OwnedBy owner) {
  return make_checked(AT_FDCWD, path.c_str(), path, mode, 0, owner);
}

Result<std::vector<std::string>> list(const Directory& directory) {
  std::vector<std::string> names;
  auto listed = for_each_name(directory, [&](std::string name) {
    if (!name.starts_with('.')) names.push_back(std::move(name));
  });
  if (!listed) return listed.failure();
  return names;
}

Result<File> open_file(const Directory& directory, const std::string& name, bool writable) {
  File file(::openat(directory.fd(), name.c_str(),
                     (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) {
    const int error = errno;
    if (error == ELOOP) {
      return Failure{Errc::corrupted,
                     format("{} is a symbolic link; remove it", directory.path_of(name))};
    }
    return system_failure("open", directory.path_of(name), error);
  }
  auto status = status_of(file, directory.path_of(name));
  if (!status) return status.failure();
  if (!status->regular) {
    return Failure{Errc::corrupted,
                   format("{} is not a regular file; remove it", directory.path_of(name))};
  }
  return file;
}

Result<FileStatus> status_of(const File& file, const std::string& path) {
  struct stat status {};
  if (::fstat(file.fd(), &status) != 0) return system_failure("look at", path, errno);
  return FileStatus{.bytes = static_cast<std::uint64_t>(status.st_size),
                    .device = status.st_dev,
                    .inode = status.st_ino,
                    .links = status.st_nlink,
                    .regular = S_ISREG(status.st_mode)};
}

bool leads_to(const Directory& directory, const std::string& name, const File& file) {
  struct stat named {};
  struct stat open {};
  return ::fstatat(directory.fd(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstat(file.fd(), &open) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

Result<void> reserve(const File& file, std::uint64_t from_bytes, std::uint64_t to_bytes,
                     const std::string& path) {
  // Beyond this limit, the kernel would end the process with SIGXFSZ.
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && to_bytes > limit.rlim_cur) {
    return Failure{Errc::no_memory,
                   format("cannot reserve memory for {}: a file of {} bytes needed, this process "
                          "may have files of {} (RLIMIT_FSIZE); raise it with ulimit -f",
                          path, to_bytes, limit.rlim_cur)};
  }
  int error = 0;
  do {
    error = ::fallocate(file.fd(), 0, static_cast<off_t>(from_bytes),
                        static_cast<off_t>(to_bytes - from_bytes)) == 0
                ? 0
                : errno;
  } while (error == EINTR);
  if (error == 0) return {};
  // A partly filled file must not look larger than what is reserved.
  if (::ftruncate(file.fd(), static_cast<off_t>(from_bytes)) != 0) error = errno;
  Failure failure = system_failure("reserve memory for", path, error);
  struct statvfs system {};
  if (failure.code == Errc::no_memory && ::fstatvfs(file.fd(), &system) == 0) {
    failure.message += format(
        ": {} bytes needed, {} bytes free of {} in the file system; free some, enlarge it "
        "(mount -o remount,size=...) or set SLUICE_ROOT to another",
        to_bytes - from_bytes, system.f_bavail * system.f_frsize,
        system.f_blocks * system.f_frsize);
  }
  return failure;
}

Result<NewFile> NewFile::create(const Directory& directory, mode_t mode) {
  NewFile created;
  int error = EOPNOTSUPP;
  if (has_proc_links()) {
    created.file_ = File(::openat(directory.fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    error = created.file_.is_open() ? 0 : errno;
  }
  if (error == EOPNOTSUPP || error == EISDIR || error == EINVAL) {
    created.directory_fd_ = directory.fd();
    created.temporary_name_ = format("{}{:016x}", kTemporaryPrefix, random_number());
    created.file_ = File(::openat(directory.fd(), created.temporary_name_.c_str(),
                                  O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode));
    error = created.file_.is_open() ? 0 : errno;
    if (error != 0) created.temporary_name_.clear();
  }
  if (error != 0) return system_failure("create a file in", directory.path, error);
  ::fchmod(created.file_.fd(), mode);
  return created;
}

Result<NewFile> new_pipe(const Directory& directory, mode_t mode) {
  NewFile created;
  created.directory_fd_ = directory.fd();
  created.temporary_name_ = format("{}{:016x}", kTemporaryPrefix, random_number());
  const char* name = created.temporary_name_.c_str();
  int error = ::mkfifoat(directory.fd(), name, mode) == 0 ? 0 : errno;
  if (error != 0) {
    created.temporary_name_.clear();
  } else {
    created.file_ =
        File(::openat(directory.fd(), name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    error = created.file_.is_open() ? 0 : errno;
  }
  if (error != 0) return system_failure("create a pipe in", directory.path, error);
  ::fchmod(created.file_.fd(), mode);
  return created;
}

NewFile::NewFile(NewFile&& other) noexcept { *this = std::move(other); }

NewFile& NewFile::operator=(NewFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(directory_fd_, other.directory_fd_);
  std::swap(temporary_name_, other.temporary_name_);
  return *this;
}

NewFile::~NewFile() {
  if (!temporary_name_.empty()) ::unlinkat(directory_fd_, temporary_name_.c_str(), 0);
}

Result<void> NewFile::link(const Directory& directory, const std::string& name) {
  int outcome = 0;
  if (temporary_name_.empty()) {
    const std::string self = format("/proc/self/fd/{}", file_.fd());
    outcome = ::linkat(AT_FDCWD, self.c_str(), directory.fd(), name.c_str(), AT_SYMLINK_FOLLOW);
  } else {
    outcome = static_cast<int>(::syscall(SYS_renameat2, directory.fd(), temporary_name_.c_str(),
                                         directory.fd(), name.c_str(), 1U /* RENAME_NOREPLACE */));
    if (outcome == 0) temporary_name_.clear();
  }
  if (outcome != 0) return system_failure("link", directory.path_of(name), errno);
  return {};
}

void remove_abandoned(const Directory& directory) {
  (void)for_each_name(directory, [&](const std::string& name) {
    if (!name.starts_with(kTemporaryPrefix)) return;
    if (is_dead_pipe(directory, name)) ::unlinkat(directory.fd(), name.c_str(), 0);
    auto file = open_file(directory, name, true);
    if (!file) return;
    auto locked = try_lock(*file, LockKind::exclusive);
    if (locked && *locked && leads_to(directory, name, *file)) {
      ::unlinkat(directory.fd(), name.c_str(), 0);
    }
  });
}

}  // namespace sluice
