// SPDX-License-Identifier: Apache-2.0
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/futex.hpp>

namespace sluice {

#if !defined(SYS_futex_waitv)
constexpr long SYS_futex_waitv = 449;  // on every architecture; headers before 5.16 lack it
#endif

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout) noexcept {
  const timespec relative = to_timespec(timeout);
  ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, &relative, nullptr, 0);
}

void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

bool futex_wait_any(std::span<const FutexWait> words,
                    std::chrono::steady_clock::time_point until) noexcept {
  const timespec absolute = to_timespec(until.time_since_epoch());
  const long outcome =
      ::syscall(SYS_futex_waitv, words.data(), words.size(), 0, &absolute, CLOCK_MONOTONIC);
  return outcome >= 0 || errno == EAGAIN || errno == ETIMEDOUT || errno == EINTR;
}

}  // namespace sluice
