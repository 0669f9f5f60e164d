// SPDX-License-Identifier: Apache-2.0
//
// Being woken when names in directories come and go: inotify. It says that there is something to
// look at, and not what; so one word stands for a thousand changes, for a queue that ran over, and
// for a directory that was removed.
#pragma once

#include <sluice/platform/file.hpp>
#include <string>

namespace sluice {

/// Move-only. In a forked child it is closed. Thread safety: none.
class DirectoryWatcher {
 public:
  /// One that watches nothing: its descriptor is -1.
  DirectoryWatcher() = default;
  /// Errors: system (the user's limit of instances, or the process's of descriptors), no_memory.
  [[nodiscard]] static Result<DirectoryWatcher> create();

  /// Can be read after a change, until `drain`.
  [[nodiscard]] int fd() const noexcept { return file_.fd(); }

  /// From here on, notices each name that comes to the directory `path` or goes. Does nothing where
  /// it does so already. It ends with the directory; one that is made in its place is another one.
  /// Errors: not_found (no such directory), no_permission, system (the user's limit of watches),
  /// no_memory.
  [[nodiscard]] Result<void> add(const std::string& path);

  /// Whether anything was noticed since the last call. A system call.
  bool drain() noexcept;

 private:
  File file_;
};

}  // namespace sluice
