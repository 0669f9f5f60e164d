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
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/memory/fixed_words.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/pattern/events/mailbox.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

struct ListenerFile {
  FileHeader header;
  alignas(kCacheLineBytes) Mailbox mailbox;
};
static_assert(offsetof(ListenerFile, mailbox) == 64 && sizeof(ListenerFile) == 128);

/// A notifier's fixed words. Each is 1 + the event that tells of it; 0: none does.
struct NotifierEvents {
  std::uint32_t on_join;
  std::uint32_t on_leave;
  std::uint32_t on_death;
  std::uint32_t unused;
};

struct NotifierFile {
  FileHeader header;
  FixedWords<NotifierEvents> events;
  std::uint64_t unused[6];
};
static_assert(offsetof(NotifierFile, events) == 64 && offsetof(NotifierEvents, on_death) == 8 &&
              sizeof(NotifierFile) == 128);

extern const PortKind kListenerKind;
extern const PortKind kNotifierKind;

/// The event that tells of the death of the notifier with the mapped file `dead`, whose words may
/// hold anything.
[[nodiscard]] std::optional<std::uint8_t> event_of_death(const SharedFile& dead) noexcept;

}  // namespace sluice
