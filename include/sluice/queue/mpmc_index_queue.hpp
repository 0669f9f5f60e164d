// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of 32-bit indices for any number of producers and consumers, in memory that all
// of them may write.
//
//   +------+---------+------+---------+--------+--------+-----+---------------+
//   | tail | padding | head | padding | cell 0 | cell 1 | ... | capacity - 1  |
//   +------+---------+------+---------+--------+--------+-----+---------------+
//   0      8         64     72        128 bytes, then 8 a cell
//
//   cell    63           33   32   31          0      turn = 2 * lap + ready, grows by one with
//          +---------------+-------+------------+     each push and each pop: free in lap 0, ready
//          |      lap      | ready |   index    |     in lap 0, free in lap 1, ... Zeroed memory is
//          +---------------+-------+------------+     an empty queue.
//
// A push takes the cell at the tail from free to ready, a pop that at the head from ready to free
// in the next lap; `CellQueue` says why that is all. A value dies with the participant that popped
// it, nothing else is lost.
//
// **ABA.** A compare-and-swap expects a turn, and a cell never sees the same turn again before 2^31
// laps: a participant would have to sleep between two instructions for a multiple of exactly that
// many, and the sleeping pop would also have to find the same index.
//
// Progress: lock-free; an attempt fails only because another one succeeded. Values that no run of
// this code can produce end a push with "full" and a pop with "empty", and no position is used
// unmasked; but whoever may write this memory can lose or invent values.
//
// The stamp with laps is the one of Dmitry Vyukov's bounded MPMC queue and of crossbeam's
// ArrayQueue, which claim with the tail and fill the cell afterwards. Claiming with the cell, and
// moving a lagging tail on, is as in Michael and Scott's queue (PODC 1996).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/cell_queue.hpp>

namespace sluice {

/// The words in front of the cells.
struct MpmcEnds {
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> tail{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> head{0};
};

/// Works on words that others share. Copies work on the same words; any of them may be used from
/// any thread at any time.
class MpmcIndexQueue : public CellQueue<MpmcEnds, 1, 32> {
 public:
  /// Goes on from what the words hold. `capacity` is a power of two, the same for everybody.
  MpmcIndexQueue(Words& words, std::size_t capacity) noexcept : CellQueue(words, capacity) {}

  /// Appends `index`; false when the queue is full.
  [[nodiscard]] bool try_push(std::uint32_t index) noexcept {
    return push_contents(index).has_value();
  }

  /// Takes the oldest index; nothing when the queue is empty.
  [[nodiscard]] std::optional<std::uint32_t> try_pop() noexcept {
    while (auto place = find(words_->head, kReady)) {
      const auto index = static_cast<std::uint32_t>(place->word);
      // Acquire, with the release in `push_contents`: what the index stands for. Relaxed on
      // failure: the word is thrown away.
      if (place->cell->compare_exchange_strong(place->word, freed(place->word),
                                               std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
        // Killed here: the value is gone with its taker, the next one moves the head on.
        move_on(words_->head, place->position);
        return index;
      }
    }
    return std::nullopt;
  }

  /// Number of entries, as far as it can be told while others push and pop; after all came to rest,
  /// one more or less at most (a killed participant did not move the tail or the head on).
  [[nodiscard]] std::size_t size() const noexcept {
    // Relaxed: nothing but the number is used.
    const std::uint64_t head = words_->head.load(std::memory_order_relaxed);
    const std::uint64_t tail = words_->tail.load(std::memory_order_relaxed);
    const auto size = static_cast<std::int64_t>(tail - head);
    return std::min(static_cast<std::size_t>(std::max<std::int64_t>(size, 0)), capacity_);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
};

static_assert(sizeof(MpmcIndexQueue::Words) == 2 * kCacheLineBytes);
static_assert(offsetof(MpmcIndexQueue::Words, tail) == 0);
static_assert(offsetof(MpmcIndexQueue::Words, head) == kCacheLineBytes);

}  // namespace sluice
