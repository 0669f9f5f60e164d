// SPDX-License-Identifier: Apache-2.0
//
// What is the same for subscribers of every payload type: the service, the channel, and which
// samples are held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/channel/broadcast_subscriber.hpp>
#include <sluice/channel/waitable.hpp>
#include <sluice/core/handle_cells.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/port/options.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/service.hpp>
#include <string_view>

namespace sluice {

/// Lives until it is closed and the last of its samples is given back. Thread safety: one thread at
/// a time, except `drop`.
class SubscriberPort final : public Waitable {
 public:
  using Want = BroadcastReader::Want;
  using Connection = BroadcastSubscriber::Connection;

  struct Borrowed {
    const std::byte* payload = nullptr;  ///< null: none
    Connection* connection = nullptr;
    std::uint64_t sequence = 0;
    std::uint32_t cell = 0;
    Errc error = Errc::ok;
  };

  /// Payloads have the size and alignment of `schema`. Errors: see `Subscriber::Subscriber`.
  [[nodiscard]] static Result<SubscriberPort*> create(const Node& node, std::string_view service,
                                                      Schema schema,
                                                      const SubscriberOptions& options);

  [[nodiscard]] Borrowed receive(Want want) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire();
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many()};
    const BroadcastSubscriber::Received received = channel_->take(cell, want);
    if (received.connection == nullptr) {
      cells_.withdraw(cell);
      return {.error = channel_->failure().code == Errc::ok ? Errc::ok : fail()};
    }
    return {.payload = received.payload,
            .connection = received.connection,
            .sequence = received.sequence,
            .cell = cell};
  }

  /// Sleeps until there is something, at most `timeout`.
  [[nodiscard]] Borrowed wait(std::chrono::nanoseconds timeout) noexcept;

  /// Gives a sample back. Any thread.
  void drop(Connection* connection, std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      return;
    connection->release(cell);
    if (cells_.give_back(cell)) delete this;
  }

  /// The subscriber is gone; its samples may live on.
  void close() noexcept {
    cut_link();
    if (is_forked()) return;  // the parent's: left as it is
    if (cells_.close()) delete this;
  }

  [[nodiscard]] Doorbell& doorbell() noexcept override { return service_->board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return service_->directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service_->shared_mode(); }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  [[nodiscard]] std::uint64_t lost() const noexcept { return channel_->lost(); }
  [[nodiscard]] std::uint32_t publishers() noexcept;
  /// Why the last `receive` or `wait` failed.
  [[nodiscard]] const Failure& last_failure() const noexcept { return failure_; }

 private:
  SubscriberPort(const SubscriberOptions& options)
      : cells_(options.max_borrowed), fork_generation_(fork_generation()) {}

  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }
  Errc fail() noexcept;
  Errc fail_forked() noexcept;
  Errc fail_too_many() noexcept;

  HandleCells cells_;
  std::uint32_t fork_generation_;
  std::unique_ptr<Service> service_;  // left after the channel is gone
  std::unique_ptr<BroadcastSubscriber> channel_;
  Failure failure_;
};

}  // namespace sluice
