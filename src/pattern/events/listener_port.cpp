// SPDX-License-Identifier: Apache-2.0
#include <sluice/pattern/events/listener_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {

Result<ListenerPort*> ListenerPort::create(const Node& node, std::string_view service) {
  std::unique_ptr<ListenerPort> port(new ListenerPort);
  const auto joined =
      port->join(node, {.pattern = Pattern::event, .name = std::string(service), .schema = {}});
  if (!joined) return joined.failure();
  auto channel = MailboxListener::create(port->service().directory(), port->service().board(),
                                         node.id(), port->service().shared_mode());
  if (!channel) return in_service(service, channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

EventSet ListenerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  if (is_forked()) return receive();
  const Deadline deadline(timeout);
  channel_->look_in_time();  // however busy the mailbox is
  for (;;) {
    const EventSet events = receive();
    if (events) return events;
    const auto left = deadline.left();
    if (left.count() == 0) return {};
    channel_->wait(left);
  }
}

bool ListenerPort::is_ready() noexcept {
  if (is_forked()) return false;
  channel_->follow_changes();
  return channel_->has_any();
}

void ListenerPort::look() noexcept {
  if (!is_forked()) channel_->refresh();
}

std::uint32_t ListenerPort::notifiers() noexcept {
  if (is_forked()) {
    fail_forked();
    return 0;
  }
  has_no_descriptor_ = false;
  channel_->refresh();
  return channel_->notifiers();
}

const Failure& ListenerPort::last_failure() noexcept {
  if (!is_forked() && !has_no_descriptor_) note(channel_->failure());
  return Participant::last_failure();
}

}  // namespace sluice
