// SPDX-License-Identifier: Apache-2.0
//
// A producer's side of a work queue: its file with the payloads, and which of its jobs are not
// done.
//
// Jobs are done in any order, but slots come back in the order in which they were pushed. That is
// enough: the queue has room for `depth` jobs from the oldest that is not done, so that `depth` +
// `max_loans` slots can never all be in use.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class ProducerChannel {
 public:
  struct Config {
    PayloadLayout payload;
    std::optional<std::uint32_t> depth;  ///< none: that of the queue, or kUsualDepth
    std::uint32_t max_loans = 1;
  };
  static constexpr std::uint32_t kUsualDepth = 256;

  /// Links a producer's file into `service` and announces it; before that it makes the queue if
  /// there is none. `service` and `board` must outlive it. `file_mode` is for what it owns,
  /// `shared_mode` for the queue. Errors: invalid_options (another depth than the queue's), …
  [[nodiscard]] static Result<std::unique_ptr<ProducerChannel>> create(
      const Directory& service, Board& board, std::uint64_t node, mode_t file_mode,
      mode_t shared_mode, const Config& config);
  /// Leaves. The file goes now if none of its jobs is in the queue; else when they are done.
  ~ProducerChannel();
  ProducerChannel(const ProducerChannel&) = delete;
  ProducerChannel& operator=(const ProducerChannel&) = delete;

  /// Takes a free slot; where there is none, false, with `failure()`. System calls only when there
  /// were never so many in use.
  [[nodiscard]] bool acquire(std::uint32_t& slot) noexcept {
    if (free_.empty() && !find_free()) [[unlikely]]
      return false;
    slot = free_.back();
    free_.pop_back();
    return true;
  }
  [[nodiscard]] std::byte* payload(std::uint32_t slot) const noexcept {
    return pool_.payload(slot);
  }
  /// Slices: room for `count` elements in a slot from `acquire`. Null where there is no memory,
  /// with `failure()`.
  [[nodiscard]] std::byte* resize(std::uint32_t slot, std::uint64_t count) noexcept;
  void give_back(std::uint32_t slot) noexcept { free_.push_back(slot); }

  /// Puts the job in a slot from `acquire` into the queue; false where that is full. Lock-free; a
  /// system call only if a worker sleeps.
  bool push(std::uint32_t slot) noexcept {
    const auto position = queue_->push(seat_, slot);
    if (!position) [[unlikely]]
      return false;
    pending_.push_back({*position, slot});
    // seq_cst: pairs with the fence in `Doorbell::arm`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    board_.doorbell.wake(service_);
    return true;
  }
  [[nodiscard]] bool is_full() const noexcept { return queue_->full(); }
  /// Its own jobs that are not done.
  [[nodiscard]] std::uint32_t pending() const noexcept;

  /// Sleeps until there may be room, or `timeout` is over; looks for dead workers now and then.
  void wait_for_room(std::chrono::nanoseconds timeout);
  /// The same until none of its jobs may be pending.
  void wait_until_done(std::chrono::nanoseconds timeout);
  /// Looks for dead workers, whose jobs may be what fills the queue, at most every kLongestSleep.
  void look_now_and_then() noexcept {
    if (next_look_.left().count() == 0) look();
  }
  /// Looks into the service's directory for who died. System calls.
  void look() noexcept;

  /// Workers that the last look found alive.
  [[nodiscard]] std::uint32_t workers() const noexcept { return workers_; }
  [[nodiscard]] std::size_t depth() const noexcept { return queue_->capacity(); }
  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_.size(); }
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  struct Pending {
    std::uint64_t position;
    std::uint32_t slot;
  };

  /// Jobs that were pushed, the oldest first. No more than there are slots.
  class PendingJobs {
   public:
    explicit PendingJobs(std::uint32_t most) : jobs_(most) {}
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    [[nodiscard]] const Pending& at(std::uint32_t i) const noexcept {
      return jobs_[(first_ + i) % jobs_.size()];
    }
    void push_back(const Pending& job) noexcept {
      jobs_[end_] = job;
      end_ = next(end_);
      ++count_;
    }
    void pop_front() noexcept {
      first_ = next(first_);
      --count_;
    }

   private:
    [[nodiscard]] std::uint32_t next(std::uint32_t i) const noexcept {
      return i + 1 == jobs_.size() ? 0 : i + 1;
    }

    std::vector<Pending> jobs_;
    std::uint32_t first_ = 0;
    std::uint32_t end_ = 0;
    std::uint32_t count_ = 0;
  };

  ProducerChannel(const Directory& service, Board& board, WorkQueue queue, const Config& config);

  Result<void> initialise(std::uint64_t node, mode_t mode);
  Result<void> add_slot();
  [[nodiscard]] bool is_pending(const Pending& job) const noexcept {
    return queue_->is_pending(job.position, seat_, job.slot);
  }
  bool reclaim() noexcept;
  bool find_free() noexcept;
  template <typename Ready>
  void sleep_unless(Ready&& ready, std::chrono::nanoseconds timeout);

  const Directory& service_;
  Board& board_;
  Config config_;
  WorkQueue queue_;
  SharedFile file_;
  SlotPool pool_;
  std::string name_;
  std::uint32_t seat_ = 0;
  std::uint32_t most_slots_;
  ProducerFile* words_ = nullptr;
  std::vector<std::uint32_t> free_;  // the slot that became free last is at the end
  PendingJobs pending_;
  std::uint32_t workers_ = 0;
  Deadline next_look_{std::chrono::nanoseconds{0}};
  Failure failure_;
};

}  // namespace sluice
