// SPDX-License-Identifier: Apache-2.0
//
// Sleeping on a word that several processes share. `std::atomic::wait` cannot: its futexes are
// private to a process.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

/// Sleeps while `word` is `expected`, for at most `timeout`. May return early. Thread safe.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout) noexcept;

/// Wakes everybody who sleeps on `word`. Thread safe, also in a signal handler.
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

/// One of several words to sleep on. Laid out as the kernel reads it (`struct futex_waitv`).
struct FutexWait {
  FutexWait(const std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept
      : expected(value), address(reinterpret_cast<std::uintptr_t>(&word)) {}

  std::uint64_t expected;
  std::uint64_t address;
  std::uint32_t flags = 2;  // 32 bits, shared between processes
  std::uint32_t reserved = 0;
};
static_assert(sizeof(FutexWait) == 24);

/// What one sleep can wait for.
inline constexpr std::size_t kMaxFutexWaits = 128;

/// Sleeps while each of `words`, at most kMaxFutexWaits, is what is expected, until `until`. May
/// return early. False: this system cannot (Linux before 5.16, or a sandbox). Thread safe.
[[nodiscard]] bool futex_wait_any(std::span<const FutexWait> words,
                                  std::chrono::steady_clock::time_point until) noexcept;

}  // namespace sluice
