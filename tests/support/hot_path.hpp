// SPDX-License-Identifier: Apache-2.0
//
// For tests which show that something makes no system call and allocates nothing.
//
// Defines `malloc` for the whole program: include it in one source file. Not for sanitizers.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <support/child_process.hpp>
#include <support/system_calls.hpp>
#include <vector>

namespace sluice {

/// Calls of `malloc` so far, by `operator new` too.
inline std::atomic<std::uint64_t> allocations{0};

/// Nothing was allocated since there were `before` of them; and if it had been, it would have been
/// noticed.
inline void expect_no_allocation_since(std::uint64_t before) {
  EXPECT_EQ(allocations, before);
  std::vector<int>(1000).swap(*std::make_unique<std::vector<int>>());
  EXPECT_GT(allocations, before);
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

extern "C" void* __libc_malloc(std::size_t bytes);     // NOLINT
extern "C" void* malloc(std::size_t bytes) noexcept {  // NOLINT
  sluice::allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
