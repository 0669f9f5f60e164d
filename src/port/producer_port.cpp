// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/platform/clock.hpp>
#include <sluice/port/producer_port.hpp>

namespace sluice {
namespace {

constexpr std::uint32_t kMaxLoans = 256;
static_assert(kMaxQueueDepth + kMaxLoans <= WorkIndexQueue::kMaxSlots);

Result<void> check(const ProducerOptions& options) {
  const auto outside = [](const char* name, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most) {
    return Failure{
        Errc::invalid_options,
        fmt::format("ProducerOptions::{} is {}, it must be {} to {}", name, value, least, most)};
  };
  if (options.depth != kAny && (options.depth < 1 || options.depth > kMaxQueueDepth)) {
    return outside("depth", options.depth, 1, kMaxQueueDepth);
  }
  if (options.max_loans < 1 || options.max_loans > kMaxLoans) {
    return outside("max_loans", options.max_loans, 1, kMaxLoans);
  }
  if (options.heap_bytes > kMaxHeapBytes) {
    return outside("heap_bytes", options.heap_bytes, 0, kMaxHeapBytes);
  }
  return {};
}

}  // namespace

Result<ProducerPort*> ProducerPort::create(const Node& node, std::string_view service,
                                           Schema schema, const PayloadLayout& payload,
                                           const ProducerOptions& options) {
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, fmt::format("service '{}': {}", service, failure.message)};
  };
  if (auto checked = check(options); !checked) return explained(checked.failure());
  ProducerChannel::Config config{.payload = payload, .depth = {}, .max_loans = options.max_loans};
  if (options.depth != kAny) config.depth = options.depth;
  auto joined = Service::join(
      node.state(),
      {.pattern = Pattern::work_queue, .name = std::string(service), .schema = std::move(schema)});
  if (!joined) return joined.failure();
  std::unique_ptr<ProducerPort> port(new ProducerPort(options));
  port->service_ = std::move(*joined);
  auto channel =
      ProducerChannel::create(port->service_->directory(), port->service_->board(), node.id(),
                              port->service_->port_mode(), port->service_->shared_mode(), config);
  if (!channel) return explained(channel.failure());
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
  return {.error = fail()};
}

Errc ProducerPort::push_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Errc error = push(cell);
    if (error != Errc::would_block) return error;
    const auto left = deadline.left();
    if (left.count() == 0) {
      failure_ = {
          Errc::timed_out,
          fmt::format("service '{}': no room for {} ms, because the oldest of {} jobs is "
                      "not done",
                      service_->name(),
                      std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count(),
                      channel_->depth())};
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

Errc ProducerPort::fail() noexcept {
  const Failure& failure = channel_->failure();
  failure_ = {failure.code, fmt::format("service '{}': {}", service_->name(), failure.message)};
  return failure.code;
}

/// The oldest job may be that of a worker that died.
Errc ProducerPort::fail_full() noexcept {
  channel_->look_now_and_then();
  if (failure_.code != Errc::would_block) {
    failure_ = {Errc::would_block,
                fmt::format("service '{}': the queue is full, because the oldest of {} jobs is not "
                            "done; use push_for to wait",
                            service_->name(), channel_->depth())};
  }
  return Errc::would_block;
}

Errc ProducerPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this producer belongs to the parent process; make one of the child's own"};
  return Errc::forked;
}

Errc ProducerPort::fail_too_many() noexcept {
  failure_ = {Errc::too_many_loans,
              fmt::format("service '{}': all {} loans are held; push or drop one, or raise "
                          "ProducerOptions::max_loans",
                          service_->name(), cells_.count())};
  return Errc::too_many_loans;
}

}  // namespace sluice
