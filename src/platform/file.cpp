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

/// `system_failure` for what needs an inode of its own, in the file system of `path` seen from
/// `at`: a full one has run out of inodes or of memory.
Failure creation_failure(const char* action, const std::string& path, int errno_value, int at) {
  Failure failure = system_failure(action, path, errno_value);
  if (errno_value != ENOSPC && errno_value != EDQUOT) return failure;
  const std::string parent = path.substr(0, path.find_last_of('/') + 1) + ".";
  struct statvfs system {};
  if ((at == AT_FDCWD ? ::statvfs(parent.c_str(), &system) : ::fstatvfs(at, &system)) != 0) {
    return failure;
  }
  if (system.f_files != 0 && system.f_favail == 0) {
    failure.message += format(
        ": 1 inode needed, none free of {} in the file system; remove files there, give it more "
        "(mount -o remount,nr_inodes=...) or set SLUICE_ROOT to another",
        system.f_files);
  } else {
    failure.message += format(
        ": {} bytes free of {} in the file system, or a quota is used up; free some, enlarge it "
        "(mount -o remount,size=...) or set SLUICE_ROOT to another",
        system.f_bavail * system.f_frsize, system.f_blocks * system.f_frsize);
  }
  return failure;
}

Result<Directory> open_checked(int at, const char* name, std::string path, int flags, OwnedBy owner,
                               std::optional<mode_t> make_mode) {
  const bool made = make_mode && ::mkdirat(at, name, *make_mode) == 0;
  if (make_mode && !made && errno != EEXIST) {
    return creation_failure("make directory", path, errno, at);
  }
  Directory directory{File(::openat(at, name, flags | O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                      std::move(path)};
  if (!directory.file.is_open()) {
    if (errno != ELOOP && errno != ENOTDIR) {
      return system_failure("open directory", directory.path, errno);
    }
    return Failure{Errc::corrupted,
                   format("{} should be a directory and is not; remove it or choose another "
                          "SLUICE_ROOT",
                          directory.path)};
  }
  struct stat status {};
  if (::fstat(directory.fd(), &status) != 0) {
    return system_failure("look at", directory.path, errno);
  }
  const uid_t self = ::geteuid();
  const bool sticky = (status.st_mode & S_ISVTX) != 0;
  if (status.st_uid != self &&
      (owner != OwnedBy::self_or_sticky || (status.st_uid != 0 && !sticky))) {
    return Failure{
        Errc::no_permission,
        format("directory {} belongs to user {}, but user {} needs one of {}; remove it or "
               "choose another SLUICE_ROOT",
               directory.path, status.st_uid, self,
               owner == OwnedBy::self ? "its own" : "its own, of root, or a sticky one")};
  }
  // A maker killed before this left the directory with the bits that the umask let through.
  if (make_mode && status.st_uid == self && (made || (sticky && (*make_mode & S_ISVTX) != 0)) &&
      (status.st_mode & 07777) != *make_mode) {
    ::fchmod(directory.fd(), *make_mode);
  }
  return directory;
}

Result<std::vector<std::string>> list_all(const Directory& directory) {
  // A description of its own: the position in a directory belongs to the description.
  const int fd = ::openat(directory.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    Failure failure = system_failure("list", directory.path, errno);
    if (fd >= 0) ::close(fd);
    return failure;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) names.emplace_back(entry->d_name);
  ::closedir(stream);
  return names;
}

}  // namespace

File::File(int fd) noexcept : fd_(fd), fork_generation_(fork_generation()) {}

File::File(File&& other) noexcept { *this = std::move(other); }

File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  fork_generation_ = other.fork_generation_;
  is_entered_ = std::exchange(other.is_entered_, false);
  return *this;
}

void File::close_in_forked_child() {
  if (!is_entered_) enter(NoForks());
}

void File::enter(const NoForks& held) {
  close_in_child(fd_, held);
  is_entered_ = true;
}

bool File::is_inherited() const noexcept { return fork_generation_ != fork_generation(); }

void File::close() noexcept {
  if (fd_ < 0) return;
  if (!is_entered_) {
    ::close(fd_);
  } else if (!is_inherited()) {  // else it is closed already
    close_entered(fd_);
  }
  fd_ = -1;
  is_entered_ = false;
}

Failure system_failure(const char* action, const std::string& path, int errno_value) {
  std::string message = format("cannot {} {}: {}", action, path, std::strerror(errno_value));
  if (errno_value == EMFILE) message += "; raise RLIMIT_NOFILE (ulimit -n)";
  if (errno_value == EACCES) message += format(" (user {})", ::geteuid());
  return {cause_of(errno_value), std::move(message)};
}

Result<Directory> open_directory(const Directory& parent, const std::string& name, OwnedBy owner,
                                 std::optional<mode_t> make_mode) {
  return open_checked(parent.fd(), name.c_str(), parent.path_of(name), O_NOFOLLOW, owner,
                      make_mode);
}

Result<Directory> open_directory_at_path(const std::string& path, std::optional<mode_t> make_mode) {
  return open_checked(AT_FDCWD, path.c_str(), path, 0, OwnedBy::self_or_sticky, make_mode);
}

Result<std::vector<std::string>> list(const Directory& directory) {
  auto names = list_all(directory);
  if (names) std::erase_if(*names, [](const std::string& name) { return name.starts_with('.'); });
  return names;
}

Result<File> open_file(const Directory& directory, const std::string& name, bool writable) {
  const std::string path = directory.path_of(name);
  const int flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  File file =
      File::closed_in_forked_child([&] { return ::openat(directory.fd(), name.c_str(), flags); });
  if (!file.is_open()) {
    if (errno != ELOOP) return system_failure("open", path, errno);
    return Failure{Errc::corrupted, format("{} is a symbolic link; remove it", path)};
  }
  const auto status = status_of(file, path);
  if (!status) return status.failure();
  if (status->regular) return file;
  return Failure{Errc::corrupted, format("{} is not a regular file; remove it", path)};
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
  const auto status = status_of(file, name);
  return status && leads_to(directory, name, *status);
}

bool leads_to(const Directory& directory, const std::string& name, const FileStatus& file) {
  struct stat named {};
  return ::fstatat(directory.fd(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         named.st_ino == file.inode && named.st_dev == file.device;
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
  const auto begin = static_cast<off_t>(from_bytes);
  const auto length = static_cast<off_t>(to_bytes - from_bytes);
  int error = 0;
  do {
    error = ::fallocate(file.fd(), 0, begin, length) == 0 ? 0 : errno;
  } while (error == EINTR);
  if (error == 0) return {};
  // A partly filled file must not look larger than what is reserved.
  if (::ftruncate(file.fd(), begin) != 0) error = errno;
  Failure failure = system_failure("reserve memory for", path, error);
  if (error == EOPNOTSUPP) {
    failure.message +=
        "; ramfs and some network file systems cannot reserve it, which this library needs; set "
        "SLUICE_ROOT to a directory on tmpfs, such as one in /dev/shm";
  }
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
  if (!has_proc_links()) return create_named(directory, mode, O_CREAT | O_EXCL);
  NewFile created;
  created.file_ = File::closed_in_forked_child(
      [&] { return ::openat(directory.fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode); });
  if (!created.file_.is_open()) {
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) {
      return create_named(directory, mode, O_CREAT | O_EXCL);
    }
    return creation_failure("create a file in", directory.path, errno, directory.fd());
  }
  ::fchmod(created.file_.fd(), mode);
  return created;
}

Result<NewFile> NewFile::create_pipe(const Directory& directory, mode_t mode) {
  return create_named(directory, mode, O_NONBLOCK);
}

/// Without O_CREAT in `open_flags`, a pipe.
Result<NewFile> NewFile::create_named(const Directory& directory, mode_t mode, int open_flags) {
  NewFile created;
  created.directory_fd_ = directory.fd();
  created.name_ = format("{}{:016x}", kTemporaryPrefix, random_number());
  const char* name = created.name_.c_str();
  const bool is_pipe = (open_flags & O_CREAT) == 0;
  if (!is_pipe || ::mkfifoat(directory.fd(), name, mode) == 0) {
    const int flags = open_flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC;
    created.file_ =
        File::closed_in_forked_child([&] { return ::openat(directory.fd(), name, flags, mode); });
  }
  if (!created.file_.is_open()) {
    return creation_failure(is_pipe ? "create a pipe in" : "create a file in", directory.path,
                            errno, directory.fd());
  }
  ::fchmod(created.file_.fd(), mode);
  return created;
}

NewFile::NewFile(NewFile&& other) noexcept { *this = std::move(other); }

NewFile& NewFile::operator=(NewFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(directory_fd_, other.directory_fd_);
  std::swap(name_, other.name_);
  return *this;
}

NewFile::~NewFile() {
  if (!name_.empty() && !file_.is_inherited()) ::unlinkat(directory_fd_, name_.c_str(), 0);
}

Result<void> NewFile::link(const Directory& directory, const std::string& name, bool is_kept) {
  long outcome = 0;
  if (name_.empty()) {
    const std::string self = format("/proc/self/fd/{}", file_.fd());
    outcome = ::linkat(AT_FDCWD, self.c_str(), directory.fd(), name.c_str(), AT_SYMLINK_FOLLOW);
  } else {
    outcome = ::syscall(SYS_renameat2, directory.fd(), name_.c_str(), directory.fd(), name.c_str(),
                        1U /* RENAME_NOREPLACE */);
  }
  if (outcome != 0) {
    return creation_failure("link", directory.path_of(name), errno, directory.fd());
  }
  name_ = is_kept ? "" : name;
  return {};
}

bool remove_dead_pipe(const Directory& directory, const std::string& name) noexcept {
  const File file(
      ::openat(directory.fd(), name.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  return !file.is_open() && errno == ENXIO && ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

bool remove_dead_file(const Directory& directory, const std::string& name,
                      const std::function<bool(const File&)>& may_remove) {
  auto file = open_file(directory, name, true);
  if (!file || is_locked(*file)) return false;
  const auto locked = try_lock(*file, LockKind::exclusive);
  return locked && *locked && leads_to(directory, name, *file) &&
         (!may_remove || may_remove(*file)) && ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

void remove_abandoned(const Directory& directory) {
  const auto names = list_all(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!name.starts_with(kTemporaryPrefix)) continue;
    if (!remove_dead_pipe(directory, name)) remove_dead_file(directory, name);
  }
}

}  // namespace sluice
