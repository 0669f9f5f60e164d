// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/platform/clock.hpp>
#include <sluice/port/publisher_port.hpp>

namespace sluice {
namespace {

Result<void> check(const PublisherOptions& options) {
  const auto outside = [](const char* name, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most) {
    return Failure{
        Errc::invalid_options,
        fmt::format("PublisherOptions::{} is {}, it must be {} to {}", name, value, least, most)};
  };
  if (options.history > kMaxDepth) {
    return outside("history", options.history, 0, kMaxDepth);
  }
  if (options.depth < 1 || options.depth > kMaxDepth) {
    return outside("depth", options.depth, 1, kMaxDepth);
  }
  if (options.max_loans < 1 || options.max_loans > kMaxHandles) {
    return outside("max_loans", options.max_loans, 1, kMaxHandles);
  }
  if (options.heap_bytes > kMaxHeapBytes) {
    return outside("heap_bytes", options.heap_bytes, 0, kMaxHeapBytes);
  }
  const auto delivery = static_cast<std::uint32_t>(options.delivery);
  if (delivery > 1) return outside("delivery", delivery, 0, 1);
  return {};
}

const char* to_string(std::uint32_t delivery) {
  return delivery == 0 ? "Delivery::latest" : "Delivery::lossless";
}

}  // namespace

Result<PublisherPort*> PublisherPort::create(const Node& node, std::string_view service,
                                             Schema schema, const PayloadLayout& payload,
                                             const PublisherOptions& options) {
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, fmt::format("service '{}': {}", service, failure.message)};
  };
  if (auto checked = check(options); !checked) return explained(checked.failure());
  const BroadcastPublisher::Config config{.payload = payload,
                                          .depth = options.depth,
                                          .history = options.history,
                                          .max_loans = options.max_loans,
                                          .lossless = options.delivery == Delivery::lossless};
  auto joined = Service::join(node.state(), {.pattern = Pattern::publish_subscribe,
                                             .name = std::string(service),
                                             .schema = std::move(schema)});
  if (!joined) return joined.failure();
  std::unique_ptr<PublisherPort> port(new PublisherPort(options));
  port->service_ = std::move(*joined);
  const auto wanted = static_cast<std::uint32_t>(options.delivery);
  const std::uint32_t decided = port->service_->board().decide_delivery(wanted);
  if (decided != wanted) {
    return explained(
        {Errc::delivery_mismatch, fmt::format("its first publisher chose {}, this one wants {}",
                                              to_string(decided), to_string(wanted))});
  }
  auto channel = BroadcastPublisher::create(port->service_->directory(), port->service_->board(),
                                            node.id(), port->service_->port_mode(), config);
  if (!channel) return explained(channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

/// Gives a slice its size.
Loaned PublisherPort::sized(Loaned loaned, std::uint64_t count) noexcept {
  if (loaned.payload == nullptr) return loaned;
  loaned.payload = channel_->resize(slots_[loaned.cell], count);
  loaned.count = count;
  if (loaned.payload != nullptr) return loaned;
  channel_->give_back(std::exchange(slots_[loaned.cell], kNoSlot));
  cells_.withdraw(loaned.cell);
  return {.error = fail(channel_->failure().code)};
}

Loaned PublisherPort::loan_for(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Loaned loaned = loan();
    if (loaned.error != Errc::would_block) return loaned;
    const auto left = deadline.left();
    if (left.count() == 0) {
      failure_ = {
          Errc::timed_out,
          fmt::format("service '{}': no room for {} ms, because a subscriber does not read "
                      "on",
                      service_->name(),
                      std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count())};
      return {.error = Errc::timed_out};
    }
    channel_->wait_for_room(cells_.held(), left);
  }
}

std::uint32_t PublisherPort::subscribers() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->subscribers();
}

Errc PublisherPort::fail(Errc code) noexcept {
  if (code == Errc::would_block) {
    if (failure_.code != code) {
      failure_ = {code, fmt::format("service '{}': no room, because a subscriber has not read on; "
                                    "use loan_for to wait",
                                    service_->name())};
    }
  } else {
    failure_ = {code,
                fmt::format("service '{}': {}", service_->name(), channel_->failure().message)};
  }
  return code;
}

Errc PublisherPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this publisher belongs to the parent process; make one of the child's own"};
  return Errc::forked;
}

Errc PublisherPort::fail_too_many() noexcept {
  failure_ = {Errc::too_many_loans,
              fmt::format("service '{}': all {} loans are held; publish or drop one, or raise "
                          "PublisherOptions::max_loans",
                          service_->name(), cells_.count())};
  return Errc::too_many_loans;
}

}  // namespace sluice
