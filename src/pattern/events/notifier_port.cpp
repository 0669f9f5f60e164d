// SPDX-License-Identifier: Apache-2.0
#include <sluice/pattern/events/notifier_port.hpp>

namespace sluice {
namespace {

std::optional<std::uint8_t> value_of(std::optional<EventId> id) noexcept {
  return id ? std::optional(id->value) : std::nullopt;
}

}  // namespace

Result<NotifierPort*> NotifierPort::create(const Node& node, std::string_view service,
                                           const NotifierOptions& options) {
  std::unique_ptr<NotifierPort> port(new NotifierPort);
  const auto joined =
      port->join(node, {.pattern = Pattern::event, .name = std::string(service), .schema = {}});
  if (!joined) return joined.failure();
  auto channel = MailboxNotifier::create(port->service().directory(), port->service().board(),
                                         node.id(), port->service().port_mode(),
                                         {.on_join = value_of(options.on_join),
                                          .on_leave = value_of(options.on_leave),
                                          .on_death = value_of(options.on_death)});
  if (!channel) return in_service(service, channel.failure());
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
  if (!is_forked()) note(channel_->failure());
  return Participant::last_failure();
}

}  // namespace sluice
