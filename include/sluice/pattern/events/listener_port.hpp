// SPDX-License-Identifier: Apache-2.0
//
// What stays in its place when a listener is moved: the service, the channel, and what wait sets
// know of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/mailbox_listener.hpp>
#include <sluice/pattern/participant.hpp>
#include <string_view>

namespace sluice {

/// Lives until it is closed. Thread safety: one thread at a time.
class ListenerPort final : public Participant, public Waitable {
 public:
  /// Errors: see `Listener::Listener`.
  [[nodiscard]] static Result<ListenerPort*> create(const Node& node, std::string_view service);

  EventSet receive() noexcept {
    if (is_forked()) [[unlikely]] {
      fail_forked();
      return {};
    }
    has_no_descriptor_ = false;
    EventSet events(channel_->take());
    if (events.empty() && settle_descriptor()) [[unlikely]]
      events = EventSet(channel_->take());
    return events;
  }

  /// Sleeps until there is something, at most `timeout`.
  EventSet wait(std::chrono::nanoseconds timeout) noexcept;

  void close() noexcept {
    cut_link();
    if (is_forked()) return;  // the parent's: left as it is
    delete this;
  }

  [[nodiscard]] Doorbell& doorbell() noexcept override { return channel_->doorbell(); }
  [[nodiscard]] const Directory& pipes() const noexcept override { return service().directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept {
    const int fd = descriptor_of(*this);
    has_no_descriptor_ = fd < 0;
    return fd;
  }

  [[nodiscard]] std::uint32_t notifiers() noexcept;
  /// Why the last call failed: what its look, or the last one before it, found.
  [[nodiscard]] const Failure& last_failure() noexcept;

 private:
  ListenerPort() noexcept : Participant("listener") {}

  std::unique_ptr<MailboxListener> channel_;
  bool has_no_descriptor_ = false;  // which is why the last call failed
};

}  // namespace sluice
