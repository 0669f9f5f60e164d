// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of jobs for any number of producers and workers, in memory that all of them
// write. Each job goes to one worker, and to another one if that dies. It stays in its cell until
// it is done.
//
//   +------+---------+------+---------+----------+---------+--------+-----+--------------+
//   | tail | padding | head | padding | returned | padding | cell 0 | ... | capacity - 1 |
//   +------+---------+------+---------+----------+---------+--------+-----+--------------+
//   0      8         64     72        128        136       192 bytes, then 8 a cell
//
//   cell    63        40   39  38   37        32   31        22   21      10   9         0
//          +------------+---------+-------------+---------------+------------+------------+
//          |    lap     |  state  |  attempts   | producer seat |    slot    | worker seat|
//          +------------+---------+-------------+---------------+------------+------------+
//          `---- turn ------------'
//   state: 0 free, 1 ready, 2 taken; a free cell holds nothing else. Zeros are an empty queue.
//
//        push           take           finish
//   free ----->  ready -----> taken  --------> free, next lap
//                      <-----
//                put_back: attempts + 1
//
// At the tail the next job goes in, and at the head is the next job that nobody had yet. Each step
// is one compare-and-swap on the whole cell (`CellQueue`), and carries who did it: a participant
// killed at any instruction has done a step or has not.
//
// **Jobs that were put back** lie behind the head; their attempts tell them from the others.
// `returned` counts them, and a worker for whom it has changed scans the cells. A process killed
// before it counts leaves no hint: `take_returned` and `announce_returned` scan on demand.
//
// **In order.** The cell at the tail has to be free: `capacity` jobs after the oldest that is not
// done the queue is full, however many of them are done.
//
// **ABA.** A lap comes again after 2^24 * capacity jobs. A push or take that slept for exactly a
// multiple of that finds the same free cell, or the same slot of the same producer ready for the
// same attempt. Then its step is right again: positions that differ by whole turns of the lap
// counter are not told apart here. finish and put_back expect the lap and the worker: nobody else
// changes the cell of a worker that lives. Tail and head have 64 bits.
//
// Progress: lock-free; an attempt fails only because another participant's push or take succeeded.
// The scans take `capacity` steps. Values that no run of this code can produce end a push with
// "full" and a take with "nothing", and no position is used unmasked. But whoever writes this
// memory can lose or invent jobs, so check a job's seat and slot, and can keep others trying while
// it writes.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/core/index.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/cell_queue.hpp>

namespace sluice {

/// The words in front of the cells.
struct WorkEnds {
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> tail{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> head{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> returned{0};
};

/// Works on words that others share. An object remembers up to where it has looked for jobs that
/// were put back: `take` and `has_ready` are for one thread at a time. The rest may be called from
/// any thread at any time. Nothing here waits.
class WorkIndexQueue : public CellQueue<WorkEnds, 2, 38> {
 public:
  static constexpr std::size_t kMaxCapacity = 4096;
  static constexpr std::uint32_t kMaxSeats = 1024;    ///< producers, and workers
  static constexpr std::uint32_t kMaxSlots = 4096;    ///< of a producer
  static constexpr std::uint32_t kMostAttempts = 64;  ///< stands for more, too

  /// A job that a worker took, until it hands it to `finish` or `put_back`.
  struct Job {
    std::uint64_t position;
    std::uint64_t cell;  ///< what the cell holds while the job is this worker's
    Seat producer;
    Slot slot;
    std::uint32_t attempt;  ///< 1: nobody had it before
  };

  /// Goes on from what the words hold. `capacity` is a power of two up to `kMaxCapacity`, the same
  /// for everybody.
  WorkIndexQueue(Words& words, std::size_t capacity) noexcept
      : CellQueue(words, capacity),
        // One less: the first take scans. Relaxed: any value makes it scan at most once too often.
        seen_(words.returned.load(std::memory_order_relaxed) - 1) {
    assert(capacity <= kMaxCapacity);
  }

  /// Appends the job in `slot` of `producer`; its position, or nothing when the queue is full.
  /// The slot must not be written until `is_pending` says that the job is done.
  [[nodiscard]] std::optional<std::uint64_t> push(Seat producer, Slot slot) noexcept {
    assert(producer < kMaxSeats && slot < kMaxSlots);
    return push_contents(std::uint64_t{producer & (kMaxSeats - 1)} << kProducerShift |
                         std::uint64_t{slot & (kMaxSlots - 1)} << kSlotShift);
  }

  /// Takes the oldest job that was put back; if there is none, the oldest that nobody had yet.
  /// `worker` is the caller's seat, whose file it holds locked. Killed before the compare-and-swap:
  /// nothing happened. After it: the job is the dead worker's, until `put_back_all`.
  [[nodiscard]] std::optional<Job> take(Seat worker) noexcept {
    // Acquire, with the release in `return_cell`: the cells that were put back. Read before the
    // scan: what is put back during the scan counts as not seen.
    const std::uint64_t returned = words_->returned.load(std::memory_order_acquire);
    if (returned != seen_) {
      if (auto job = take_returned(worker)) return job;
      seen_ = returned;
    }
    while (auto place = find(words_->head, kReady)) {
      if (auto job = try_take(*place, worker)) {
        // Killed here: the head is behind, the next one moves it on.
        move_on(words_->head, place->position);
        return job;
      }
    }
    return std::nullopt;
  }

  /// Takes the oldest job that was put back, even if whoever put it back was killed before it could
  /// say so. To be called now and then where `take` finds nothing. Looks at every cell.
  [[nodiscard]] std::optional<Job> take_returned(Seat worker) noexcept {
    // Relaxed: where the scan begins, and which lap it is. A tail that is behind costs the order.
    const std::uint64_t tail = words_->tail.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i != capacity_; ++i) {
      Cell& cell = cell_at(tail + i);
      // Relaxed: the compare-and-swap tests it again.
      const std::uint64_t word = cell.load(std::memory_order_relaxed);
      if (state_of(word) != kReady || attempts_of(word) == 0) continue;
      // If it fails, another one has the job.
      if (auto job = try_take({&cell, position_of(word, tail + i), word}, worker)) return job;
    }
    return std::nullopt;
  }

  /// If a job that was put back waits, counts it once more, on behalf of whoever was killed before
  /// it could: then the next `take` of every worker finds it. To be called now and then. Looks at
  /// every cell. Returns whether there is one.
  bool announce_returned() noexcept {
    for (std::size_t i = 0; i != capacity_; ++i) {
      // Relaxed: the count hands on that the cell was seen so.
      const std::uint64_t word = cell_at(i).load(std::memory_order_relaxed);
      if (state_of(word) != kReady || attempts_of(word) == 0) continue;
      // Release, with the acquire in `take`: whoever reads the count sees the cell as it was seen
      // here, or later.
      words_->returned.fetch_add(1, std::memory_order_release);
      return true;
    }
    return false;
  }

  /// The job is done, its payload was read. False if it is not this worker's any more: somebody
  /// took the worker for dead. Killed before the compare-and-swap: the job is done once more, by
  /// another worker. After it: the job is done.
  bool finish(const Job& job) noexcept {
    assert(state_of(job.cell) == kTaken);
    std::uint64_t word = job.cell;
    // Release, with the acquire in `is_pending`: the payload was read. Relaxed on failure: nothing
    // is handed over.
    return cell_at(job.position)
        .compare_exchange_strong(word, freed(word), std::memory_order_release,
                                 std::memory_order_relaxed);
  }

  /// Gives the job back, for any worker to take, first of all. False as in `finish`.
  bool put_back(const Job& job) noexcept {
    assert(state_of(job.cell) == kTaken);
    return return_cell(cell_at(job.position), job.cell);
  }

  /// Puts back every job of a dead worker; how many. Whoever calls it holds the lock of that
  /// worker's file and has not unlinked it yet: the worker is dead, and nobody else is on its seat.
  /// May be killed anywhere, and be called again.
  std::size_t put_back_all(Seat worker) noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i != capacity_; ++i) {
      // Relaxed: what the dead worker did happened before its lock was dropped, and the
      // compare-and-swap tests it again.
      const std::uint64_t word = cell_at(i).load(std::memory_order_relaxed);
      if (state_of(word) != kTaken || (word & kWorkerMask) != worker) continue;
      count += return_cell(cell_at(i), word);
    }
    return count;
  }

  /// Whether that job, as it was pushed, is not done yet. False: its slot may be written again.
  [[nodiscard]] bool is_pending(std::uint64_t position, Seat producer, Slot slot) const noexcept {
    // Acquire, with the release in `finish` and `return_cell`: every worker that had the job has
    // read the payload. That holds for later values of the cell, too: each change of a cell is a
    // read-modify-write and goes on with the release sequences before it.
    const std::uint64_t word = cell_at(position).load(std::memory_order_acquire);
    const std::int32_t ahead = turns_ahead(word, turn(position, kFree));
    return (ahead == kReady || ahead == kTaken) && producer_of(word) == producer &&
           slot_of(word) == slot;
  }

  /// Whether a job of that producer is not done yet. For a dead one, whose file's lock the caller
  /// holds, false is final: the file may be unlinked. Looks at every cell.
  [[nodiscard]] bool has_jobs_of(Seat producer) const noexcept {
    for (std::size_t i = 0; i != capacity_; ++i) {
      // Acquire, with the release in `finish`: the payload was read.
      const std::uint64_t word = cell_at(i).load(std::memory_order_acquire);
      if (is_job(word) && producer_of(word) == producer) return true;
    }
    return false;
  }

  /// Whether a take may find something; for somebody about to sleep. May move the head on.
  [[nodiscard]] bool has_ready() const noexcept {
    // Relaxed: nothing but the number is used; `take` acquires.
    return words_->returned.load(std::memory_order_relaxed) != seen_ || find(words_->head, kReady);
  }

  /// Number of jobs that are not done, ready and taken ones, as far as it can be told while others
  /// are at work. Looks at every cell.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t count = 0;
    // Relaxed: nothing but the number is used.
    for (std::size_t i = 0; i != capacity_; ++i) {
      count += is_job(cell_at(i).load(std::memory_order_relaxed));
    }
    return count;
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Whether a push would be refused; also with `size() < capacity()`, see "In order" above. May
  /// move the tail on.
  [[nodiscard]] bool full() const noexcept { return !find(words_->tail, kFree); }

 private:
  static constexpr int kSlotShift = 10;
  static constexpr int kProducerShift = 22;
  static constexpr int kAttemptsShift = 32;
  static constexpr std::uint64_t kOneAttempt = std::uint64_t{1} << kAttemptsShift;
  static constexpr std::uint64_t kWorkerMask = kMaxSeats - 1;

  // What lies from bit `shift` on, one of `count` values.
  static constexpr std::uint32_t field(std::uint64_t word, int shift,
                                       std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>(word >> shift) & (count - 1);
  }
  static constexpr std::uint32_t state_of(std::uint64_t word) noexcept { return turn_of(word) & 3; }
  static constexpr std::uint32_t attempts_of(std::uint64_t word) noexcept {
    return field(word, kAttemptsShift, kMostAttempts);
  }
  static constexpr Seat producer_of(std::uint64_t word) noexcept {
    return field(word, kProducerShift, kMaxSeats);
  }
  static constexpr Slot slot_of(std::uint64_t word) noexcept {
    return field(word, kSlotShift, kMaxSlots);
  }
  static constexpr bool is_job(std::uint64_t word) noexcept {
    return state_of(word) == kReady || state_of(word) == kTaken;
  }

  static constexpr std::uint64_t taken(std::uint64_t ready, Seat worker) noexcept {
    return ((ready & ~kWorkerMask) + kOneTurn) | (worker & kWorkerMask);
  }
  static constexpr std::uint64_t ready_again(std::uint64_t taken) noexcept {
    const bool counts = attempts_of(taken) != kMostAttempts - 1;
    return (taken & ~kWorkerMask) - kOneTurn + (counts ? kOneAttempt : 0);
  }
  // The position whose job the cell holds, the one closest to `near`, another position of the cell.
  [[nodiscard]] std::uint64_t position_of(std::uint64_t word, std::uint64_t near) const noexcept {
    const std::int64_t laps = turns_ahead(word, turn(near, kFree)) >> 2;
    return near + (static_cast<std::uint64_t>(laps) << lap_shift_);
  }

  // From ready to taken: for a job that nobody had, and for one that was put back.
  static std::optional<Job> try_take(Place place, Seat worker) noexcept {
    assert(worker < kMaxSeats);
    const std::uint64_t word = place.word;
    const std::uint64_t mine = taken(word, worker);
    // Acquire, with the release in `push_contents`: the payload. That holds for a job that was put
    // back, too: the steps in between are read-modify-writes and go on with the release sequence of
    // the push. Relaxed on failure: another one has the job.
    if (!place.cell->compare_exchange_strong(place.word, mine, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
      return std::nullopt;
    }
    return Job{place.position, mine, producer_of(word), slot_of(word), attempts_of(word) + 1};
  }

  // From taken to ready.
  bool return_cell(Cell& cell, std::uint64_t word) noexcept {
    // Release, with the acquire in `is_pending`: what the worker has read of the payload. Relaxed
    // on failure: nothing is handed over.
    if (!cell.compare_exchange_strong(word, ready_again(word), std::memory_order_release,
                                      std::memory_order_relaxed)) {
      return false;
    }
    // Killed here: the job is ready, but only `take_returned` finds it, until `announce_returned`.
    // Release, with the acquire in `take`: the cell is ready.
    words_->returned.fetch_add(1, std::memory_order_release);
    return true;
  }

  std::uint64_t seen_;  // value of `returned` before the last scan that found nothing
};

static_assert(sizeof(WorkIndexQueue::Words) == 3 * kCacheLineBytes);
static_assert(offsetof(WorkIndexQueue::Words, head) == kCacheLineBytes &&
              offsetof(WorkIndexQueue::Words, returned) == 2 * kCacheLineBytes);

}  // namespace sluice
