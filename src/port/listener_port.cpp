// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/platform/clock.hpp>
#include <sluice/port/listener_port.hpp>

namespace sluice {

Result<ListenerPort*> ListenerPort::create(const Node& node, std::string_view service) {
  auto joined = Service::join(
      node.state(), {.pattern = Pattern::event, .name = std::string(service), .schema = {}});
  if (!joined) return joined.failure();
  std::unique_ptr<ListenerPort> port(new ListenerPort);
  port->service_ = std::move(*joined);
  auto channel = MailboxListener::create(port->service_->directory(), port->service_->board(),
                                         node.id(), port->service_->shared_mode());
  if (!channel) {
    return Failure{channel.error(),
                   fmt::format("service '{}': {}", service, channel.failure().message)};
  }
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

int ListenerPort::fd() noexcept {
  if (is_forked()) {
    fail_forked();
    return -1;
  }
  const auto fd = descriptor();
  if (!fd) {
    failure_ = {fd.error(),
                fmt::format("service '{}': {}", service_->name(), fd.failure().message)};
  }
  return fd ? *fd : -1;
}

std::uint32_t ListenerPort::notifiers() noexcept {
  if (is_forked()) {
    fail_forked();
    return 0;
  }
  channel_->refresh();
  return channel_->notifiers();
}

const Failure& ListenerPort::last_failure() noexcept {
  if (is_forked()) return failure_;
  failure_ = channel_->failure();
  if (failure_.code != Errc::ok) {
    failure_.message = fmt::format("service '{}': {}", service_->name(), failure_.message);
  }
  return failure_;
}

void ListenerPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this listener belongs to the parent process; make one of the child's own"};
}

}  // namespace sluice
