// SPDX-License-Identifier: Apache-2.0
//
// A root directory of a test's own: no test sees another's files, or those of the machine.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace sluice {

/// Makes an empty directory, in SLUICE_ROOT or else in memory where there is /dev/shm, and lets
/// SLUICE_ROOT lead to it. The process that made it removes it with all that it holds; a forked
/// child leaves it alone.
class TemporaryRoot {
 public:
  TemporaryRoot() {
    if (const char* before = std::getenv("SLUICE_ROOT")) before_ = before;
    std::string pattern = before_;
    if (pattern.empty()) pattern = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    pattern += "/sluice-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr || ::setenv("SLUICE_ROOT", pattern.c_str(), 1) != 0) {
      std::perror("TemporaryRoot");
      std::abort();
    }
    path_ = pattern;
  }
  ~TemporaryRoot() {
    if (::getpid() != maker_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    if (before_.empty()) {
      ::unsetenv("SLUICE_ROOT");
    } else {
      ::setenv("SLUICE_ROOT", before_.c_str(), 1);
    }
  }
  TemporaryRoot(const TemporaryRoot&) = delete;
  TemporaryRoot& operator=(const TemporaryRoot&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// What lies below and is no directory, sorted, relative to `path()`.
  [[nodiscard]] std::vector<std::string> files() const { return entries(false); }
  /// The same with directories.
  [[nodiscard]] std::vector<std::string> entries() const { return entries(true); }
  /// Whether no file is left. Directories do not count.
  [[nodiscard]] bool empty() const { return files().empty(); }

 private:
  [[nodiscard]] std::vector<std::string> entries(bool directories) const {
    std::vector<std::string> found;
    std::error_code error;
    std::filesystem::recursive_directory_iterator at(path_, error);
    for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
      std::error_code gone;
      if (!directories && at->is_directory(gone)) continue;
      found.push_back(at->path().lexically_relative(path_).string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  std::string before_;  // SLUICE_ROOT
  std::string path_;
  pid_t maker_ = ::getpid();
};

}  // namespace sluice
