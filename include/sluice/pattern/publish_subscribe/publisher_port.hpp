// SPDX-License-Identifier: Apache-2.0
//
// What is the same for publishers of every payload type: the service, the channel, and which loans
// are held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/publish_subscribe/broadcast_publisher.hpp>
#include <string_view>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class PublisherPort final : public HandleOwner {
 public:
  ~PublisherPort() override = default;

  /// Errors: see `Publisher::Publisher`.
  [[nodiscard]] static Result<PublisherPort*> create(const Node& node, std::string_view service,
                                                     Schema schema, const PayloadLayout& payload,
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
      return {.error = fail_loan(error)};
    }
    return {.payload = channel_->payload(slots_[cell]), .cell = cell};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept { return sized(loan(), count); }

  /// Waits for room, at most `timeout`, where there is none under lossless delivery.
  [[nodiscard]] Loaned loan_for(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] Loaned loan_slice_for(std::chrono::nanoseconds timeout,
                                      std::uint64_t count) noexcept {
    return sized(loan_for(timeout), count);
  }

  /// Dynamic payloads: what their containers are to allocate from, …
  [[nodiscard]] Allocator<> allocator() noexcept { return channel_->allocator(); }
  /// … and that one is in the slot of `cell` now.
  void set_built(std::uint32_t cell) noexcept { channel_->set_built(slots_[cell]); }

  /// Publishes what `cell` holds; returns the sequence number.
  std::uint64_t publish(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      abort_with("publish of a loan in a forked child; make a publisher of its own");
    const std::uint64_t sequence = channel_->publish(slots_[cell]);
    slots_[cell] = kNoSlot;
    cells_.withdraw(cell);
    return sequence;
  }

  [[nodiscard]] std::uint32_t subscribers() noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return channel_->incarnation(); }
  [[nodiscard]] std::uint32_t slots() const noexcept { return channel_->slots(); }

 private:
  explicit PublisherPort(const PublisherOptions& options)
      : HandleOwner("publisher", options.max_loans),
        lossless_(options.delivery == Delivery::lossless),
        slots_(options.max_loans, kNoSlot) {}

  [[nodiscard]] Loaned sized(Loaned loaned, std::uint64_t count) noexcept;
  Errc fail_loan(Errc code) noexcept;
  Errc fail_too_many() noexcept;

  bool lossless_;
  std::vector<std::uint32_t> slots_;  // by cell
  std::unique_ptr<BroadcastPublisher> channel_;
};

}  // namespace sluice
