// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <bit>
#include <sluice/platform/clock.hpp>
#include <sluice/port/server_port.hpp>

namespace sluice {
namespace {

Result<void> check(const ServerOptions& options) {
  const auto outside = [](const char* name, std::uint64_t value, std::uint64_t least,
                          std::uint64_t most) {
    return Failure{
        Errc::invalid_options,
        fmt::format("ServerOptions::{} is {}, it must be {} to {}", name, value, least, most)};
  };
  if (options.max_requests < 1 || options.max_requests > kMaxExchanges) {
    return outside("max_requests", options.max_requests, 1, kMaxExchanges);
  }
  if (options.max_loans < 1 || options.max_loans > kMaxExchanges) {
    return outside("max_loans", options.max_loans, 1, kMaxExchanges);
  }
  if (options.depth < 1 || options.depth > kMaxResponseDepth) {
    return outside("depth", options.depth, 1, kMaxResponseDepth);
  }
  if (options.heap_bytes > kMaxHeapBytes) {
    return outside("heap_bytes", options.heap_bytes, 0, kMaxHeapBytes);
  }
  return {};
}

}  // namespace

Result<ServerPort*> ServerPort::create(const Node& node, std::string_view service,
                                       std::pair<Schema, Schema> schemas,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ServerOptions& options) {
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, fmt::format("service '{}': {}", service, failure.message)};
  };
  if (auto checked = check(options); !checked) return explained(checked.failure());
  auto joined = Service::join(node.state(), {.pattern = Pattern::request_response,
                                             .name = std::string(service),
                                             .schema = std::move(schemas.first),
                                             .response = std::move(schemas.second)});
  if (!joined) return joined.failure();
  std::unique_ptr<ServerPort> port(new ServerPort(options));
  port->service_ = std::move(*joined);
  auto channel = ServerChannel::create(port->service_->directory(), port->service_->board(),
                                       node.id(), port->service_->port_mode(),
                                       {.request = request,
                                        .response = response,
                                        .max_requests = options.max_requests,
                                        .max_loans = options.max_loans,
                                        .depth = std::bit_ceil(options.depth)},
                                       port->cells_);
  if (!channel) return explained(channel.failure());
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
  return {.error = fail()};
}

Loaned ServerPort::loan_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Loaned loaned = loan(cell);
    if (loaned.error != Errc::would_block) return loaned;
    const auto left = deadline.left();
    if (left.count() == 0) {
      failure_ = {
          Errc::timed_out,
          fmt::format("service '{}': no room for {} ms, because the client does not read on",
                      service_->name(),
                      std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count())};
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

/// Reports the channel's failure once.
int ServerPort::fd() noexcept {
  if (is_forked()) {
    fail_forked();
    return -1;
  }
  const auto fd = descriptor();
  if (!fd) fail(fd.failure());
  return fd ? *fd : -1;
}

Errc ServerPort::fail() noexcept { return fail(channel_->take_failure()); }

Errc ServerPort::fail(const Failure& failure) noexcept {
  failure_ = {failure.code, fmt::format("service '{}': {}", service_->name(), failure.message)};
  return failure.code;
}

Errc ServerPort::fail(Errc code) noexcept {
  if (code != Errc::would_block && code != Errc::abandoned) return fail();
  if (failure_.code == code) return code;
  const char* const why = code == Errc::would_block
                              ? "no room, because the client has not read on; use loan_for to wait"
                              : "the client has dropped the request, or is gone; end the request";
  failure_ = {code, fmt::format("service '{}': {}", service_->name(), why)};
  return code;
}

Errc ServerPort::fail_forked() noexcept {
  failure_ = {Errc::forked,
              "this server belongs to the parent process; make one of the child's own"};
  return Errc::forked;
}

Errc ServerPort::fail_too_many_requests() noexcept {
  failure_ = {Errc::too_many_borrowed,
              fmt::format("service '{}': all {} requests are held; end one, or raise "
                          "ServerOptions::max_requests",
                          service_->name(), requests_)};
  return Errc::too_many_borrowed;
}

Errc ServerPort::fail_too_many_loans() noexcept {
  failure_ = {Errc::too_many_loans,
              fmt::format("service '{}': all {} loans are held; send or drop one, or raise "
                          "ServerOptions::max_loans",
                          service_->name(), cells_.count() - requests_)};
  return Errc::too_many_loans;
}

}  // namespace sluice
