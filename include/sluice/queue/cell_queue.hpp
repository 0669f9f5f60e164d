// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue in which the claim is the cell: what `MpmcIndexQueue` and `WorkIndexQueue` share.
//
//   cell    63                          kTurnShift            0
//          +-------------------+---------------+---------------+   turn = lap and state; it grows
//          |        lap        |     state     |   contents    |   with each step of the cell
//          +-------------------+---------------+---------------+
//
// tail and head are positions. Position p belongs to cell p % capacity in lap p / capacity. Zeroed
// memory is an empty queue: every cell is free in lap 0.
//
// **The claim is the cell.** One compare-and-swap of a cell decides who pushes or pops at a
// position, and the same one moves the value. So there is no moment at which a position is taken
// and not yet filled: a participant killed at any instruction has either done nothing or
// everything, and nobody ever waits for anybody.
//
// **A stale tail or head is harmless.** They are hints where to look: whoever finds the cell there
// in a later turn moves them on, by exactly one and only from the value that it looked at, and
// tries again. A participant killed before it did so leaves that to the next one. They never run
// ahead of the cells, and they lag by one at most, for nothing happens at a position before they
// got there. So pushes and first pops happen in order of position, a cell that is not yet free in
// the tail's lap means full, one that is not yet ready in the head's lap means empty.
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/platform/cache_line.hpp>

namespace sluice {

/// Works on words that others share: `Ends`, which has `tail` and `head`, and behind it the cells.
template <typename Ends, int kStateBits, int kTurnShift>
class CellQueue {
 public:
  using Cell = std::atomic<std::uint64_t>;
  static_assert(Cell::is_always_lock_free && sizeof(Cell) == 8);

  /// The shared words: `bytes(capacity)` bytes at a multiple of `kCacheLineBytes`.
  struct Words : Ends {
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

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 protected:
  static constexpr std::uint64_t kOneTurn = std::uint64_t{1} << kTurnShift;

  enum State : std::int32_t { kFree = 0, kReady = 1, kTaken = 2 };

  struct Place {
    Cell* cell;
    std::uint64_t position;
    std::uint64_t word;  // what the cell held
  };

  CellQueue(Words& words, std::size_t capacity) noexcept
      : words_(&words), capacity_(capacity), lap_shift_(std::countr_zero(capacity)) {
    assert(std::has_single_bit(capacity));
  }

  static constexpr std::uint32_t turn_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> kTurnShift);
  }
  // Free in the next lap.
  static constexpr std::uint64_t freed(std::uint64_t word) noexcept {
    return ((word >> (kTurnShift + kStateBits)) + 1) << (kTurnShift + kStateBits);
  }
  // A turn has 64 - kTurnShift bits; the others are shifted out.
  static constexpr std::int32_t turns_ahead(std::uint64_t word, std::uint32_t turn) noexcept {
    return static_cast<std::int32_t>((turn_of(word) - turn) << (kTurnShift - 32)) >>
           (kTurnShift - 32);
  }
  [[nodiscard]] std::uint32_t turn(std::uint64_t position, State state) const noexcept {
    return static_cast<std::uint32_t>(position >> lap_shift_) << kStateBits |
           static_cast<std::uint32_t>(state);
  }
  [[nodiscard]] Cell& cell_at(std::uint64_t position) const noexcept {
    return words_->cells()[position & (capacity_ - 1)];
  }

  // Moves a tail or head that is still at `position` to the next one. If it is not, another one
  // did it.
  static void move_on(std::atomic<std::uint64_t>& hint, std::uint64_t position) noexcept {
    // Release, with the acquire in `find`: the turn that was set or seen at `position`, and by way
    // of the own acquire load, those at all positions before. Relaxed on failure: the value is
    // thrown away.
    hint.compare_exchange_strong(position, position + 1, std::memory_order_release,
                                 std::memory_order_relaxed);
  }

  // The cell at the tail (head) once it is free (ready); nothing if it is behind that, the queue is
  // full (empty), or if it cannot be that far ahead, the words are corrupt. Goes round again only
  // when the tail (head) moved.
  [[nodiscard]] std::optional<Place> find(std::atomic<std::uint64_t>& hint,
                                          State state) const noexcept {
    for (;;) {
      // Acquire, with the release in `move_on`: the cell is seen at least as it was when the tail
      // (head) got here, so that it is one lap behind at most.
      const std::uint64_t position = hint.load(std::memory_order_acquire);
      Cell& cell = cell_at(position);
      // Relaxed: the turn alone decides, and the compare-and-swap tests it again.
      const std::uint64_t word = cell.load(std::memory_order_relaxed);
      const std::int32_t ahead = turns_ahead(word, turn(position, state));
      if (ahead < 0) return std::nullopt;
      if (ahead == 0) return Place{&cell, position, word};
      // At most the same state in the next lap. What comes after that, a push or a first pop one
      // lap later, needs a tail or head that got there.
      if (ahead <= 1 << kStateBits) {
        move_on(hint, position);
      } else if (hint.load(std::memory_order_relaxed) == position) {  // relaxed: has it changed?
        return std::nullopt;
      }
    }
  }

  // Pushes; the position of what was pushed, or nothing when the queue is full.
  std::optional<std::uint64_t> push_contents(std::uint64_t contents) noexcept {
    while (auto place = find(words_->tail, kFree)) {
      const std::uint64_t word = turn(place->position, kReady) * kOneTurn | contents;
      // Release, with the acquire of whoever takes it: what the contents stand for. Relaxed on
      // failure: another push was first, and the word is thrown away.
      if (place->cell->compare_exchange_strong(place->word, word, std::memory_order_release,
                                               std::memory_order_relaxed)) {
        // Killed here: it is in the queue, the tail is behind, the next one moves it on.
        move_on(words_->tail, place->position);
        return place->position;
      }
    }
    return std::nullopt;
  }

  Words* words_;
  std::size_t capacity_;
  int lap_shift_;
};

}  // namespace sluice
