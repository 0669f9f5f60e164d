// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/notifier_port.hpp>
#include <sluice/pattern/events/options.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Sends events to every listener of a service: numbers without a payload, which wake who sleeps.
/// Thread safety: one thread at a time; different notifiers are independent.
class Notifier : public PortOwner<NotifierPort> {
 public:
  /// Joins `service`, or creates it; listeners may come later. Errors: see `PortOwner`.
  explicit Notifier(const Node& node, std::string_view service, const NotifierOptions& options = {})
      : Notifier(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Notifier> create(const Node& node, std::string_view service,
                                               const NotifierOptions& options = {}) noexcept {
    return own<Notifier>(NotifierPort::create(node, service, options));
  }

  /// Sends `id` to every listener that is there; returns how many. One that has not taken the same
  /// event yet gets it once. What this thread did before is seen by whoever takes the event. Never
  /// blocks. Wait-free, in time proportional to the listeners; a system call only if a listener
  /// sleeps or ports have come or gone. A listener that died without a word may still be counted.
  std::uint32_t notify(EventId id) noexcept { return port_->notify(id); }

  /// Listeners of the service now. System calls.
  [[nodiscard]] std::uint32_t listeners() noexcept { return port_->listeners(); }

  /// Sleeps until there are at least `count` listeners, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_listeners(std::uint32_t count,
                                  std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("listeners", count, timeout, &NotifierPort::listeners);
  }

  /// Tells this notifier from every other one: `PortInfo::incarnation`.
  [[nodiscard]] std::uint64_t id() const noexcept { return port_->incarnation(); }

  /// Why the last call may not have reached every listener: forked, closed (moved from), no_memory,
  /// no_address_space or system (they could not be looked at; it is tried again with the next
  /// event). `ok`: it did.
  using PortOwner::last_failure;

 private:
  using PortOwner::PortOwner;
};

}  // namespace sluice
