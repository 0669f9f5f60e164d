// SPDX-License-Identifier: Apache-2.0
//
// What is the same for producers of every payload type: the service, the channel, and which loans
// are held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/work_queue/producer_channel.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class ProducerPort final : public HandleOwner {
 public:
  ~ProducerPort() override = default;

  /// Errors: see `Producer::Producer`.
  [[nodiscard]] static Result<ProducerPort*> create(const Node& node, std::string_view service,
                                                    Schema schema, const PayloadLayout& payload,
                                                    const ProducerOptions& options);

  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire();
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many()};
    if (slots_[cell] == kNoSlot && !channel_->acquire(slots_[cell])) [[unlikely]] {
      cells_.withdraw(cell);
      return {.error = fail(channel_->failure())};
    }  // else that of a loan that was dropped
    return {.payload = channel_->payload(slots_[cell]), .cell = cell};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept;

  /// Puts what `cell` holds into the queue: then the loan is no more. Errc::would_block where the
  /// queue is full, Errc::forked: then nothing has changed.
  [[nodiscard]] Errc push(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      return fail_forked();
    if (!channel_->push(slots_[cell])) [[unlikely]]
      return fail_full();
    slots_[cell] = kNoSlot;
    cells_.withdraw(cell);
    return Errc::ok;
  }
  /// The same, but waits for room; then Errc::timed_out.
  [[nodiscard]] Errc push_for(std::uint32_t cell, std::chrono::nanoseconds timeout) noexcept;
  /// What `push` of a new loan would say first, if it is not that there is room.
  [[nodiscard]] Errc check_room() noexcept {
    if (is_forked()) [[unlikely]]
      return fail_forked();
    return channel_->is_full() ? fail_full() : Errc::ok;
  }

  [[nodiscard]] std::uint32_t pending() const noexcept {
    return is_forked() ? 0 : channel_->pending();
  }
  [[nodiscard]] bool wait_until_done(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] std::uint32_t workers() noexcept;
  [[nodiscard]] std::uint32_t slots() const noexcept { return channel_->slots(); }

 private:
  explicit ProducerPort(const ProducerOptions& options)
      : HandleOwner("producer", options.max_loans), slots_(options.max_loans, kNoSlot) {}

  Errc fail_full() noexcept;
  Errc fail_too_many() noexcept;

  static constexpr std::uint32_t kNoSlot = UINT32_MAX;

  std::vector<std::uint32_t> slots_;  // by cell
  std::unique_ptr<ProducerChannel> channel_;
};

}  // namespace sluice
