// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/publish_subscribe/subscriber_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

Result<void> check(const SubscriberOptions& options) {
  return require({{"SubscriberOptions::depth", options.depth, 1, UINT32_MAX},
                  {"SubscriberOptions::max_borrowed", options.max_borrowed, 1, kMaxHandles}});
}

}  // namespace

Result<SubscriberPort*> SubscriberPort::create(const Node& node, std::string_view service,
                                               Schema schema, const PayloadLayout& payload,
                                               const SubscriberOptions& options,
                                               bool keeps_current) {
  if (auto checked = check(options); !checked) return in_service(service, checked.failure());
  const BroadcastSubscriber::Config config{.payload = payload,
                                           .depth = options.depth,
                                           .history = options.history,
                                           .max_borrowed = options.max_borrowed,
                                           .keeps_current = keeps_current};
  std::unique_ptr<SubscriberPort> port(new SubscriberPort(options));
  const auto joined = port->join(node, {.pattern = Pattern::publish_subscribe,
                                        .name = std::string(service),
                                        .schema = std::move(schema)});
  if (!joined) return joined.failure();
  auto channel =
      BroadcastSubscriber::create(port->service().directory(), port->service().board(), node.id(),
                                  port->service().port_mode(), config, port->cells_);
  if (!channel) return in_service(service, channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

Borrowed SubscriberPort::wait(Want want, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    if (want != Want::current || is_ready()) {
      const Borrowed borrowed = receive(want);
      if (borrowed.payload != nullptr || borrowed.error != Errc::ok) return borrowed;
    } else if (is_forked()) {
      return {.error = fail_forked()};
    }
    const auto left = deadline.left();
    if (left.count() == 0) return {.error = Errc::timed_out};
    channel_->wait(left);
  }
}

std::uint32_t SubscriberPort::publishers() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->publishers();
}

bool SubscriberPort::is_ready() noexcept {
  if (is_forked()) return false;
  channel_->follow_changes();
  return channel_->has_samples() || channel_->failure().code != Errc::ok;
}

void SubscriberPort::look() noexcept {
  if (!is_forked()) channel_->refresh();
}

Errc SubscriberPort::fail_too_many() noexcept {
  return fail(Errc::too_many_borrowed, fmt::format("all {} samples are held; release one, or raise "
                                                   "SubscriberOptions::max_borrowed",
                                                   cells_.count()));
}

}  // namespace sluice
