// SPDX-License-Identifier: Apache-2.0
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/platform/directory_watcher.hpp>

namespace sluice {
namespace {

constexpr std::uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;
constexpr int kMaxReads = 64;  // what is left makes it readable still

}  // namespace

Result<DirectoryWatcher> DirectoryWatcher::create() {
  DirectoryWatcher watcher;
  watcher.file_ =
      File::closed_in_forked_child([] { return ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC); });
  if (watcher.file_.is_open()) return watcher;
  Failure failure = system_failure("make", "an inotify instance", errno);
  if (errno == EMFILE) {
    failure.message +=
        ", or the user's limit of instances: sysctl fs.inotify.max_user_instances (128 by default)";
  }
  return failure;
}

Result<void> DirectoryWatcher::add(const std::string& path) {
  if (!file_.is_open() || ::inotify_add_watch(file_.fd(), path.c_str(), kNames) >= 0) return {};
  if (errno != ENOSPC) return system_failure("watch directory", path, errno);
  return Failure{Errc::system, "cannot watch directory " + path +
                                   ": the user's limit of watches is reached; raise it: sysctl "
                                   "fs.inotify.max_user_watches"};
}

bool DirectoryWatcher::drain() noexcept {
  alignas(inotify_event) char events[4096];
  bool any = false;
  for (int reads = 0; reads<kMaxReads&& ::read(file_.fd(), events, sizeof events)> 0; ++reads) {
    any = true;
  }
  return any;
}

}  // namespace sluice
