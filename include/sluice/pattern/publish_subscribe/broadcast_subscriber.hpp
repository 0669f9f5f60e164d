// SPDX-License-Identifier: Apache-2.0
//
// A subscriber's side of the broadcast channel: its file with a row for each publisher, and the
// publishers it reads from, served in turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/core/handle_cells.hpp>
#include <sluice/pattern/publish_subscribe/broadcast.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `Connection::release`, which any thread may call for
/// a claim that it holds.
class BroadcastSubscriber {
 public:
  struct Config {
    PayloadLayout payload;
    std::uint32_t depth = 1;    ///< trails a publisher by so many samples at most
    std::uint32_t history = 0;  ///< old samples to start with
    std::uint32_t max_borrowed = 1;
    /// The newest sample stays there to be taken again, also when its publisher is gone; there is
    /// one from the start if anything was published.
    bool keeps_current = false;
  };

  /// One publisher. Lives until it is gone, drained, and every sample of it was given back.
  class Connection {
   public:
    /// The word that holds a claim until it is set to 0 (release).
    [[nodiscard]] std::atomic<std::uint64_t>& claim_word(std::uint32_t claim) const noexcept {
      return reader_.claim_word(claim);
    }
    [[nodiscard]] std::uint64_t publisher() const noexcept { return incarnation_; }

   private:
    friend class BroadcastSubscriber;

    SharedFile file_;
    const PublisherFile* words_ = nullptr;
    BroadcastReader reader_;
    PeerSlots slots_;
    std::uint64_t incarnation_ = 0;
    std::uint64_t inode_ = 0;
    std::uint64_t row_ = 0;
    std::uint32_t seat_ = 0;
    std::uint32_t depth_ = 0;
    bool lossless_ = false;
    bool gone_ = false;  // left or died; what it published can still be read
    bool seen_ = false;
  };

  struct Received {
    Connection* connection = nullptr;  ///< null: nothing there
    PeerSlots::Payload payload;
    std::uint64_t sequence = 0;
  };

  /// Links a subscriber's file into `service`, announces it, and connects to the publishers that
  /// are there. `held` tells which claims' samples are with the user. The references must outlive
  /// it.
  [[nodiscard]] static Result<std::unique_ptr<BroadcastSubscriber>> create(
      const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config,
      const HandleCells& held);
  /// Unlinks the file and announces that. Precondition: no claim is held.
  ~BroadcastSubscriber();
  BroadcastSubscriber(const BroadcastSubscriber&) = delete;
  BroadcastSubscriber& operator=(const BroadcastSubscriber&) = delete;

  /// Takes the next sample of the publisher whose turn it is and holds it in `claim`, which must be
  /// clear. Wait-free; system calls only when ports came or went, or a publisher grew.
  [[nodiscard]] Received take(std::uint32_t claim, BroadcastReader::Want want) noexcept {
    follow_changes();
    const std::size_t count = connections_.size();
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (turn_ >= count) turn_ = 0;
      Connection& connection = *connections_[turn_++];
      const Received received = take_from(connection, claim, want);
      if (received.connection != nullptr) return received;
      if (failure_.code != Errc::ok) [[unlikely]]
        return {};
    }
    if (gone_ != 0) [[unlikely]]
      drop_drained();
    return {};
  }

  /// The newest sample of the publisher that had something new last, even if it was taken before.
  /// Then `keeps_current` must be set. Otherwise as `take`.
  [[nodiscard]] Received take_current(std::uint32_t claim) noexcept {
    const Received newer = take(claim, BroadcastReader::Want::newest);
    if (newer.connection != nullptr) current_ = newer.connection;
    if (newer.connection != nullptr || current_ == nullptr || failure_.code != Errc::ok)
      return newer;
    return take_from(*current_, claim, BroadcastReader::Want::current);
  }

  /// Whether there is something to take from the publishers that are known.
  [[nodiscard]] bool has_samples() const noexcept;

  /// Sleeps until there may be something, a publisher may have died, or `timeout` is over.
  void wait(std::chrono::nanoseconds timeout);

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
  }
  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  [[nodiscard]] std::uint64_t lost() const noexcept;
  [[nodiscard]] std::uint32_t publishers() const noexcept;
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  /// The failure, which is then forgotten.
  [[nodiscard]] Failure take_failure() noexcept { return std::exchange(failure_, {}); }

 private:
  /// Whether there may be something to take.
  [[nodiscard]] bool has_new() const noexcept;

  BroadcastSubscriber(const Directory& service, Board& board, const Config& config,
                      const HandleCells& held)
      : service_(service),
        board_(board),
        config_(config),
        held_(held),
        claimed_by_(config.max_borrowed) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);
  void look_at(const std::string& name, std::uint32_t seat);
  Result<void> connect(Connection& connection);
  Result<std::uint64_t> free_row();
  void start(Connection& connection) noexcept;
  [[nodiscard]] Received take_from(Connection& connection, std::uint32_t claim,
                                   BroadcastReader::Want want) noexcept {
    const BroadcastReader::Taken taken =
        connection.reader_.take(claim, want, [&slots = connection.slots_](std::uint32_t slot) {
          if (const auto* payload = slots.peek(slot)) __builtin_prefetch(payload);
        });
    if (taken.slot == kNoSlot) return {};
    const PeerSlots::Payload payload = connection.slots_.payload(taken.slot);
    if (payload.data == nullptr) [[unlikely]]
      return give_up(connection, claim);
    claimed_by_[claim] = &connection;
    if (connection.lossless_) wake_publisher();
    return {&connection, payload, taken.position};
  }
  Received give_up(const Connection& connection, std::uint32_t claim) noexcept;
  void retire(std::size_t index) noexcept;
  void drop_drained() noexcept;
  void wake_publisher() noexcept;
  [[nodiscard]] bool is_held(const Connection& connection) const noexcept;
  [[nodiscard]] BroadcastRow* row(std::uint64_t index) const noexcept;

  const Directory& service_;
  Board& board_;
  Config config_;
  const HandleCells& held_;
  SharedFile file_;
  std::string name_;
  std::uint32_t seat_ = 0;
  SubscriberFile* words_ = nullptr;
  std::uint64_t seen_generation_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> drained_;  // gone, with samples still held
  std::vector<Connection*> starting_;                 // bound in this look, to be started
  std::vector<bool> row_used_;
  std::vector<const Connection*> claimed_by_;  // by claim
  Connection* current_ = nullptr;              // the one that had something new last
  std::size_t turn_ = 0;
  std::uint32_t gone_ = 0;         // connections whose publisher is gone
  std::uint64_t lost_before_ = 0;  // by connections that are no more
  bool looked_ = false;
  Failure failure_;
};

}  // namespace sluice
