// SPDX-License-Identifier: Apache-2.0
//
// What is the same for clients of all types: the service, the channel, and which requests and
// responses are held. Cell i stands for the request in slot i, as a loan and then as a pending one;
// the cells behind these stand for responses.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/request_response/client_channel.hpp>
#include <sluice/pattern/sample.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop` and `abandon`.
class ClientPort final : public HandleOwner {
 public:
  ~ClientPort() override = default;

  /// Errors: see `Client::Client`.
  [[nodiscard]] static Result<ClientPort*> create(const Node& node, std::string_view service,
                                                  std::pair<Schema, Schema> schemas,
                                                  const PayloadLayout& request,
                                                  const PayloadLayout& response,
                                                  const ClientOptions& options);

  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    std::uint32_t slot = 0;
    if (!channel_->acquire(slot)) [[unlikely]]
      return {.error = fail_too_many_requests()};
    (void)cells_.acquire(slot, slot + 1);  // its last handle is gone
    return {.payload = channel_->payload(slot), .cell = slot};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept;

  /// Sends the request of `cell`; returns its number. The cell goes on as that of a pending one.
  std::uint64_t send(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      abort_with("send of a loan in a forked child; make a client of its own");
    return channel_->send(cell);
  }

  /// The next response to the pending request of `cell`. `may_wait`: whether its server may wait
  /// for room, as far as can be seen.
  [[nodiscard]] Borrowed receive(std::uint32_t cell, bool& may_wait) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t response = cells_.acquire(requests_, cells_.count());
    if (response == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many_responses()};
    ClientChannel::Received received = channel_->take(cell, response - requests_);
    if (received.payload.data == nullptr && waitables_[cell]->settle()) [[unlikely]]
      received = channel_->take(cell, response - requests_);
    if (received.payload.data == nullptr) {
      cells_.withdraw(response);
      return {.error = report(*channel_)};
    }
    may_wait = !received.is_last;
    return {.payload = received.payload.data,
            .count = received.payload.count,
            .claim = received.claim,
            .sequence = received.sequence,
            .publisher = received.server,
            .cell = response};
  }
  /// Sleeps until there is one, or there will be none, at most `timeout`.
  [[nodiscard]] Borrowed wait(std::uint32_t cell, std::chrono::nanoseconds timeout,
                              bool& may_wait) noexcept;

  /// What has become of the pending request of `cell`.
  [[nodiscard]] ClientChannel::Outcome outcome(std::uint32_t cell) noexcept;
  /// Why it failed, where it did; otherwise ok.
  [[nodiscard]] Errc error_of(std::uint32_t cell) noexcept;
  /// A request that was answered by nobody.
  [[nodiscard]] Errc fail_unanswered() noexcept;

  /// The word that says that responses to the request of `cell` are wanted.
  [[nodiscard]] std::atomic<std::uint64_t>& wanted(std::uint32_t cell) const noexcept {
    return channel_->wanted(cell);
  }
  /// After that word was cleared: a server may sleep for room. Any thread.
  void announce_abandoned() noexcept;
  /// For wait sets. Stays where it is while the request is pending.
  [[nodiscard]] Waitable& waitable(std::uint32_t cell) noexcept { return *waitables_[cell]; }
  /// See `Subscriber::fd`.
  [[nodiscard]] int fd(std::uint32_t cell) noexcept { return descriptor_of(*waitables_[cell]); }
  /// Nobody can wait for the request of `cell` any more.
  void cut_link(std::uint32_t cell) noexcept { waitables_[cell]->cut(); }

  [[nodiscard]] std::uint32_t servers() noexcept;

 private:
  /// A pending request, as a wait set sees it.
  class PendingRequest final : public Waitable {
   public:
    PendingRequest(ClientPort& port, std::uint32_t cell) noexcept : port_(port), cell_(cell) {}
    [[nodiscard]] Doorbell& doorbell() noexcept override;
    [[nodiscard]] const Directory& pipes() const noexcept override;
    [[nodiscard]] mode_t pipe_mode() const noexcept override;
    [[nodiscard]] bool is_ready() noexcept override;
    void look() noexcept override;
    void cut() noexcept { cut_link(); }
    [[nodiscard]] bool settle() noexcept { return settle_descriptor(); }

   private:
    ClientPort& port_;
    std::uint32_t cell_;
  };

  explicit ClientPort(const ClientOptions& options)
      : HandleOwner("client", options.max_pending + options.max_borrowed),
        requests_(options.max_pending) {}

  Errc fail_too_many_requests() noexcept;
  Errc fail_too_many_responses() noexcept;

  std::uint32_t requests_;  // cells that stand for requests
  std::unique_ptr<ClientChannel> channel_;
  std::vector<std::unique_ptr<PendingRequest>> waitables_;  // by slot
};

}  // namespace sluice
