// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/port/notifier_port.hpp>

namespace sluice {
namespace {

std::optional<std::uint8_t> value_of(std::optional<EventId> id) noexcept {
  return id ? std::optional(id->value) : std::nullopt;
}

}  // namespace

Result<NotifierPort*> NotifierPort::create(const Node& node, std::string_view service,
                                           const NotifierOptions& options) {
  auto joined = Service::join(
      node.state(), {.pattern = Pattern::event, .name = std::string(service), .schema = {}});
  if (!joined) return joined.failure();
  std::unique_ptr<NotifierPort> port(new NotifierPort);
  port->service_ = std::move(*joined);
  auto channel = MailboxNotifier::create(port->service_->directory(), port->service_->board(),
                                         node.id(), port->service_->port_mode(),
                                         {.on_join = value_of(options.on_join),
                                          .on_leave = value_of(options.on_leave),
                                          .on_death = value_of(options.on_death)});
  if (!channel) {
    return Failure{channel.error(),
                   fmt::format("service '{}': {}", service, channel.failure().message)};
  }
  port->channel_ = std::move(*channel);
  return port.release();
}

std::uint32_t NotifierPort::listeners() noexcept {
  if (is_forked()) {
    fail_forked();
    return 0;
  }
  channel_->refresh();
  return channel_->listeners();
}

const Failure& NotifierPort::last_failure() noexcept {
  if (is_forked()) return failure_;
  failure_ = channel_->failure();
  if (failure_.code != Errc::ok) {
    failure_.message = fmt::format("service '{}': {}", service_->name(), failure_.message);
  }
  return failure_;
}

void NotifierPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this notifier belongs to the parent process; make one of the child's own"};
}

}  // namespace sluice
