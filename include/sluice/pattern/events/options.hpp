// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen for a notifier and a listener. Every field has a default that suits most
// programs; values outside the limits are refused with Errc::invalid_options.
#pragma once

#include <optional>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/service/open_mode.hpp>

namespace sluice {

/// Events that the listeners get without a call of `notify`, by default none; and how it joins.
struct NotifierOptions {
  /// When the notifier has joined. A listener that comes later does not get it.
  std::optional<EventId> on_join = {};
  /// When it is destroyed.
  std::optional<EventId> on_leave = {};
  /// When it was killed, or ended without being destroyed. A listener that waits gets it within
  /// about 200 ms. Also after `on_leave`, where it was killed while it was being destroyed.
  std::optional<EventId> on_death = {};
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

struct ListenerOptions {
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

}  // namespace sluice
