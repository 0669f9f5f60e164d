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
// tail and head are positions. Position p belongs to cell p % capacity in lap p / capacity; a push
// takes that cell from free to ready, a pop from ready to free in the next lap.
//
// **The claim is the cell.** One compare-and-swap decides who pushes or pops at a position, and the
// same one moves the value. So there is no moment at which a position is taken and not yet filled:
// a participant killed at any instruction has either done nothing or everything, and nobody ever
// waits for anybody. A value dies with the participant that popped it, nothing else is lost.
//
// **A stale tail or head is harmless.** They are hints where to look. Who finds the cell beyond
// them in a later turn moves them on, by exactly one and only from the value that it looked at, and
// tries again; a participant killed before it did so leaves that to the next one. They never run
// ahead: tail gets past p only after the push at p is done. So pushes and pops happen in order of
// position, a cell that is still ready one lap behind the tail means full, one that is still free
// in the head's lap means empty.
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

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/position_hint.hpp>

namespace sluice {

/// Works on words that others share. Copies work on the same words; any of them may be used from
/// any thread at any time.
class MpmcIndexQueue {
 public:
  using Cell = std::atomic<std::uint64_t>;

  /// The shared words: `bytes(capacity)` bytes at a multiple of `kCacheLineBytes`.
  struct Words {
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> tail{0};
    alignas(kCacheLineBytes) std::atomic<std::uint64_t> head{0};

    [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
      return sizeof(Words) + capacity * sizeof(Cell);
    }
    /// Makes an empty queue in `memory`.
    static Words* create(void* memory, std::size_t capacity) noexcept {
      auto* const words = new (memory) Words;
      for (std::size_t i = 0; i != capacity; ++i) new (words->cells() + i) Cell{0};
      return words;
    }
    [[nodiscard]] Cell* cells() noexcept { return reinterpret_cast<Cell*>(this + 1); }
  };

  /// Goes on from what the words hold. `capacity` is a power of two, the same for everybody.
  MpmcIndexQueue(Words& words, std::size_t capacity) noexcept
      : words_(&words), capacity_(capacity), lap_shift_(std::countr_zero(capacity)) {
    assert(std::has_single_bit(capacity));
  }

  /// Appends `index`; false when the queue is full.
  [[nodiscard]] bool try_push(std::uint32_t index) noexcept {
    for (;;) {
      // Acquire, with the release in `PositionHint::move_on`: the cell is seen at least as it was
      // when the tail got here, so that it is one turn behind at most.
      const std::uint64_t position = words_->tail.load(std::memory_order_acquire);
      Cell& cell = cell_at(position);
      // Relaxed: the turn alone decides, and the compare-and-swap tests it again.
      std::uint64_t word = cell.load(std::memory_order_relaxed);
      const std::uint32_t free_turn = 2 * lap_of(position);
      const std::int32_t ahead = turns_ahead(word, free_turn);
      if (ahead < 0) return false;
      if (ahead == 0) {
        // Release, with the acquire in `try_pop`: what the index stands for. Relaxed on failure:
        // the word is thrown away.
        if (cell.compare_exchange_strong(word, pack(free_turn + 1, index),
                                         std::memory_order_release, std::memory_order_relaxed)) {
          // Killed here: the value is in the queue, the tail is behind, the next one moves it on.
          PositionHint::move_on(words_->tail, position);
          return true;
        }
      } else if (!PositionHint::catch_up(words_->tail, position, ahead, kMostTurnsAhead)) {
        return false;
      }
    }
  }

  /// Takes the oldest index; nothing when the queue is empty.
  [[nodiscard]] std::optional<std::uint32_t> try_pop() noexcept {
    for (;;) {
      // Acquire, with the release in `PositionHint::move_on`: the cell is seen at least as it was
      // then.
      const std::uint64_t position = words_->head.load(std::memory_order_acquire);
      Cell& cell = cell_at(position);
      // Relaxed: the turn alone decides, and the compare-and-swap tests it again.
      std::uint64_t word = cell.load(std::memory_order_relaxed);
      const std::uint32_t ready_turn = 2 * lap_of(position) + 1;
      const std::int32_t ahead = turns_ahead(word, ready_turn);
      if (ahead < 0) return std::nullopt;
      if (ahead == 0) {
        const auto index = static_cast<std::uint32_t>(word);
        // Acquire, with the release in `try_push`: what the index stands for. Relaxed on failure:
        // the word is thrown away.
        if (cell.compare_exchange_strong(word, pack(ready_turn + 1, 0), std::memory_order_acquire,
                                         std::memory_order_relaxed)) {
          // Killed here: the value is gone with its taker, the next one moves the head on.
          PositionHint::move_on(words_->head, position);
          return index;
        }
      } else if (!PositionHint::catch_up(words_->head, position, ahead, kMostTurnsAhead)) {
        return std::nullopt;
      }
    }
  }

  /// Number of entries, as far as it can be told while others push and pop; after all came to rest,
  /// one more or less at most (a killed participant did not move the tail or the head on).
  [[nodiscard]] std::size_t size() const noexcept {
    // Relaxed: nothing but the number is used.
    const std::uint64_t head = words_->head.load(std::memory_order_relaxed);
    const std::uint64_t tail = words_->tail.load(std::memory_order_relaxed);
    const auto difference = static_cast<std::int64_t>(tail - head);
    if (difference < 0) return 0;
    const auto size = static_cast<std::size_t>(difference);
    return size < capacity_ ? size : capacity_;
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  // With a tail (head) that is not stale, a cell is two turns ahead at most: three would need a
  // push (pop) one lap later, and for that the tail (head) must have been there.
  static constexpr std::int32_t kMostTurnsAhead = 2;

  static constexpr std::uint64_t pack(std::uint32_t turn, std::uint32_t index) noexcept {
    return std::uint64_t{turn} << 32 | index;
  }
  static constexpr std::int32_t turns_ahead(std::uint64_t word, std::uint32_t turn) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(word >> 32) - turn);
  }
  [[nodiscard]] std::uint32_t lap_of(std::uint64_t position) const noexcept {
    return static_cast<std::uint32_t>(position >> lap_shift_);
  }
  [[nodiscard]] Cell& cell_at(std::uint64_t position) const noexcept {
    return words_->cells()[position & (capacity_ - 1)];
  }

  Words* words_;
  std::size_t capacity_;
  int lap_shift_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(MpmcIndexQueue::Cell) == 8);
static_assert(sizeof(MpmcIndexQueue::Words) == 2 * kCacheLineBytes);
static_assert(offsetof(MpmcIndexQueue::Words, tail) == 0);
static_assert(offsetof(MpmcIndexQueue::Words, head) == kCacheLineBytes);

}  // namespace sluice
