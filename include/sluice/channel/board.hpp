// SPDX-License-Identifier: Apache-2.0
//
// The one page of a service that every participant writes: who is here has changed, and somebody
// sleeps. Each store is a single atomic instruction that is harmless wherever its maker is killed.
//
//   offset  0        64            128     132    192
//           | header | generation  | armed | bell | delivery |
//
// Sleeping: read the bell, arm, fence, look once more, sleep while the bell is what it was.
// Waking: make it visible, fence; if armed, disarm, ring, wake. Whichever fence comes second sees
// the other's store. A sleeper killed while armed costs one needless wake-up.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/futex.hpp>

namespace sluice {

/// No sleep is longer: a peer can be killed between its store and its wake.
inline constexpr std::chrono::milliseconds kLongestSleep{100};

struct Board {
  FileHeader header;
  /// Incremented after each join and leave.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> generation;
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> armed;
  std::atomic<std::uint32_t> bell;
  /// 0 until the first publisher decides, then 1 + its `Delivery`.
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> delivery;

  /// After a join or a leave has become visible in the service's directory. Returns the generation
  /// before. Everybody looks again, sleepers too.
  std::uint64_t announce_change() noexcept {
    // acq_rel: pairs with the acquire of `generation` in every look.
    const std::uint64_t before = generation.fetch_add(1, std::memory_order_acq_rel);
    // seq_cst: what follows (a newcomer's look at `head`) comes after the increment.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_sleepers();
    return before;
  }

  [[nodiscard]] std::uint64_t generation_now() const noexcept {
    // acquire: pairs with the increment in `announce_change`.
    return generation.load(std::memory_order_acquire);
  }

  /// Precondition: a seq_cst fence since the change that sleepers wait for. No system call unless
  /// somebody sleeps.
  void wake_sleepers() noexcept {
    // relaxed: ordered by the fence before; pairs with the fence in `sleep_unless`.
    if (armed.load(std::memory_order_relaxed) == 0) return;
    ring();
  }

  /// Sleeps until woken, for at most `timeout` and kLongestSleep, unless `ready()` is true once the
  /// board is armed. Returns what `ready()` said.
  template <typename Ready>
  bool sleep_unless(Ready&& ready, std::chrono::nanoseconds timeout) {
    // acquire: pairs with the increment in `ring`.
    const std::uint32_t before = bell.load(std::memory_order_acquire);
    // relaxed: ordered by the fence that follows.
    armed.store(1, std::memory_order_relaxed);
    // seq_cst: pairs with the fence before `wake_sleepers`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (ready()) return true;
    futex_wait(bell, before, std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
    return false;
  }

  /// First come, first served: returns the policy that holds, `wanted` or an earlier one.
  std::uint32_t decide_delivery(std::uint32_t wanted) noexcept {
    std::uint32_t decided = 0;
    // relaxed: the value is all there is to it.
    delivery.compare_exchange_strong(decided, wanted + 1, std::memory_order_relaxed);
    return decided == 0 ? wanted : decided - 1;
  }

 private:
  void ring() noexcept {
    // acq_rel: one of several wakers wins.
    if (armed.exchange(0, std::memory_order_acq_rel) == 0) return;
    // release: pairs with the acquire in `sleep_unless`.
    bell.fetch_add(1, std::memory_order_release);
    futex_wake_all(bell);
  }
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(offsetof(Board, generation) == 64 && offsetof(Board, armed) == 128 &&
              offsetof(Board, bell) == 132 && offsetof(Board, delivery) == 192);

}  // namespace sluice
