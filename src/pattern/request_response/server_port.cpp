// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <bit>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

Result<void> check(const ServerOptions& options) {
  return require({{"ServerOptions::max_requests", options.max_requests, 1, kMaxExchanges},
                  {"ServerOptions::max_loans", options.max_loans, 1, kMaxExchanges},
                  {"ServerOptions::depth", options.depth, 1, kMaxResponseDepth},
                  {"ServerOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
}

}  // namespace

Result<ServerPort*> ServerPort::create(const Node& node, std::string_view service,
                                       std::pair<Schema, Schema> schemas,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ServerOptions& options) {
  if (auto checked = check(options); !checked) return in_service(service, checked.failure());
  std::unique_ptr<ServerPort> port(new ServerPort(options));
  const auto joined = port->join(node, {.pattern = Pattern::request_response,
                                        .name = std::string(service),
                                        .schema = std::move(schemas.first),
                                        .response = std::move(schemas.second)});
  if (!joined) return joined.failure();
  auto channel = ServerChannel::create(port->service().directory(), port->service().board(),
                                       node.id(), port->service().port_mode(),
                                       {.request = request,
                                        .response = response,
                                        .max_requests = options.max_requests,
                                        .max_loans = options.max_loans,
                                        .depth = std::bit_ceil(options.depth)},
                                       port->cells_);
  if (!channel) return in_service(service, channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

Taken ServerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Taken taken = receive();
    if (taken.request.payload.data != nullptr || taken.error != Errc::ok) return taken;
    const auto left = deadline.left();
    if (left.count() == 0) return {.error = Errc::timed_out};
    channel_->wait(left);
  }
}

/// Gives a slice its size.
Loaned ServerPort::sized(Loaned loaned, std::uint64_t count) noexcept {
  if (loaned.payload == nullptr) return loaned;
  std::uint32_t& slot = slots_[loaned.cell - requests_];
  loaned.payload = channel_->resize(slot, count);
  loaned.count = count;
  if (loaned.payload != nullptr) return loaned;
  channel_->give_back(std::exchange(slot, kNoSlot));
  cells_.withdraw(loaned.cell);
  return {.error = fail(channel_->take_failure())};
}

Loaned ServerPort::loan_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Loaned loaned = loan(cell);
    if (loaned.error != Errc::would_block) return loaned;
    const auto left = deadline.left();
    if (left.count() == 0) {
      fail(Errc::timed_out,
           fmt::format("no room for {} ms, because the client does not read on", to_ms(timeout)));
      return {.error = Errc::timed_out};
    }
    channel_->wait_for_room(cell, left);
  }
}

void ServerPort::before_close() noexcept {
  cut_link();
  if (!is_forked() && cells_.held() != 0) channel_->leave();
}

bool ServerPort::is_ready() noexcept {
  if (is_forked()) return false;
  channel_->follow_changes();
  return channel_->has_new();
}

void ServerPort::look() noexcept {
  if (!is_forked()) channel_->refresh();
}

std::uint32_t ServerPort::clients() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->clients();
}

void ServerPort::refuse_response() noexcept {
  abort_with("respond with a loan that was made for another request, or in a forked child");
}

Errc ServerPort::fail_loan(Errc code) noexcept {
  if (code != Errc::would_block && code != Errc::abandoned) return fail(channel_->take_failure());
  if (last_failure().code == code) return code;
  const char* const why = code == Errc::would_block
                              ? "no room, because the client has not read on; use loan_for to wait"
                              : "the client has dropped the request, or is gone; end the request";
  return fail(code, why);
}

Errc ServerPort::fail_too_many_requests() noexcept {
  return fail(Errc::too_many_borrowed, fmt::format("all {} requests are held; end one, or raise "
                                                   "ServerOptions::max_requests",
                                                   requests_));
}

Errc ServerPort::fail_too_many_loans() noexcept {
  return fail(Errc::too_many_loans, fmt::format("all {} loans are held; send or drop one, or raise "
                                                "ServerOptions::max_loans",
                                                cells_.count() - requests_));
}

}  // namespace sluice
