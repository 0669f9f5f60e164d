// SPDX-License-Identifier: Apache-2.0
//
// The one page of a service that every participant writes: who is here has changed, and somebody
// sleeps. Each store is a single atomic instruction that is harmless wherever its maker is killed.
//
//   offset  0        64            128          192        196
//           | header | generation  | doorbell   | delivery | several |
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/wait/doorbell.hpp>

namespace sluice {

/// The pages of a service that nobody owns; whoever removes the service removes them.
inline constexpr const char* kServiceFile = "service";
inline constexpr const char* kBoardFile = "board";
inline constexpr const char* kWorkQueueFile = "work_queue";

struct Board {
  FileHeader header;
  /// Incremented after each join and leave.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> generation;
  alignas(kCacheLineBytes) Doorbell doorbell;
  /// 0 until the first publisher decides, then 1 + its `Delivery`.
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> delivery;
  /// 1 once two publishers were there at the same time.
  std::atomic<std::uint32_t> several;

  /// After a join or a leave has become visible in the directory of the service. Returns the
  /// generation before. Everybody looks again, sleepers too.
  std::uint64_t announce_change(const Directory& service) noexcept {
    // acq_rel: pairs with the acquire of `generation` in every look.
    const std::uint64_t before = generation.fetch_add(1, std::memory_order_acq_rel);
    // seq_cst: what follows (a newcomer's look at `head`) comes after the increment.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    doorbell.wake(service);
    return before;
  }

  [[nodiscard]] std::uint64_t generation_now() const noexcept {
    // acquire: pairs with the increment in `announce_change`.
    return generation.load(std::memory_order_acquire);
  }

  /// First come, first served: returns the policy that holds, `wanted` or an earlier one.
  std::uint32_t decide_delivery(std::uint32_t wanted) noexcept {
    std::uint32_t decided = 0;
    // relaxed: the value is all there is to it.
    delivery.compare_exchange_strong(decided, wanted + 1, std::memory_order_relaxed);
    return decided == 0 ? wanted : decided - 1;
  }
};

static_assert(offsetof(Board, generation) == 64 && offsetof(Board, doorbell) == 128 &&
              offsetof(Board, delivery) == 192 && offsetof(Board, several) == 196);

}  // namespace sluice
