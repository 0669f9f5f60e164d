// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/platform/clock.hpp>
#include <sluice/port/subscriber_port.hpp>

namespace sluice {
namespace {

Result<void> check(const SubscriberOptions& options) {
  if (options.depth < 1) {
    return Failure{Errc::invalid_options, "SubscriberOptions::depth is 0, it must be at least 1"};
  }
  if (options.max_borrowed < 1 || options.max_borrowed > kMaxHandles) {
    return Failure{Errc::invalid_options,
                   fmt::format("SubscriberOptions::max_borrowed is {}, it must be 1 to {}",
                               options.max_borrowed, kMaxHandles)};
  }
  return {};
}

}  // namespace

Result<SubscriberPort*> SubscriberPort::create(const Node& node, std::string_view service,
                                               Schema schema, const PayloadLayout& payload,
                                               const SubscriberOptions& options,
                                               bool keeps_current) {
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, fmt::format("service '{}': {}", service, failure.message)};
  };
  if (auto checked = check(options); !checked) return explained(checked.failure());
  const BroadcastSubscriber::Config config{.payload = payload,
                                           .depth = options.depth,
                                           .history = options.history,
                                           .max_borrowed = options.max_borrowed,
                                           .keeps_current = keeps_current};
  auto joined = Service::join(node.state(), {.pattern = Pattern::publish_subscribe,
                                             .name = std::string(service),
                                             .schema = std::move(schema)});
  if (!joined) return joined.failure();
  std::unique_ptr<SubscriberPort> port(new SubscriberPort(options));
  port->service_ = std::move(*joined);
  auto channel =
      BroadcastSubscriber::create(port->service_->directory(), port->service_->board(), node.id(),
                                  port->service_->port_mode(), config, port->cells_);
  if (!channel) return explained(channel.failure());
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

int SubscriberPort::fd() noexcept {
  if (is_forked()) {
    fail_forked();
    return -1;
  }
  const auto fd = descriptor();
  if (!fd) fail(fd.failure());
  return fd ? *fd : -1;
}

/// Reports the channel's failure once.
Errc SubscriberPort::fail() noexcept { return fail(channel_->take_failure()); }

Errc SubscriberPort::fail(const Failure& failure) noexcept {
  failure_ = {failure.code, fmt::format("service '{}': {}", service_->name(), failure.message)};
  return failure.code;
}

Errc SubscriberPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this subscriber belongs to the parent process; make one of the child's own"};
  return Errc::forked;
}

Errc SubscriberPort::fail_too_many() noexcept {
  failure_ = {Errc::too_many_borrowed,
              fmt::format("service '{}': all {} samples are held; release one, or raise "
                          "SubscriberOptions::max_borrowed",
                          service_->name(), cells_.count())};
  return Errc::too_many_borrowed;
}

}  // namespace sluice
