// SPDX-License-Identifier: Apache-2.0
//
// How the tail and the head of a queue move on in which the claim is the cell (`MpmcIndexQueue`,
// `WorkIndexQueue`).
//
// There one compare-and-swap of a cell decides who has a position. Tail and head are hints where to
// look: whoever finds the cell there beyond them moves them on, by exactly one and only from the
// value that it looked at. A participant killed before it did so leaves that to the next one. They
// never run ahead of the cells, and they lag by one at most, for nothing happens at a position
// before they got there.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

struct PositionHint {
  /// Moves a tail or head that is still at `position` to the next one. If it is not, another one
  /// did it.
  static void move_on(std::atomic<std::uint64_t>& hint, std::uint64_t position) noexcept {
    // Release, with the acquire loads of tail and head: the turn that was set or seen at
    // `position`, and by way of the own acquire load, those at all positions before. Relaxed on
    // failure: the value is thrown away.
    hint.compare_exchange_strong(position, position + 1, std::memory_order_release,
                                 std::memory_order_relaxed);
  }

  /// The cell at `position` is in a later turn: moves on and returns true. False if the cell cannot
  /// be that far ahead: then the words are corrupt.
  static bool catch_up(std::atomic<std::uint64_t>& hint, std::uint64_t position,
                       std::int32_t turns_ahead, std::int32_t most_turns_ahead) noexcept {
    if (turns_ahead <= most_turns_ahead) {
      move_on(hint, position);
      return true;
    }
    // Relaxed: only whether it has changed is used.
    return hint.load(std::memory_order_relaxed) != position;
  }
};

}  // namespace sluice
