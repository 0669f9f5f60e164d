// SPDX-License-Identifier: Apache-2.0
//
// What the benchmarks share: a root of their own, a second process, cores to pin to, and medians.
#pragma once

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <sluice/sluice.hpp>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace bench {

/// Nanoseconds of a clock that every process of the machine shares.
[[nodiscard]] inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[nodiscard]] inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

[[nodiscard]] inline bool has_flag(int argc, char** argv, const char* flag) noexcept {
  return std::any_of(argv + 1, argv + argc,
                     [&](const char* argument) { return std::strcmp(argument, flag) == 0; });
}

/// The cores that this process may run on.
[[nodiscard]] inline std::vector<int> cores() {
  cpu_set_t allowed;
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) cores.push_back(core);
  }
  return cores;
}

inline void pin_to(int core) noexcept {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  ::sched_setaffinity(0, sizeof only, &only);
}

/// Runs `work()` in a child process, which dies with this one and exits with what `work` returns.
template <typename Work>
[[nodiscard]] pid_t spawn(Work&& work) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int code = work();
  std::fflush(nullptr);
  ::_exit(code);
}

/// The exit code of `child`, 1 where it was killed.
inline int wait_for(pid_t child) noexcept {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/// Runs `work(root)` in a child process with a root directory of its own, and removes the directory
/// afterwards, whatever became of the child. Returns the child's exit code.
template <typename Work>
int with_root(Work&& work) {
  std::string root = "/dev/shm/sluice-bench-XXXXXX";
  if (::mkdtemp(root.data()) == nullptr) {
    std::perror("mkdtemp");
    return 1;
  }
  const pid_t child = spawn([&] { return work(root); });
  ::signal(SIGINT, SIG_IGN);  // it ends the child, and then this process goes on to clean up
  ::signal(SIGTERM, SIG_IGN);
  const int code = wait_for(child);
  std::error_code ignored;
  std::filesystem::remove_all(root, ignored);
  return code;
}

/// A zero-initialised object that later children share.
template <typename T>
[[nodiscard]] T& shared() {
  void* memory =
      ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) sluice::abort_with("no memory");
  return *new (memory) T{};
}

/// Waits until `publisher` has `count` subscribers.
template <typename T>
void wait_for_subscribers(sluice::Publisher<T>& publisher, std::uint32_t count) {
  while (publisher.subscribers() < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace bench
