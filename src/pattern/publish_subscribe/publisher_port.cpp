// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/publish_subscribe/publisher_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

Result<void> check(const PublisherOptions& options) {
  return require(
      {{"PublisherOptions::history", options.history, 0, kMaxDepth},
       {"PublisherOptions::depth", options.depth, 1, kMaxDepth},
       {"PublisherOptions::max_loans", options.max_loans, 1, kMaxHandles},
       {"PublisherOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes},
       {"PublisherOptions::delivery", static_cast<std::uint32_t>(options.delivery), 0, 1}});
}

const char* to_string(std::uint32_t delivery) {
  return delivery == 0 ? "Delivery::latest" : "Delivery::lossless";
}

}  // namespace

Result<PublisherPort*> PublisherPort::create(const Node& node, std::string_view service,
                                             Schema schema, const PayloadLayout& payload,
                                             const PublisherOptions& options) {
  if (auto checked = check(options); !checked) return in_service(service, checked.failure());
  const BroadcastPublisher::Config config{.payload = payload,
                                          .depth = options.depth,
                                          .history = options.history,
                                          .max_loans = options.max_loans,
                                          .lossless = options.delivery == Delivery::lossless};
  std::unique_ptr<PublisherPort> port(new PublisherPort(options));
  const auto joined = port->join(node, {.pattern = Pattern::publish_subscribe,
                                        .name = std::string(service),
                                        .schema = std::move(schema)});
  if (!joined) return joined.failure();
  const auto wanted = static_cast<std::uint32_t>(options.delivery);
  const std::uint32_t decided = port->service().board().decide_delivery(wanted);
  if (decided != wanted) {
    return in_service(service, {Errc::delivery_mismatch,
                                fmt::format("its first publisher chose {}, this one wants {}",
                                            to_string(decided), to_string(wanted))});
  }
  auto channel = BroadcastPublisher::create(port->service().directory(), port->service().board(),
                                            node.id(), port->service().port_mode(), config);
  if (!channel) return in_service(service, channel.failure());
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
  return {.error = fail_loan(channel_->failure().code)};
}

Loaned PublisherPort::loan_for(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Loaned loaned = loan();
    if (loaned.error != Errc::would_block) return loaned;
    const auto left = deadline.left();
    if (left.count() == 0) {
      fail(Errc::timed_out,
           fmt::format("no room for {} ms, because a subscriber does not read on", to_ms(timeout)));
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

Errc PublisherPort::fail_loan(Errc code) noexcept {
  if (code == Errc::would_block) {
    if (last_failure().code != code) {
      fail(code, "no room, because a subscriber has not read on; use loan_for to wait");
    }
  } else {
    fail(code, channel_->failure().message);
  }
  return code;
}

Errc PublisherPort::fail_too_many() noexcept {
  return fail(Errc::too_many_loans,
              fmt::format("all {} loans are held; publish or drop one, or raise "
                          "PublisherOptions::max_loans",
                          cells_.count()));
}

}  // namespace sluice
