// SPDX-License-Identifier: Apache-2.0
//
// Sleeping on a word that several processes share. `std::atomic::wait` cannot: its futexes are
// private to a process.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace sluice {

/// Sleeps while `word` is `expected`, for at most `timeout`. May return early. Thread safe.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout) noexcept;

/// Wakes everybody who sleeps on `word`. Thread safe.
void futex_wake_all(const std::atomic<std::uint32_t>& word) noexcept;

}  // namespace sluice
