// SPDX-License-Identifier: Apache-2.0
//
// A producer without its payload type: its file with the payloads, the loans that are held, and
// which of its jobs are not done.
//
// Jobs are done in any order, but slots come back in the order in which they were pushed. That is
// enough: the queue has room for `depth` jobs from the oldest that is not done, so that `depth` +
// `max_loans` slots can never all be in use.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/core/ring.hpp>
#include <sluice/memory/owned_slots.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/work_queue/options.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/platform/clock.hpp>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop`.
class ProducerPort final : public Port {
 public:
  /// Makes the queue if there is none. Errors: see `Producer::Producer`.
  [[nodiscard]] static Result<ProducerPort*> create(const Node& node,
                                                    const ServiceDescription& service,
                                                    const PayloadLayout& payload,
                                                    const ProducerOptions& options);
  /// For `create`, both.
  ProducerPort(std::shared_ptr<Service> service, WorkQueue queue, const ProducerOptions& options);
  Result<void> open(const PayloadLayout& payload);

  /// System calls only when there were never so many slots in use.
  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell cell = cells_.acquire();
    if (cell == kNoCell) [[unlikely]]
      return {.error = fail_all(Errc::too_many_loans, cells_.count(),
                                "loans are held; push or drop one", "ProducerOptions::max_loans")};
    if (slots_[cell] == kNoSlot) {  // else that of a loan that was dropped
      if (!pool_.has_free()) [[unlikely]] {
        if (const auto found = find_free(); !found) {
          cells_.withdraw(cell);
          return {.error = fail(found.failure())};
        }
      }
      slots_[cell] = pool_.take();
    }
    return {.payload = pool_.payload(slots_[cell]), .cell = cell};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept {
    const Loaned loaned = loan();
    return loaned.payload == nullptr ? loaned : sized(loaned, pool_, slots_[loaned.cell], count);
  }

  /// Dynamic payloads: where that of a loan is built.
  [[nodiscard]] SlotPool::Place place_of(Cell cell) noexcept { return pool_.place(slots_[cell]); }

  /// Puts what `cell` holds into the queue: then the loan is no more. Errc::would_block where the
  /// queue is full, Errc::forked: then nothing has changed. Lock-free; a system call only if a
  /// worker sleeps.
  [[nodiscard]] Errc push(Cell cell) noexcept {
    if (is_forked()) [[unlikely]]
      return fail_forked();
    const auto position = queue_->push(file_.seat(), slots_[cell]);
    if (!position) [[unlikely]]
      return fail_full();
    pending_.push_back({*position, slots_[cell]});
    wake();
    slots_[cell] = kNoSlot;
    cells_.withdraw(cell);
    return Errc::ok;
  }
  /// The same, but waits for room; then Errc::timed_out.
  [[nodiscard]] Errc push_for(Cell cell, std::chrono::nanoseconds timeout) noexcept;
  /// What `push` of a new loan would say first, if it is not that there is room.
  [[nodiscard]] Errc check_room() noexcept {
    if (is_forked()) [[unlikely]]
      return fail_forked();
    return queue_->full() ? fail_full() : Errc::ok;
  }

  /// Its own jobs that are not done.
  [[nodiscard]] std::uint32_t pending() const noexcept;
  [[nodiscard]] bool wait_until_done(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] std::uint32_t workers() noexcept;
  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_.size(); }

 private:
  struct Pending {
    std::uint64_t position;
    Slot slot;
  };

  void rouse() noexcept override {
    queue_.room().rouse();
    Port::rouse();
  }
  /// The file goes now if none of its jobs is in the queue; else when they are done.
  void before_end() noexcept override { file_.leave(queue_->has_jobs_of(file_.seat())); }
  [[nodiscard]] bool is_pending(const Pending& job) const noexcept {
    return queue_->is_pending(job.position, file_.seat(), job.slot);
  }
  void give_back_dropped() noexcept;
  bool reclaim() noexcept;
  Result<void> find_free() noexcept;
  /// Sleeps until a job is done, unless `ready()`, for at most `timeout`.
  template <typename Ready>
  void sleep_for_done(Ready&& ready, std::chrono::nanoseconds timeout);
  void look() noexcept;
  /// Looks for dead workers, whose jobs may be what fills the queue, at most every kLongestSleep.
  void look_in_time() noexcept {
    if (next_look_.left().count() == 0) look();
  }
  Errc fail_full() noexcept;

  WorkQueue queue_;
  std::uint32_t most_slots_;
  OwnedSlots pool_;
  std::vector<Slot> slots_;    // by cell
  Ring<Pending> pending_;      // jobs that were pushed; no more than there are slots
  std::uint32_t workers_ = 0;  // that the last look found alive
  Deadline next_look_{std::chrono::nanoseconds{0}};
};

}  // namespace sluice
