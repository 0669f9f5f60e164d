// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/listener_port.hpp>
#include <sluice/pattern/events/options.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Receives the events of every notifier of a service, from its construction on. None is lost;
/// those of the same number that come before they are received are one.
/// Thread safety: one thread at a time; different listeners are independent.
class Listener : public WaitablePortOwner<ListenerPort> {
 public:
  /// Joins `service`, or creates it; notifiers may come later. Errors: see `PortOwner`.
  explicit Listener(const Node& node, std::string_view service, const ListenerOptions& options = {})
      : Listener(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Listener> create(const Node& node, std::string_view service,
                                               const ListenerOptions& options = {}) noexcept {
    return own<Listener>(ListenerPort::create(node, service, options));
  }

  /// The events since the last look; does not block. Wait-free; system calls only when ports have
  /// come or gone. Does not look for notifiers that died: `wait` and `notifiers` do.
  EventSet receive() noexcept { return port_->receive(); }

  /// The same, but sleeps until there are some, at most `timeout`; then the set is empty. Looks
  /// every 100 ms whether notifiers have died.
  template <typename Rep, typename Period>
  EventSet wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return port_->wait(to_timeout(timeout));
  }

  /// Notifiers of the service now; one whose `on_leave` or `on_death` has just come may still be
  /// counted. System calls.
  [[nodiscard]] std::uint32_t notifiers() noexcept { return port_->notifiers(); }

  /// Sleeps until there are at least `count` notifiers, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_notifiers(std::uint32_t count,
                                  std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("notifiers", count, timeout, &ListenerPort::notifiers);
  }

  /// Why the last call may have seen less than there is: forked, closed (moved from), system and
  /// others (it could not look which notifiers are there; it is tried again). `ok`: it has not.
  using WaitablePortOwner::last_failure;

 private:
  using WaitablePortOwner::WaitablePortOwner;
};

}  // namespace sluice
