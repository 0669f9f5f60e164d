// SPDX-License-Identifier: Apache-2.0
//
// For tests which show that something makes no system call and allocates nothing.
//
// Defines `malloc` for the whole program where it can count: include it in one source file.
#pragma once

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <support/child_process.hpp>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef COUNTS_ALLOCATIONS
#endif
#endif
#endif

namespace sluice {

/// Calls of `malloc` so far, by `operator new` too; 0 where a sanitizer has replaced it.
inline std::atomic<std::uint64_t> allocations{0};

/// From here on the kernel kills this thread for any system call but read, write and exit.
inline void forbid_system_calls() { ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); }
/// The exit that is allowed.
[[noreturn]] inline void leave(int status) {
  ::syscall(SYS_exit, status);
  __builtin_unreachable();
}

/// Waits for both. They wait for each other: where one fails, the other is ended.
inline void expect_that_both_succeed(ChildProcess& one, ChildProcess& other) {
  siginfo_t info{};
  ::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
  const bool one_is_first = info.si_pid == one.pid();
  const int status = (one_is_first ? one : other).wait();
  EXPECT_EQ(status, 0);
  if (status != 0) return (one_is_first ? other : one).kill();
  EXPECT_EQ((one_is_first ? other : one).wait(), 0);
}

/// How far somebody has come, for `SharedPage`.
struct Progress {
  std::atomic<std::uint64_t> received{0};
  std::atomic<bool> connected{false};
};

}  // namespace sluice

#if defined(COUNTS_ALLOCATIONS)
extern "C" void* __libc_malloc(std::size_t bytes);     // NOLINT
extern "C" void* malloc(std::size_t bytes) noexcept {  // NOLINT
  sluice::allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
#endif
