// SPDX-License-Identifier: Apache-2.0
//
// A subscriber without its payload type: its file with a row for each publisher, the samples that
// are held, and the publishers that it reads from, in turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/pattern/publish_subscribe/options.hpp>
#include <sluice/pattern/sample.hpp>
#include <sluice/queue/broadcast_index_queue.hpp>
#include <sluice/service/peers.hpp>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class SubscriberPort final : public ReceivingPort {
 public:
  using Want = BroadcastReader::Want;

  /// `keeps_current`: the newest sample stays there to be received again, also when its publisher
  /// is gone; there is one from the start if anything was published.
  /// Errors: see `Subscriber::Subscriber`.
  [[nodiscard]] static Result<SubscriberPort*> create(const Node& node,
                                                      const ServiceDescription& service,
                                                      const PayloadLayout& payload,
                                                      const SubscriberOptions& options,
                                                      bool keeps_current = false);
  /// For `create`, both.
  SubscriberPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
                 const SubscriberOptions& options, bool keeps_current);
  Result<void> open();

  /// Want::oldest: the next sample of the publisher whose turn it is; else, of several publishers,
  /// the one that was published last. Wait-free; system calls only when ports came or went, or a
  /// publisher grew.
  template <Want want>
  [[nodiscard]] Borrowed receive() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell cell = cells_.acquire();
    if (cell == kNoCell) [[unlikely]]
      return {.error =
                  fail_all(Errc::too_many_borrowed, cells_.count(), "samples are held; release one",
                           "SubscriberOptions::max_borrowed")};
    Borrowed borrowed = take<want>(cell);
    if (borrowed.payload == nullptr && settle_descriptor()) [[unlikely]]
      borrowed = take<want>(cell);
    if (borrowed.payload == nullptr) {
      cells_.withdraw(cell);
      borrowed.error = report(pending_failure_);
    }
    return borrowed;
  }
  /// Sleeps until there is something new, at most `timeout`.
  [[nodiscard]] Borrowed wait(Want want, std::chrono::nanoseconds timeout) noexcept;

  [[nodiscard]] bool is_ready() noexcept override;
  /// The same for who asks instead of taking: settles the descriptor where there is nothing.
  [[nodiscard]] bool is_updated() noexcept {
    return is_ready() || (settle_descriptor() && is_ready());
  }
  void look() noexcept override {
    if (!is_forked()) look_at_publishers();
  }

  [[nodiscard]] std::uint64_t lost() const noexcept;
  [[nodiscard]] std::uint32_t publishers() noexcept;

 private:
  void before_close() noexcept override;

  /// Lives until it is gone, drained, and every sample of it was given back.
  struct Publisher : Peer {
    BroadcastReader reader;
    PeerSlots slots;
    PublisherShape shape{};
    std::uint64_t incarnation = 0;
    std::uint64_t row = 0;
    std::uint32_t depth = 0;
    bool is_waiting = false;  // for this subscriber, where it has no room
    bool is_new = true;       // bound in this look, to be started
    bool is_drained = false;  // not read any more: it is gone or broken
  };

  void look_at_publishers() noexcept;
  Result<void> connect(Publisher& publisher);
  void start(Publisher& publisher) noexcept;
  Result<std::uint64_t> free_row();
  void count_rows() noexcept;
  [[nodiscard]] std::uint64_t row_offset(std::uint64_t index) const noexcept {
    return SubscriberFile::kRowsOffset + index * BroadcastRow::bytes(options_.max_borrowed);
  }
  [[nodiscard]] BroadcastRow* row(std::uint64_t index) const noexcept {
    return file_.region().at<BroadcastRow>(row_offset(index));
  }

  /// A sample for `cell`, which is also the number of the claim.
  template <Want want>
  [[nodiscard]] Borrowed take(Cell cell) noexcept {
    if (peers_.has_news()) [[unlikely]]
      look_at_publishers();
    constexpr Want first = want == Want::current ? Want::newest : want;
    const std::size_t count = peers_.size();
    if constexpr (want != Want::oldest) {
      if (count > 1) [[unlikely]]
        return take_last_published(cell, want);
    }
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (turn_ >= count) turn_ = 0;
      Publisher& publisher = peers_[turn_++];
      if (publisher.is_drained) [[unlikely]]
        continue;
      const Borrowed borrowed = take_from(publisher, cell, first);
      if (borrowed.payload != nullptr) {
        if (want != Want::oldest && keeps_current_) current_ = &publisher;
        return borrowed;
      }
      if (pending_failure_.code != Errc::ok) [[unlikely]]
        return {};
    }
    if (gone_ != 0) [[unlikely]]
      drop_drained();
    if (want != Want::current || current_ == nullptr) return {};
    return take_from(*current_, cell, want);
  }
  [[nodiscard]] Borrowed take_from(Publisher& publisher, Cell cell, Want want) noexcept {
    const Claim claim{std::uint32_t{cell}};
    const BroadcastReader::Taken taken =
        publisher.reader.take(claim, want, [&slots = publisher.slots](Slot slot) {
          if (const auto* payload = slots.peek(slot)) __builtin_prefetch(payload);
        });
    if (taken.slot == kNoSlot) return {};
    const PeerSlots::Payload payload = publisher.slots.payload(taken.slot);
    if (payload.data == nullptr) [[unlikely]]
      return give_up(publisher, claim);
    claimed_of_[claim] = &publisher;
    if (publisher.is_waiting) wake();
    return {.payload = payload.data,
            .count = payload.count,
            .claim = &publisher.reader.claim_word(claim),
            .sequence = taken.position,
            .publisher = publisher.incarnation,
            .cell = cell};
  }
  [[nodiscard]] Borrowed take_last_published(Cell cell, Want want) noexcept;
  Borrowed give_up(Publisher& publisher, Claim claim) noexcept;
  void drop_drained() noexcept;
  [[nodiscard]] bool has_samples() const noexcept;

  PayloadLayout payload_;
  SubscriberOptions options_;
  bool keeps_current_;
  Peers<Publisher> peers_;
  std::vector<bool> row_used_;
  std::vector<const Publisher*> claimed_of_;  // by claim
  Publisher* current_ = nullptr;              // the one whose sample was published last
  Moment last_;                               // of what was taken last, with several publishers
  std::size_t turn_ = 0;
  std::uint32_t gone_ = 0;         // publishers that left or died
  std::uint64_t lost_before_ = 0;  // of publishers that are no more
  Failure pending_failure_;        // found by a look or a take, and not reported yet
};

}  // namespace sluice
