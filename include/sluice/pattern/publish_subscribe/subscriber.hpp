// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/publish_subscribe/options.hpp>
#include <sluice/pattern/publish_subscribe/subscriber_port.hpp>
#include <sluice/pattern/sample.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Receives the samples of every publisher of a service, in the order in which each published them,
/// publishers in turn. Thread safety: one thread at a time; different subscribers are independent.
template <typename T>
class Subscriber : public WaitablePortOwner<SubscriberPort> {
  static_assert(require_port_payload<T>());

 public:
  /// Joins `service`, or creates it; publishers may come later. Errors: see `PortOwner`.
  explicit Subscriber(const Node& node, std::string_view service,
                      const SubscriberOptions& options = {})
      : Subscriber(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Subscriber> create(const Node& node, std::string_view service,
                                                 const SubscriberOptions& options = {}) noexcept {
    return own<Subscriber>(SubscriberPort::create(
        node, service_of<T>(Pattern::publish_subscribe, service), port_layout<T>(), options));
  }

  /// The next sample; does not block. Wait-free; system calls only when ports have come or gone.
  [[nodiscard]] Sample<T> receive() noexcept {
    return Sample<T>(port_, port_->receive<SubscriberPort::Want::oldest>());
  }

  /// The same, but sleeps until there is one, at most `timeout`.
  template <typename Rep, typename Period>
  [[nodiscard]] Sample<T> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return Sample<T>(port_, port_->wait(SubscriberPort::Want::oldest, to_timeout(timeout)));
  }

  /// The newest sample that was not received yet, passing over older ones, which are not counted as
  /// lost. With several publishers: the one that was published last, by the steady clock; nothing
  /// that is older than what `latest` has returned before.
  [[nodiscard]] Sample<T> latest() noexcept {
    return Sample<T>(port_, port_->receive<SubscriberPort::Want::newest>());
  }

  /// Samples that this subscriber was too slow for, of all publishers together.
  [[nodiscard]] std::uint64_t lost() const noexcept { return port_->lost(); }

  /// Publishers of the service that this subscriber reads from now. System calls.
  [[nodiscard]] std::uint32_t publishers() noexcept { return port_->publishers(); }

  /// Sleeps until there are at least `count` publishers to read from, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_publishers(std::uint32_t count,
                                   std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("publishers", count, timeout, &SubscriberPort::publishers);
  }

 private:
  using WaitablePortOwner::WaitablePortOwner;
};

}  // namespace sluice
