// SPDX-License-Identifier: Apache-2.0
//
// What is the same for publishers of every payload type: the service, the channel, and which loans
// are held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/channel/broadcast_publisher.hpp>
#include <sluice/core/handle_cells.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/port/options.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/service.hpp>
#include <string_view>
#include <vector>

namespace sluice {

/// Lives until it is closed and the last of its loans is given back. Thread safety: one thread at a
/// time, except `drop`.
class PublisherPort {
 public:
  struct Loaned {
    std::byte* payload = nullptr;  ///< null: none
    std::uint32_t cell = 0;
    Errc error = Errc::ok;
  };

  /// Payloads have the size and alignment of `schema`. Errors: see `Publisher::Publisher`.
  [[nodiscard]] static Result<PublisherPort*> create(const Node& node, std::string_view service,
                                                     Schema schema,
                                                     const PublisherOptions& options);

  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire();
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many()};
    if (slots_[cell] != kNoSlot) channel_->give_back(slots_[cell]);  // of a loan that was dropped
    slots_[cell] = kNoSlot;
    const std::uint32_t others = lossless_ ? cells_.held() - 1 : 0;
    if (const Errc error = channel_->acquire(others, slots_[cell]); error != Errc::ok)
        [[unlikely]] {
      slots_[cell] = kNoSlot;
      cells_.withdraw(cell);
      return {.error = fail(error)};
    }
    return {.payload = channel_->payload(slots_[cell]), .cell = cell};
  }

  /// Waits for room, at most `timeout`, where there is none under lossless delivery.
  [[nodiscard]] Loaned loan_for(std::chrono::nanoseconds timeout) noexcept;

  /// Publishes what `cell` holds; returns the sequence number.
  std::uint64_t publish(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      abort_with("publish of a loan in a forked child; make a publisher of its own");
    const std::uint64_t sequence = channel_->publish(slots_[cell]);
    slots_[cell] = kNoSlot;
    cells_.withdraw(cell);
    return sequence;
  }

  /// Gives a loan back unpublished. Any thread.
  void drop(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      return;
    if (cells_.give_back(cell)) delete this;
  }

  /// The publisher is gone; its loans may live on.
  void close() noexcept {
    if (is_forked()) return;  // the parent's: left as it is
    if (cells_.close()) delete this;
  }

  [[nodiscard]] std::uint32_t subscribers() noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return channel_->incarnation(); }
  [[nodiscard]] std::uint32_t slots() const noexcept { return channel_->slots(); }
  /// Why the last loan failed, with numbers.
  [[nodiscard]] const Failure& last_failure() const noexcept { return failure_; }

 private:
  PublisherPort(const PublisherOptions& options)
      : lossless_(options.delivery == Delivery::lossless),
        cells_(options.max_loans),
        slots_(options.max_loans, kNoSlot),
        fork_generation_(fork_generation()) {}

  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }
  Errc fail(Errc code) noexcept;
  Errc fail_forked() noexcept;
  Errc fail_too_many() noexcept;

  bool lossless_;
  HandleCells cells_;
  std::vector<std::uint32_t> slots_;  // by cell
  std::uint32_t fork_generation_;
  std::unique_ptr<Service> service_;  // left after the channel is gone
  std::unique_ptr<BroadcastPublisher> channel_;
  Failure failure_;
};

}  // namespace sluice
