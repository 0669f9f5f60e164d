// SPDX-License-Identifier: Apache-2.0
//
// Where a listener receives events: a bit for each, and the doorbell that wakes who waits for one.
//
// Notifying: set the event's bit in each mailbox, one fence, wake who is armed. Listening: exchange
// the words for 0. An event that comes again before it is taken is one event.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/wait/doorbell.hpp>

namespace sluice {

inline constexpr std::uint32_t kMaxEvents = 256;

/// Event e is bit e % 64 of word e / 64.
using EventWords = std::array<std::uint64_t, kMaxEvents / 64>;

/// Wait-free. All of it in one cache line: a notifier waits for one.
struct Mailbox {
  std::atomic<std::uint64_t> events[kMaxEvents / 64];
  Doorbell doorbell;

  /// Then a seq_cst fence, one for any number of mailboxes, and `doorbell.wake`.
  void put(std::uint8_t event) noexcept {
    // release: pairs with the exchange in `take`. Not left out where the bit is set already:
    // whoever takes it must see what came before this call, too.
    events[event / 64].fetch_or(std::uint64_t{1} << (event % 64), std::memory_order_release);
  }

  [[nodiscard]] bool has_any() const noexcept {
    for (const auto& word : events) {
      // relaxed: a hint, and before a sleep ordered by the fence in `Doorbell::arm`.
      if (word.load(std::memory_order_relaxed) != 0) return true;
    }
    return false;
  }

  /// What has come since the last call. What comes during it is taken now or the next time.
  [[nodiscard]] EventWords take() noexcept {
    EventWords taken{};
    for (std::size_t i = 0; i < taken.size(); ++i) {
      // relaxed: a hint; it spares the line from being written where nothing has come.
      if (events[i].load(std::memory_order_relaxed) == 0) continue;
      // acquire: pairs with the release of every `put` whose bit it takes.
      taken[i] = events[i].exchange(0, std::memory_order_acquire);
    }
    return taken;
  }
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Mailbox) == 40 && offsetof(Mailbox, doorbell) == 32);

}  // namespace sluice
