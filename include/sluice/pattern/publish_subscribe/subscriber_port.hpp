// SPDX-License-Identifier: Apache-2.0
//
// What is the same for subscribers of every payload type: the service, the channel, and which
// samples are held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/publish_subscribe/broadcast_subscriber.hpp>
#include <sluice/pattern/sample.hpp>
#include <string_view>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class SubscriberPort final : public HandleOwner, public Waitable {
 public:
  using Want = BroadcastReader::Want;
  ~SubscriberPort() override = default;

  /// Errors: see `Subscriber::Subscriber`.
  [[nodiscard]] static Result<SubscriberPort*> create(const Node& node, std::string_view service,
                                                      Schema schema, const PayloadLayout& payload,
                                                      const SubscriberOptions& options,
                                                      bool keeps_current = false);

  [[nodiscard]] Borrowed receive(Want want) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire();
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many()};
    const auto take = [&] {
      return want == Want::current ? channel_->take_current(cell) : channel_->take(cell, want);
    };
    BroadcastSubscriber::Received received = take();
    if (received.connection == nullptr && settle_descriptor()) [[unlikely]]
      received = take();
    if (received.connection == nullptr) {
      cells_.withdraw(cell);
      return {.error = report(*channel_)};
    }
    return {.payload = received.payload.data,
            .count = received.payload.count,
            .claim = &received.connection->claim_word(cell),
            .sequence = received.sequence,
            .publisher = received.connection->publisher(),
            .cell = cell};
  }

  /// Sleeps until there is something new, at most `timeout`.
  [[nodiscard]] Borrowed wait(Want want, std::chrono::nanoseconds timeout) noexcept;

  [[nodiscard]] Doorbell& doorbell() noexcept override { return service().board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return service().directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }
  [[nodiscard]] bool is_ready() noexcept override;
  /// The same for who asks instead of taking: settles the descriptor where there is nothing.
  [[nodiscard]] bool is_updated() noexcept {
    return is_ready() || (settle_descriptor() && is_ready());
  }
  void look() noexcept override;

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept { return descriptor_of(*this); }

  [[nodiscard]] std::uint64_t lost() const noexcept { return channel_->lost(); }
  [[nodiscard]] std::uint32_t publishers() noexcept;

 private:
  explicit SubscriberPort(const SubscriberOptions& options)
      : HandleOwner("subscriber", options.max_borrowed) {}

  void before_close() noexcept override { cut_link(); }
  Errc fail_too_many() noexcept;

  std::unique_ptr<BroadcastSubscriber> channel_;
};

}  // namespace sluice
