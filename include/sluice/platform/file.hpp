// SPDX-License-Identifier: Apache-2.0
//
// Files and directories, as the library needs them: never followed through a symbolic link, never
// visible before they are complete, never larger than the memory that is reserved for them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <sluice/core/result.hpp>
#include <sluice/platform/process.hpp>
#include <string>
#include <vector>

namespace sluice {

/// A file descriptor. Move-only. In a forked child, one that may hold a lock is closed already.
class File {
 public:
  File() = default;
  explicit File(int fd) noexcept;
  /// What `open()` returns, a descriptor or -1, as one that no forked child has, not even one that
  /// another thread forks at this moment: what is to be locked is opened with it.
  template <typename Open>
  [[nodiscard]] static File closed_in_forked_child(Open&& open) {
    const NoForks held;
    File file(open());
    if (file.is_open()) file.enter(held);
    return file;
  }
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File() { close(); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  /// The same from now on.
  void close_in_forked_child();
  /// Whether this process is a forked child of the one that opened it.
  [[nodiscard]] bool is_inherited() const noexcept;
  /// Closes the descriptor; whatever lock it holds is gone with it.
  void close() noexcept;

 private:
  void enter(const NoForks& held);

  int fd_ = -1;
  std::uint32_t fork_generation_ = 0;
  bool is_entered_ = false;  // into the descriptors that a forked child closes
};

/// An open directory and the path it was reached by, for messages.
struct Directory {
  File file;
  std::string path;

  [[nodiscard]] int fd() const noexcept { return file.fd(); }
  [[nodiscard]] std::string path_of(const std::string& name) const { return path + "/" + name; }
};

struct FileStatus {
  std::uint64_t bytes = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t links = 0;
  bool regular = false;
};

/// Turns `errno_value` into a failure: "cannot <action> <path>: <the system's words>".
[[nodiscard]] Failure system_failure(const char* action, const std::string& path, int errno_value);

/// Who must own a directory for it to be used.
enum class OwnedBy : std::uint8_t {
  self,            ///< the effective user
  self_or_sticky,  ///< the effective user, root, or anybody where the directory is sticky
};

/// How often a step is tried again that others undid: directories and files can vanish between two
/// steps, with the last node or by a reaper, again and again.
inline constexpr int kMaxAttempts = 1000;

/// Does `step` again, kMaxAttempts times at most, while it fails with Errc::not_found.
template <typename Step>
[[nodiscard]] auto while_not_found(Step&& step) {
  auto outcome = step();
  for (int i = 1; i < kMaxAttempts && outcome.error() == Errc::not_found; ++i) outcome = step();
  return outcome;
}

/// Opens `name` below `parent`. Where there is none, makes it with `make_mode` (which the umask
/// does not narrow); without that, Errc::not_found.
[[nodiscard]] Result<Directory> open_directory(const Directory& parent, const std::string& name,
                                               OwnedBy owner, std::optional<mode_t> make_mode = {});
/// The same for a path, which may lead through symbolic links; OwnedBy::self_or_sticky.
[[nodiscard]] Result<Directory> open_directory_at_path(const std::string& path,
                                                       std::optional<mode_t> make_mode = {});
/// Names in the directory that do not begin with a dot.
[[nodiscard]] Result<std::vector<std::string>> list(const Directory& directory);

/// Opens an existing regular file. Errc::not_found where there is none.
[[nodiscard]] Result<File> open_file(const Directory& directory, const std::string& name,
                                     bool writable);
[[nodiscard]] Result<FileStatus> status_of(const File& file, const std::string& path);
/// Whether `name` still leads to the open file.
[[nodiscard]] bool leads_to(const Directory& directory, const std::string& name, const File& file);
/// The same for a file that is not open any more, but mapped still.
[[nodiscard]] bool leads_to(const Directory& directory, const std::string& name,
                            const FileStatus& file);

/// Makes the file `to_bytes` long and reserves memory for everything from `from_bytes` on.
/// Errc::no_memory names what was needed and what the file system has.
[[nodiscard]] Result<void> reserve(const File& file, std::uint64_t from_bytes,
                                   std::uint64_t to_bytes, const std::string& path);

/// A file that nobody sees until it is linked: unnamed where the file system can do that, else
/// under a name that begins with a dot.
class NewFile {
 public:
  [[nodiscard]] static Result<NewFile> create(const Directory& directory, mode_t mode);
  /// A named pipe, open for reading and writing without blocking.
  [[nodiscard]] static Result<NewFile> create_pipe(const Directory& directory, mode_t mode);
  NewFile() = default;
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&& other) noexcept;
  ~NewFile();

  [[nodiscard]] File& file() noexcept { return file_; }
  [[nodiscard]] const File& file() const noexcept { return file_; }
  /// Whether it is unnamed, or its temporary name still leads to it.
  [[nodiscard]] bool exists(const Directory& directory) const noexcept {
    return name_.empty() || leads_to(directory, name_, file_);
  }
  /// Gives it the name `name`. Errc::already_exists where that is taken, Errc::not_found where the
  /// directory is gone; it can then be tried again. Unless `is_kept`, the name is removed with this
  /// object, but not by a forked child.
  [[nodiscard]] Result<void> link(const Directory& directory, const std::string& name,
                                  bool is_kept = true);
  /// The open file, after `link`.
  [[nodiscard]] File take() noexcept { return std::move(file_); }

 private:
  static Result<NewFile> create_named(const Directory& directory, mode_t mode, int open_flags);

  File file_;
  int directory_fd_ = -1;
  std::string name_;  // to be removed
};

/// Removes the pipe `name` if nobody has it open for reading. Returns whether it did.
bool remove_dead_pipe(const Directory& directory, const std::string& name) noexcept;

/// Removes the file `name` if its owner is dead: under its lock, which nobody else holds, and after
/// `may_remove`, if any, has returned true. Returns whether it did.
bool remove_dead_file(const Directory& directory, const std::string& name,
                      const std::function<bool(const File&)>& may_remove = {});

/// Removes names that `NewFile` left behind in a process that was killed.
void remove_abandoned(const Directory& directory);

}  // namespace sluice
