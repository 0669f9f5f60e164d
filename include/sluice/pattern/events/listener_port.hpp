// SPDX-License-Identifier: Apache-2.0
//
// A listener: its file with the mailbox, and the notifiers whose death it notices.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/layout.hpp>
#include <sluice/pattern/events/options.hpp>
#include <sluice/pattern/port.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Without handles. Thread safety: one thread at a time.
class ListenerPort final : public ReceivingPort {
 public:
  /// Errors: see `Listener::Listener`.
  [[nodiscard]] static Result<ListenerPort*> create(const Node& node, std::string_view service,
                                                    const ListenerOptions& options);
  /// For `create`, both.
  explicit ListenerPort(std::shared_ptr<Service> service)
      : ReceivingPort(kListenerKind, std::move(service)) {}
  Result<void> open();

  /// The events that have come since the last call. Wait-free; system calls only if ports came or
  /// went.
  EventSet receive() noexcept {
    if (is_forked()) [[unlikely]] {
      fail_forked();
      return {};
    }
    if (has_failure_of_fd_) [[unlikely]]
      forget_failure_of_fd();
    EventSet events = take();
    if (events.empty() && settle_descriptor()) [[unlikely]]
      events = take();
    return events;
  }

  /// Sleeps until there is something, at most `timeout`. Looks whether notifiers have died every
  /// kLongestSleep.
  EventSet wait(std::chrono::nanoseconds timeout) noexcept;

  [[nodiscard]] Doorbell& doorbell() noexcept override { return mailbox().doorbell; }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept {
    const int fd = descriptor_of(*this);
    if (fd < 0 && !is_forked()) has_failure_of_fd_ = true;
    return fd;
  }

  [[nodiscard]] std::uint32_t notifiers() noexcept;

 private:
  void rouse() noexcept override {
    mailbox().doorbell.rouse();
    Port::rouse();
  }
  [[nodiscard]] Mailbox& mailbox() const noexcept { return file_.words<ListenerFile>().mailbox; }
  [[nodiscard]] EventSet take() noexcept {
    follow_changes();
    return EventSet(mailbox().take());
  }

  /// That is no failure of the call under way.
  void forget_failure_of_fd() noexcept {
    has_failure_of_fd_ = false;
    note({});
  }
  void follow_changes() noexcept {
    if (board().generation_now() != seen_generation_) [[unlikely]]
      look();
  }
  /// Looks if the last look is kLongestSleep ago.
  void look_in_time() noexcept {
    if (next_look_.left().count() == 0) look();
  }
  Result<void> look_at_notifiers();
  void report_death(const std::string& name, std::vector<std::uint64_t>& reported);

  bool has_failure_of_fd_ = false;
  std::uint64_t seen_generation_ = 0;
  Deadline next_look_{std::chrono::nanoseconds{0}};
  std::uint32_t notifiers_ = 0;               // of the last look
  std::vector<std::uint64_t> reported_dead_;  // dead notifiers that another user has to reap
};

}  // namespace sluice
