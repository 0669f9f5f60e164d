// SPDX-License-Identifier: Apache-2.0
//
// A publisher without its payload type: its file with the slots and the ring, the loans that are
// held, and the subscribers that it sees.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/pattern/publish_subscribe/options.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/queue/broadcast_index_queue.hpp>
#include <sluice/service/peers.hpp>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class PublisherPort final : public Port {
 public:
  /// Errors: see `Publisher::Publisher`.
  [[nodiscard]] static Result<PublisherPort*> create(const Node& node,
                                                     const ServiceDescription& service,
                                                     const PayloadLayout& payload,
                                                     const PublisherOptions& options,
                                                     const WriterRole& role = {});
  /// For `create`, both.
  PublisherPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
                const PublisherOptions& options, const WriterRole& role);
  Result<void> open();

  /// Wait-free; system calls only when the service's ports have changed or slots are short.
  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell cell = cells_.acquire();
    if (cell == kNoCell) [[unlikely]]
      return {.error =
                  fail_all(Errc::too_many_loans, cells_.count(),
                           "loans are held; publish or drop one", "PublisherOptions::max_loans")};
    if (slots_[cell] != kNoSlot) give_back(cell);  // of a loan that was dropped
    if (peers_.has_news()) [[unlikely]]
      look();
    if (writer_.published() + other_loans() >= lap_limit_) [[unlikely]] {
      if (!has_room()) return refuse(cell, Errc::would_block);
    }
    if (writer_.free_slots() == 0) [[unlikely]] {
      if (!find_free()) return refuse(cell, pending_failure_.code);
    }
    slots_[cell] = writer_.take_free();
    return {.payload = pool_.payload(slots_[cell]), .cell = cell};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept { return sized(loan(), count); }

  /// Waits for room, at most `timeout`, where there is none under lossless delivery.
  [[nodiscard]] Loaned loan_for(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] Loaned loan_slice_for(std::chrono::nanoseconds timeout,
                                      std::uint64_t count) noexcept {
    return sized(loan_for(timeout), count);
  }

  /// Dynamic payloads: where that of a loan is built.
  [[nodiscard]] SlotPool::Place place_of(Cell cell) noexcept { return pool_.place(slots_[cell]); }

  /// Publishes what `cell` holds; returns the sequence number.
  std::uint64_t publish(Cell cell) noexcept {
    Board& board = peers_.board();  // loaded once
    if (unstamped_in_ != fork_generation() || peers_.has_news()) [[unlikely]]
      prepare(slots_[cell]);
    const std::uint64_t sequence = writer_.publish(slots_[cell]);
    board.doorbell.wake(directory());  // the fence that this needs is the last step of `publish`
    // The next payload's line is in the caches of its last readers: ask for it now, not when it is
    // written.
    __builtin_prefetch(pool_.payload(writer_.next_free()), 1);
    slots_[cell] = kNoSlot;
    cells_.withdraw(cell);
    return sequence;
  }

  /// Subscribers that miss nothing of what is published from now on, except by being slow. System
  /// calls.
  [[nodiscard]] std::uint32_t subscribers() noexcept;
  [[nodiscard]] std::uint32_t slots() const noexcept { return writer_.slots(); }

 private:
  struct Subscriber : Peer {
    BroadcastWriter::Reader reader;
    operator BroadcastWriter::Reader&() noexcept { return reader; }              // NOLINT
    operator const BroadcastWriter::Reader&() const noexcept { return reader; }  // NOLINT
  };

  /// Who joined, left or died; then as many slots as are needed now.
  void look() noexcept;
  bool look_at_subscribers() noexcept;
  void meet_publishers() noexcept;
  [[nodiscard]] bool has_living_other() const;
  Result<void> exclude_others();
  Result<void> ask_for_an_exclusive_one() const;
  /// Before `slot` is published: a look where there is news, and the stamp where one is needed.
  void prepare(Slot slot) noexcept;
  Result<void> connect(Subscriber& subscriber);
  void find_row(Subscriber& subscriber) noexcept;

  [[nodiscard]] bool is_stamping() const noexcept { return unstamped_in_ == kNoForkGeneration; }
  void begin_stamping() noexcept { unstamped_in_ = kNoForkGeneration; }

  [[nodiscard]] bool is_lossless() const noexcept {
    return options_.delivery == Delivery::lossless;
  }
  /// How far a subscriber may fall behind.
  [[nodiscard]] std::uint32_t depth() const noexcept;
  [[nodiscard]] std::uint32_t ring_capacity() const noexcept;
  [[nodiscard]] std::uint32_t slots_needed() const noexcept;
  Result<void> grow();
  void reclaim() noexcept;
  bool make_room() noexcept;
  bool find_free() noexcept;
  /// Loans beside the one that is being made: they are published without asking for room.
  [[nodiscard]] std::uint32_t other_loans() const noexcept {
    return is_lossless() ? cells_.held() - 1 : 0;
  }
  bool has_room() noexcept;
  [[nodiscard]] std::uint64_t lap_limit() noexcept;

  [[nodiscard]] Loaned sized(const Loaned& loaned, std::uint64_t count) noexcept {
    if (loaned.payload == nullptr) return loaned;
    return Port::sized(loaned, pool_, slots_[loaned.cell], count);
  }
  void give_back(Cell cell) noexcept { writer_.give_back(std::exchange(slots_[cell], kNoSlot)); }
  Loaned refuse(Cell cell, Errc why) noexcept;

  PayloadLayout payload_;
  PublisherOptions options_;
  WriterRole role_;
  File exclusive_;  // the board, locked by an exclusive writer
  SlotPool pool_;
  BroadcastWriter writer_;
  std::vector<Slot> slots_;  // by cell
  Peers<Subscriber> peers_;
  /// Where samples are not stamped, what `fork_generation()` is in this process; else something
  /// that it is not. So one look tells that there is nothing to do before a sample is published.
  std::uint32_t unstamped_in_ = fork_generation();
  std::uint64_t blind_since_ = UINT64_MAX;  // published when a look first did not see all
  std::uint64_t lap_limit_ = UINT64_MAX;
  Deadline next_look_{std::chrono::nanoseconds{0}};
  Failure pending_failure_;  // why there may be no slot at the next loan
};

}  // namespace sluice
