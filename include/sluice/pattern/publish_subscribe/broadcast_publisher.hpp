// SPDX-License-Identifier: Apache-2.0
//
// A publisher's side of the broadcast channel: its file, its slots, and the subscribers it sees.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/publish_subscribe/broadcast.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class BroadcastPublisher {
 public:
  struct Config {
    PayloadLayout payload;
    std::uint32_t depth = 1;    ///< the ring has at least so many entries
    std::uint32_t history = 0;  ///< and so many
    std::uint32_t max_loans = 1;
    bool lossless = false;
  };

  /// Links a publisher's file into `service` and announces it. `service` and `board` must outlive
  /// it.
  [[nodiscard]] static Result<std::unique_ptr<BroadcastPublisher>> create(const Directory& service,
                                                                          Board& board,
                                                                          std::uint64_t node,
                                                                          mode_t mode,
                                                                          const Config& config);
  /// Unlinks the file and announces that.
  ~BroadcastPublisher();
  BroadcastPublisher(const BroadcastPublisher&) = delete;
  BroadcastPublisher& operator=(const BroadcastPublisher&) = delete;

  /// Takes a free slot. Wait-free; system calls only when the service's ports have changed or slots
  /// are short. `loans` is the number of slots taken and not published yet.
  /// Returns Errc::ok, Errc::would_block (lossless), or why there is no slot, with `failure()`.
  [[nodiscard]] Errc acquire(std::uint32_t loans, std::uint32_t& slot) noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]] {
      refresh();
    } else {
      checked_head_ = writer_.published();
    }
    if (writer_.published() + loans >= lap_limit_) [[unlikely]] {
      if (!has_room(loans)) return Errc::would_block;
    }
    if (writer_.free_slots() == 0) [[unlikely]] {
      if (!find_free()) return failure_.code;
    }
    slot = writer_.take_free();
    return Errc::ok;
  }

  [[nodiscard]] std::byte* payload(std::uint32_t slot) const noexcept {
    return pool_.payload(slot);
  }
  /// Slices: room for `count` elements in a slot from `acquire`. Null where there is no memory,
  /// with `failure()`.
  [[nodiscard]] std::byte* resize(std::uint32_t slot, std::uint64_t count) noexcept;
  /// Dynamic payloads: what containers in slots are to allocate from.
  [[nodiscard]] Allocator<> allocator() noexcept {
    loaned_on_ = std::this_thread::get_id();
    return pool_.allocator();
  }
  /// Dynamic payloads: the slot holds an object now.
  void set_built(std::uint32_t slot) noexcept { pool_.set_built(slot); }
  void give_back(std::uint32_t slot) noexcept {
    pool_.clear(slot);
    writer_.give_back(slot);
  }

  /// Publishes a slot from `acquire`; returns the sequence number. Wait-free; a system call only if
  /// somebody sleeps.
  std::uint64_t publish(std::uint32_t slot) noexcept {
    const std::uint64_t sequence = writer_.publish(slot);  // ends with the fence that this needs:
    board_.doorbell.wake(service_);
    // The next payload's line is in the caches of its last readers: ask for it now, not when it is
    // written.
    __builtin_prefetch(pool_.payload(writer_.next_free()), 1);
    return sequence;
  }

  /// Sleeps until there may be room, a subscriber may have died, or `timeout` is over.
  void wait_for_room(std::uint32_t loans, std::chrono::nanoseconds timeout);

  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  /// Subscribers that miss nothing of what is published from now on, except by being slow.
  [[nodiscard]] std::uint32_t subscribers() const noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return file_.incarnation(); }
  [[nodiscard]] std::uint32_t slots() const noexcept { return writer_.slots(); }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return writer_.capacity(); }
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  struct Peer {
    SharedFile file;
    std::uint64_t inode = 0;
    std::uint32_t seat = 0;
    bool seen = false;
  };

  BroadcastPublisher(const Directory& service, Board& board, const Config& config)
      : service_(service), board_(board), config_(config) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);
  Result<void> look_at(const std::string& name, std::uint32_t seat);
  void fail_blind(const Failure& failure) noexcept;
  void add_peer(SharedFile file, std::uint64_t inode, std::uint32_t seat);
  void find_row(std::size_t index);
  /// How far a subscriber may fall behind.
  [[nodiscard]] std::uint32_t depth() const noexcept;
  [[nodiscard]] std::uint32_t ring_capacity() const noexcept;
  [[nodiscard]] std::uint32_t slots_needed() const noexcept;
  Result<void> grow();
  void reclaim() noexcept;
  bool make_room() noexcept;
  bool find_free() noexcept;
  bool has_room(std::uint32_t loans) noexcept;

  const Directory& service_;
  Board& board_;
  Config config_;
  SharedFile file_;
  SlotPool pool_;
  std::thread::id loaned_on_;  // dynamic payloads: the port's thread
  std::string name_;
  PublisherFile* words_ = nullptr;
  BroadcastWriter writer_;
  std::uint64_t seen_generation_ = 0;
  std::uint64_t checked_head_ = 0;  // published when the generation was last found unchanged
  std::uint64_t lap_limit_ = UINT64_MAX;
  bool blind_ = false;  // a subscriber could not be looked at
  Deadline next_look_{std::chrono::nanoseconds{0}};
  // The same index stands for the same subscriber in both.
  std::vector<Peer> peers_;
  std::vector<BroadcastWriter::Reader> readers_;
  Failure failure_;
};

}  // namespace sluice
