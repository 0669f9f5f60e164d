// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/work_queue/producer_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

constexpr std::uint32_t kMaxLoans = 256;
static_assert(kMaxQueueDepth + kMaxLoans <= WorkIndexQueue::kMaxSlots);

Result<void> check(const ProducerOptions& options) {
  return require(
      {{"ProducerOptions::depth", options.depth == kAny ? 1 : options.depth, 1, kMaxQueueDepth},
       {"ProducerOptions::max_loans", options.max_loans, 1, kMaxLoans},
       {"ProducerOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
}

}  // namespace

Result<ProducerPort*> ProducerPort::create(const Node& node, std::string_view service,
                                           Schema schema, const PayloadLayout& payload,
                                           const ProducerOptions& options) {
  if (auto checked = check(options); !checked) return in_service(service, checked.failure());
  ProducerChannel::Config config{.payload = payload, .depth = {}, .max_loans = options.max_loans};
  if (options.depth != kAny) config.depth = options.depth;
  std::unique_ptr<ProducerPort> port(new ProducerPort(options));
  const auto joined = port->join(
      node,
      {.pattern = Pattern::work_queue, .name = std::string(service), .schema = std::move(schema)});
  if (!joined) return joined.failure();
  auto channel =
      ProducerChannel::create(port->service().directory(), port->service().board(), node.id(),
                              port->service().port_mode(), port->service().shared_mode(), config);
  if (!channel) return in_service(service, channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

Loaned ProducerPort::loan_slice(std::uint64_t count) noexcept {
  Loaned loaned = loan();
  if (loaned.payload == nullptr) return loaned;
  loaned.payload = channel_->resize(slots_[loaned.cell], count);
  loaned.count = count;
  if (loaned.payload != nullptr) return loaned;
  cells_.withdraw(loaned.cell);
  return {.error = fail(channel_->failure())};
}

Errc ProducerPort::push_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Errc error = push(cell);
    if (error != Errc::would_block) return error;
    const auto left = deadline.left();
    if (left.count() == 0) {
      fail(Errc::timed_out,
           fmt::format("no room for {} ms, because the oldest of {} jobs is not done",
                       to_ms(timeout), channel_->depth()));
      return Errc::timed_out;
    }
    channel_->wait_for_room(left);
  }
}

bool ProducerPort::wait_until_done(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  while (pending() > 0) {
    const auto left = deadline.left();
    if (left.count() == 0) return false;
    channel_->wait_until_done(left);
  }
  return !is_forked();
}

std::uint32_t ProducerPort::workers() noexcept {
  if (is_forked()) return 0;
  channel_->look();
  return channel_->workers();
}

/// The oldest job may be that of a worker that died.
Errc ProducerPort::fail_full() noexcept {
  channel_->look_now_and_then();
  if (last_failure().code != Errc::would_block) {
    fail(Errc::would_block, fmt::format("the queue is full, because the oldest of {} jobs is not "
                                        "done; use push_for to wait",
                                        channel_->depth()));
  }
  return Errc::would_block;
}

Errc ProducerPort::fail_too_many() noexcept {
  return fail(Errc::too_many_loans, fmt::format("all {} loans are held; push or drop one, or raise "
                                                "ProducerOptions::max_loans",
                                                cells_.count()));
}

}  // namespace sluice
