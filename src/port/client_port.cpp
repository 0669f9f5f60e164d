// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/platform/clock.hpp>
#include <sluice/port/client_port.hpp>

namespace sluice {
namespace {

Result<void> check(const ClientOptions& options) {
  const auto outside = [](const char* name, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most) {
    return Failure{
        Errc::invalid_options,
        fmt::format("ClientOptions::{} is {}, it must be {} to {}", name, value, least, most)};
  };
  if (options.max_pending < 1 || options.max_pending > kMaxExchanges) {
    return outside("max_pending", options.max_pending, 1, kMaxExchanges);
  }
  if (options.max_borrowed < 1 || options.max_borrowed > kMaxExchanges) {
    return outside("max_borrowed", options.max_borrowed, 1, kMaxExchanges);
  }
  if (options.heap_bytes > kMaxHeapBytes) {
    return outside("heap_bytes", options.heap_bytes, 0, kMaxHeapBytes);
  }
  return {};
}

}  // namespace

Result<ClientPort*> ClientPort::create(const Node& node, std::string_view service,
                                       std::pair<Schema, Schema> schemas,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ClientOptions& options) {
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, fmt::format("service '{}': {}", service, failure.message)};
  };
  if (auto checked = check(options); !checked) return explained(checked.failure());
  auto joined = Service::join(node.state(), {.pattern = Pattern::request_response,
                                             .name = std::string(service),
                                             .schema = std::move(schemas.first),
                                             .response = std::move(schemas.second)});
  if (!joined) return joined.failure();
  std::unique_ptr<ClientPort> port(new ClientPort(options));
  port->service_ = std::move(*joined);
  for (std::uint32_t slot = 0; slot < options.max_pending; ++slot) {
    port->waitables_.push_back(std::make_unique<PendingRequest>(*port, slot));
  }
  auto channel = ClientChannel::create(port->service_->directory(), port->service_->board(),
                                       node.id(), port->service_->port_mode(),
                                       {.request = request,
                                        .response = response,
                                        .max_pending = options.max_pending,
                                        .max_borrowed = options.max_borrowed},
                                       port->cells_);
  if (!channel) return explained(channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

/// Gives a slice its size.
Loaned ClientPort::loan_slice(std::uint64_t count) noexcept {
  Loaned loaned = loan();
  if (loaned.payload == nullptr) return loaned;
  loaned.payload = channel_->resize(loaned.cell, count);
  loaned.count = count;
  if (loaned.payload != nullptr) return loaned;
  cells_.withdraw(loaned.cell);
  return {.error = fail()};
}

Borrowed ClientPort::wait(std::uint32_t cell, std::chrono::nanoseconds timeout,
                          bool& may_wait) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Borrowed borrowed = receive(cell, may_wait);
    if (borrowed.payload != nullptr || borrowed.error != Errc::ok) return borrowed;
    const ClientChannel::Outcome now = channel_->outcome(cell);
    if (now == ClientChannel::Outcome::ended) return {.error = Errc::ok};
    if (now == ClientChannel::Outcome::failed) return {.error = error_of(cell)};
    const auto left = deadline.left();
    if (left.count() == 0) {
      failure_ = {
          Errc::timed_out,
          fmt::format("service '{}': no response for {} ms; {} servers are there", service_->name(),
                      std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count(),
                      channel_->servers())};
      return {.error = Errc::timed_out};
    }
    channel_->wait(cell, left);
  }
}

ClientChannel::Outcome ClientPort::outcome(std::uint32_t cell) noexcept {
  if (is_forked()) return ClientChannel::Outcome::waiting;
  channel_->follow_changes();
  const ClientChannel::Outcome now = channel_->outcome(cell);
  if (now != ClientChannel::Outcome::open || !channel_->is_silent(cell)) return now;
  channel_->refresh();  // somebody may have died without a word
  return channel_->outcome(cell);
}

Errc ClientPort::error_of(std::uint32_t cell) noexcept {
  if (is_forked()) return fail_forked();
  if (outcome(cell) != ClientChannel::Outcome::failed) return Errc::ok;
  const Errc error = channel_->error(cell);
  if (error == Errc::peer_died) {
    failure_ = {error, fmt::format("service '{}': the server died, or left, while it worked on the "
                                   "request; send it again if that does no harm",
                                   service_->name())};
  } else if (failure_.code != error) {
    failure_ = {error, fmt::format("service '{}': the server that had the request is broken",
                                   service_->name())};
  }
  return error;
}

void ClientPort::announce_abandoned() noexcept {
  // seq_cst: pairs with the fence of a server that arms the doorbell and then looks at `wanted`.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  service_->board().doorbell.wake(service_->directory());
}

std::uint32_t ClientPort::servers() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->servers();
}

Doorbell& ClientPort::PendingRequest::doorbell() noexcept {
  return port_.service_->board().doorbell;
}

const Directory& ClientPort::PendingRequest::pipes() const noexcept {
  return port_.service_->directory();
}

mode_t ClientPort::PendingRequest::pipe_mode() const noexcept {
  return port_.service_->shared_mode();
}

bool ClientPort::PendingRequest::is_ready() noexcept {
  if (port_.is_forked()) return false;
  port_.channel_->follow_changes();
  return port_.channel_->is_ready(cell_);
}

void ClientPort::PendingRequest::look() noexcept {
  if (!port_.is_forked()) port_.channel_->refresh();
}

/// Reports the channel's failure once.
int ClientPort::fd(std::uint32_t cell) noexcept {
  if (is_forked()) {
    fail_forked();
    return -1;
  }
  const auto fd = waitables_[cell]->descriptor();
  if (!fd) fail(fd.failure());
  return fd ? *fd : -1;
}

Errc ClientPort::fail() noexcept { return fail(channel_->take_failure()); }

Errc ClientPort::fail(const Failure& failure) noexcept {
  failure_ = {failure.code, fmt::format("service '{}': {}", service_->name(), failure.message)};
  return failure.code;
}

Errc ClientPort::fail_unanswered() noexcept {
  failure_ = {Errc::unanswered,
              fmt::format("service '{}': the server ended the request without a response",
                          service_->name())};
  return Errc::unanswered;
}

Errc ClientPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this client belongs to the parent process; make one of the child's own"};
  return Errc::forked;
}

Errc ClientPort::fail_too_many_requests() noexcept {
  const std::uint32_t abandoned = channel_->abandoned();
  failure_ = {Errc::too_many_loans,
              fmt::format("service '{}': all {} requests are in use, {} of them loaned or pending "
                          "and {} dropped but still with a server; drop some, or raise "
                          "ClientOptions::max_pending",
                          service_->name(), requests_, requests_ - abandoned, abandoned)};
  return Errc::too_many_loans;
}

Errc ClientPort::fail_too_many_responses() noexcept {
  failure_ = {Errc::too_many_borrowed,
              fmt::format("service '{}': all {} responses are held; release one, or raise "
                          "ClientOptions::max_borrowed",
                          service_->name(), cells_.count() - requests_)};
  return Errc::too_many_borrowed;
}

}  // namespace sluice
