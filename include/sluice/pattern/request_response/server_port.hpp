// SPDX-License-Identifier: Apache-2.0
//
// What is the same for servers of all types: the service, the channel, and which requests and loans
// of responses are held.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <sluice/pattern/request_response/server_channel.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// A request as a server hands it out.
struct Taken {
  ServerChannel::Request request = {};  ///< no payload: none
  std::uint32_t cell = 0;
  Errc error = Errc::ok;
};

/// Thread safety: one thread at a time, except `drop` and `end`.
class ServerPort final : public HandleOwner, public Waitable {
 public:
  ~ServerPort() override = default;

  /// Errors: see `Server::Server`.
  [[nodiscard]] static Result<ServerPort*> create(const Node& node, std::string_view service,
                                                  std::pair<Schema, Schema> schemas,
                                                  const PayloadLayout& request,
                                                  const PayloadLayout& response,
                                                  const ServerOptions& options);

  [[nodiscard]] Taken receive() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire(0, requests_);
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many_requests()};
    const ServerChannel::Request* request = &channel_->take(cell);
    if (request->payload.data == nullptr && settle_descriptor()) [[unlikely]]
      request = &channel_->take(cell);
    if (request->payload.data == nullptr) {
      cells_.withdraw(cell);
      return {.error = report(*channel_)};
    }
    return {.request = *request, .cell = cell};
  }
  /// Sleeps until there is one, at most `timeout`.
  [[nodiscard]] Taken wait(std::chrono::nanoseconds timeout) noexcept;

  /// A response to the request of `cell`.
  [[nodiscard]] Loaned loan(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t handle = cells_.acquire(requests_, cells_.count());
    if (handle == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many_loans()};
    std::uint32_t& slot = slots_[handle - requests_];
    if (slot != kNoSlot) channel_->give_back(slot);  // of a loan that was dropped
    slot = kNoSlot;
    if (const Errc error = channel_->acquire(cell, handle - requests_, slot); error != Errc::ok)
        [[unlikely]] {
      cells_.withdraw(handle);
      return {.error = fail_loan(error)};
    }
    return {.payload = channel_->payload(slot), .cell = handle};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint32_t cell, std::uint64_t count) noexcept {
    return sized(loan(cell), count);
  }
  /// Waits for room, at most `timeout`.
  [[nodiscard]] Loaned loan_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] Loaned loan_slice_for(std::uint32_t cell, std::chrono::nanoseconds timeout,
                                      std::uint64_t count) noexcept {
    return sized(loan_for(cell, timeout), count);
  }

  /// Sends what the loan of `handle` holds as a response to the request of `cell`.
  void respond(std::uint32_t cell, std::uint32_t handle) noexcept {
    if (is_forked() || !channel_->is_for(handle - requests_, cell)) [[unlikely]]
      refuse_response();
    channel_->respond(cell, slots_[handle - requests_]);
    slots_[handle - requests_] = kNoSlot;
    cells_.withdraw(handle);
  }

  /// The request is done with: ends its stream and gives its memory back. Any thread.
  void end(const Taken& taken) noexcept {
    if (is_forked()) [[unlikely]]
      return;  // the parent's
    end_request(*taken.request.done, taken.request.number);
    channel_->wake();
    drop(taken.cell);
  }

  [[nodiscard]] Doorbell& doorbell() noexcept override { return service().board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return service().directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept { return descriptor_of(*this); }

  [[nodiscard]] std::uint32_t clients() noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return channel_->incarnation(); }
  /// Slots for responses that exist.
  [[nodiscard]] std::uint32_t slots() const noexcept { return channel_->slots(); }

 private:
  explicit ServerPort(const ServerOptions& options)
      : HandleOwner("server", options.max_requests + options.max_loans),
        requests_(options.max_requests),
        slots_(options.max_loans, kNoSlot) {}

  static constexpr std::uint32_t kNoSlot = UINT32_MAX;

  void before_close() noexcept override;
  [[nodiscard]] Loaned sized(Loaned loaned, std::uint64_t count) noexcept;
  [[noreturn]] static void refuse_response() noexcept;
  Errc fail_loan(Errc code) noexcept;
  Errc fail_too_many_requests() noexcept;
  Errc fail_too_many_loans() noexcept;

  std::uint32_t requests_;            // cells that stand for requests; the others for loans
  std::vector<std::uint32_t> slots_;  // by loan
  std::unique_ptr<ServerChannel> channel_;
};

}  // namespace sluice
