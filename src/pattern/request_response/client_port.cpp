// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

Result<void> check(const ClientOptions& options) {
  return require({{"ClientOptions::max_pending", options.max_pending, 1, kMaxExchanges},
                  {"ClientOptions::max_borrowed", options.max_borrowed, 1, kMaxExchanges},
                  {"ClientOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
}

}  // namespace

Result<ClientPort*> ClientPort::create(const Node& node, std::string_view service,
                                       std::pair<Schema, Schema> schemas,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ClientOptions& options) {
  if (auto checked = check(options); !checked) return in_service(service, checked.failure());
  std::unique_ptr<ClientPort> port(new ClientPort(options));
  const auto joined = port->join(node, {.pattern = Pattern::request_response,
                                        .name = std::string(service),
                                        .schema = std::move(schemas.first),
                                        .response = std::move(schemas.second)});
  if (!joined) return joined.failure();
  for (std::uint32_t slot = 0; slot < options.max_pending; ++slot) {
    port->waitables_.push_back(std::make_unique<PendingRequest>(*port, slot));
  }
  auto channel = ClientChannel::create(port->service().directory(), port->service().board(),
                                       node.id(), port->service().port_mode(),
                                       {.request = request,
                                        .response = response,
                                        .max_pending = options.max_pending,
                                        .max_borrowed = options.max_borrowed},
                                       port->cells_);
  if (!channel) return in_service(service, channel.failure());
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
  return {.error = fail(channel_->take_failure())};
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
      fail(Errc::timed_out, fmt::format("no response for {} ms; {} servers are there",
                                        to_ms(timeout), channel_->servers()));
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
    fail(error,
         "the server died, or left, while it worked on the "
         "request; send it again if that does no harm");
  } else if (last_failure().code != error) {
    fail(error, "the server that had the request is broken");
  }
  return error;
}

void ClientPort::announce_abandoned() noexcept {
  // seq_cst: pairs with the fence of a server that arms the doorbell and then looks at `wanted`.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  service().board().doorbell.wake(service().directory());
}

std::uint32_t ClientPort::servers() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->servers();
}

Doorbell& ClientPort::PendingRequest::doorbell() noexcept {
  return port_.service().board().doorbell;
}

const Directory& ClientPort::PendingRequest::pipes() const noexcept {
  return port_.service().directory();
}

mode_t ClientPort::PendingRequest::pipe_mode() const noexcept {
  return port_.service().shared_mode();
}

bool ClientPort::PendingRequest::is_ready() noexcept {
  if (port_.is_forked()) return false;
  port_.channel_->follow_changes();
  return port_.channel_->is_ready(cell_);
}

void ClientPort::PendingRequest::look() noexcept {
  if (!port_.is_forked()) port_.channel_->refresh();
}

Errc ClientPort::fail_unanswered() noexcept {
  return fail(Errc::unanswered, "the server ended the request without a response");
}

Errc ClientPort::fail_too_many_requests() noexcept {
  const std::uint32_t abandoned = channel_->abandoned();
  return fail(Errc::too_many_loans,
              fmt::format("all {} requests are in use, {} of them loaned or pending "
                          "and {} dropped but still with a server; drop some, or raise "
                          "ClientOptions::max_pending",
                          requests_, requests_ - abandoned, abandoned));
}

Errc ClientPort::fail_too_many_responses() noexcept {
  return fail(Errc::too_many_borrowed,
              fmt::format("all {} responses are held; release one, or raise "
                          "ClientOptions::max_borrowed",
                          cells_.count() - requests_));
}

}  // namespace sluice
