// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/publish_subscribe/subscriber_port.hpp>
#include <sluice/pattern/sample.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Values outside the limits are refused with Errc::invalid_options.
struct ReaderOptions {
  /// Values that may be held at once. 1 to 256. Writers have memory for so many more.
  std::uint32_t max_borrowed = 4;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

/// Looks at the newest value of a service, in place. Works with writers and with any publisher.
/// Thread safety: one thread at a time; different readers are independent.
template <typename T>
class Reader : public WaitablePortOwner<SubscriberPort> {
  static_assert(require_port_payload<T>());

 public:
  /// Joins `service`, or creates it; a writer may come later. Errors: see `PortOwner`.
  explicit Reader(const Node& node, std::string_view service, const ReaderOptions& options = {})
      : Reader(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Reader> create(const Node& node, std::string_view service,
                                             const ReaderOptions& options = {}) noexcept {
    return own<Reader>(SubscriberPort::create(
        node, service_of<T>(Pattern::publish_subscribe, service), port_layout<T>(),
        {.max_borrowed = options.max_borrowed, .may_lose = true, .mode = options.mode}, true));
  }

  /// The newest value, whether it was read before or not; false if nothing was ever written. Of
  /// several writers: the one that was written last, by the steady clock at its publication, and
  /// never one that is older than one returned before; of the same moment, either. A writer's last
  /// value stays when the writer is gone, also for a reader that comes later, until another writes
  /// or nobody is in the service. Wait-free; system calls only when ports have come or gone.
  /// Errors: too_many_borrowed, forked, corrupted, version_mismatch.
  [[nodiscard]] Sample<T> read() noexcept {
    return Sample<T>(port_, port_->receive<SubscriberPort::Want::current>());
  }

  /// Sleeps until there is a value that `read` has not returned yet, at most `timeout`, and reads
  /// it. The error is timed_out where there was none.
  template <typename Rep, typename Period>
  [[nodiscard]] Sample<T> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return Sample<T>(port_, port_->wait(SubscriberPort::Want::current, to_timeout(timeout)));
  }

  /// Whether there is a value that `read` has not returned yet. System calls only when ports have
  /// come or gone.
  [[nodiscard]] bool updated() noexcept { return port_->is_updated(); }

  /// Writers (and publishers) of the service that this reader reads from now. System calls.
  [[nodiscard]] std::uint32_t writers() noexcept { return port_->publishers(); }

  /// Sleeps until there are at least `count` writers (or publishers) to read from, at most
  /// `timeout`. Returns ok, or why not (`last_failure()` says the same): timed_out, with how many
  /// there are; forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_writers(std::uint32_t count,
                                std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("writers", count, timeout, &SubscriberPort::publishers);
  }

 private:
  using WaitablePortOwner::WaitablePortOwner;
};

}  // namespace sluice
