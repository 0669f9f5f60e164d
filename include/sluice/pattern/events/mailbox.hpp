// SPDX-License-Identifier: Apache-2.0
//
// The files of a listener and of a notifier: which words are where, and who writes them.
//
//   listener.<seat>, its mailbox written by notifiers and the listener, each time with a single
//   atomic instruction that is harmless wherever its maker is killed
//   offset  0        64                    96
//           | header | events, a bit each  | doorbell |
//
//   notifier.<seat>, written before it can be seen
//   offset  0        64        68         72
//           | header | on_join | on_leave | on_death |
//
// Notifying: set the event's bit in each mailbox, one fence, wake who is armed. Listening: exchange
// the words for 0. An event that comes again before it is taken is one event.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/wait/doorbell.hpp>
#include <string>

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

struct ListenerFile {
  FileHeader header;
  alignas(kCacheLineBytes) Mailbox mailbox;
};
static_assert(offsetof(ListenerFile, mailbox) == 64 && sizeof(ListenerFile) == 128);

struct NotifierFile {
  FileHeader header;
  /// 1 + the event that tells of it; 0: none does.
  std::uint32_t on_join;
  std::uint32_t on_leave;
  std::uint32_t on_death;
  std::uint32_t unused[13];
};
static_assert(offsetof(NotifierFile, on_join) == 64 && offsetof(NotifierFile, on_death) == 72 &&
              sizeof(NotifierFile) == 128);

inline constexpr const char* kListenerKind = "listener";
inline constexpr const char* kNotifierKind = "notifier";

/// The event in a field of `NotifierFile`, which may hold anything.
[[nodiscard]] constexpr std::optional<std::uint8_t> event_in(std::uint32_t field) noexcept {
  if (field == 0 || field > kMaxEvents) return std::nullopt;
  return static_cast<std::uint8_t>(field - 1);
}

/// Opens the mailbox `name` of a listener, mapped writable, once its file was checked.
/// Errors: as `SharedFile::open`; Errc::not_found where its owner is dead.
[[nodiscard]] Result<SharedFile> open_mailbox(const Directory& service, const std::string& name);

/// Tells every listener of the service that the notifier with the file `name` is dead, if it wanted
/// that. Doing it again does no harm. False: a listener could not be told; try again later. System
/// calls.
bool announce_death(const Directory& service, const std::string& name);

}  // namespace sluice
