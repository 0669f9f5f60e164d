// SPDX-License-Identifier: Apache-2.0
//
// How a sleeper is woken by another process, without a system call where nobody sleeps. A doorbell
// is two words that several processes write, each with single atomic instructions that are harmless
// wherever their maker is killed.
//
//   armed: who is to be woken, kSleepers (on the bell, by futex) and kPipes (by a byte in a pipe)
//   bell:  incremented before the futex is woken
//
// Sleeping: read the bell, arm, fence, look once more, sleep while the bell is what it was.
// Waking: make it visible, fence; if armed, disarm, ring, wake. Whichever fence comes second sees
// the other's store. A sleeper killed while armed costs one needless wake-up.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/platform/file.hpp>
#include <sluice/platform/futex.hpp>
#include <sluice/wait/wake_pipe.hpp>

namespace sluice {

/// No sleep is longer: a peer can be killed between its store and its wake.
inline constexpr std::chrono::milliseconds kLongestSleep{100};

struct Doorbell {
  static constexpr std::uint32_t kSleepers = 1;
  static constexpr std::uint32_t kPipes = 2;

  std::atomic<std::uint32_t> armed;
  std::atomic<std::uint32_t> bell;

  /// What a futex sleeper compares with. Read it before `arm`.
  [[nodiscard]] std::uint32_t rung() const noexcept {
    // acquire: pairs with the increment in `ring`.
    return bell.load(std::memory_order_acquire);
  }

  /// The next waker wakes `who`. Look at what is waited for once more after it.
  void arm(std::uint32_t who) noexcept {
    // relaxed: ordered by the fence that follows.
    armed.fetch_or(who, std::memory_order_relaxed);
    // seq_cst: pairs with the fence before `wake`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }

  /// Precondition: a seq_cst fence since the change that sleepers wait for. No system call unless
  /// somebody sleeps. `pipes` is the directory that holds the sleepers' pipes.
  void wake(const Directory& pipes) noexcept {
    // relaxed: ordered by the fence before; pairs with the fence in `arm`.
    if (armed.load(std::memory_order_relaxed) == 0) return;
    ring(pipes);
  }

  /// Sleeps until woken, for at most `timeout` and kLongestSleep, unless `ready()` is true once the
  /// doorbell is armed. Returns what `ready()` said.
  template <typename Ready>
  bool sleep_unless(Ready&& ready, std::chrono::nanoseconds timeout) {
    const std::uint32_t before = rung();
    arm(kSleepers);
    if (ready()) return true;
    futex_wait(bell, before, std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
    return false;
  }

  /// Wakes who sleeps in `sleep_unless`, to look for something else than what the doorbell is for.
  /// A system call; may be made in a signal handler.
  void rouse() noexcept {
    // release: pairs with the acquire in `rung`.
    bell.fetch_add(1, std::memory_order_release);
    futex_wake_all(bell);
  }

 private:
  void ring(const Directory& pipes) noexcept {
    // acq_rel: of several wakers, one wins each sleeper.
    const std::uint32_t who = armed.exchange(0, std::memory_order_acq_rel);
    if ((who & kSleepers) != 0) {
      // release: pairs with the acquire in `rung`.
      bell.fetch_add(1, std::memory_order_release);
      futex_wake_all(bell);
    }
    if ((who & kPipes) != 0) wake_pipes(pipes);
  }
};

/// What wakes who sleeps for several things: a doorbell, with the directory of its sleepers' pipes
/// and the mode of a new one; or a descriptor that can be read. Neither: nothing but the time.
struct Waker {
  Doorbell* doorbell = nullptr;
  const Directory* pipes = nullptr;
  mode_t pipe_mode = 0;
  int fd = -1;
  bool operator==(const Waker&) const = default;
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(Doorbell) == 8 && offsetof(Doorbell, bell) == 4);

}  // namespace sluice
