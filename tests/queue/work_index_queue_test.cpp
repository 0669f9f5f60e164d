// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/queue/work_index_queue.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using Words = WorkIndexQueue::Words;
using Job = WorkIndexQueue::Job;

constexpr std::uint64_t kLaps = std::uint64_t{1} << 24;

// The shared words, in memory of their own.
class Memory {
 public:
  explicit Memory(std::size_t capacity)
      : memory_(::operator new (Words::bytes(capacity) + sizeof(std::uint64_t),
                                std::align_val_t{kCacheLineBytes})),
        words(*Words::create(memory_, capacity)),
        queue(words, capacity) {
    // Whoever writes beyond the last cell changes this.
    guard_ = new (static_cast<char*>(memory_) + Words::bytes(capacity))
        std::atomic<std::uint64_t>{kGuard};
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    EXPECT_EQ(guard_->load(), kGuard);
    ::operator delete (memory_, std::align_val_t{kCacheLineBytes});
  }

 private:
  static constexpr std::uint64_t kGuard = 0xdeadbeefdeadbeef;

  void* memory_;
  std::atomic<std::uint64_t>* guard_;

 public:
  Words& words;
  WorkIndexQueue queue;
};

// Slot of what `worker` takes next; nothing if there is nothing.
std::optional<std::uint32_t> take_and_finish(WorkIndexQueue& queue, std::uint32_t worker = 1) {
  const auto job = queue.take(worker);
  if (!job) return std::nullopt;
  EXPECT_TRUE(queue.finish(*job));
  return job->slot;
}

TEST(WorkIndexQueue, ANewQueueIsEmpty) {
  Memory memory(4);
  EXPECT_TRUE(memory.queue.empty());
  EXPECT_FALSE(memory.queue.full());
  EXPECT_FALSE(memory.queue.take(0));
  EXPECT_FALSE(memory.queue.take_returned(0));
  EXPECT_FALSE(memory.queue.has_ready());
  EXPECT_EQ(memory.queue.put_back_all(0), 0u);
  EXPECT_FALSE(memory.queue.has_jobs_of(0));
}

TEST(WorkIndexQueue, ZeroedMemoryIsAnEmptyQueue) {
  alignas(kCacheLineBytes) unsigned char zeroes[Words::bytes(2)] = {};
  WorkIndexQueue queue(*reinterpret_cast<Words*>(zeroes), 2);
  EXPECT_FALSE(queue.take(0));
  EXPECT_FALSE(queue.is_pending(0, 0, 0));
  EXPECT_TRUE(queue.push(0, 5));
  EXPECT_EQ(take_and_finish(queue), 5u);
}

TEST(WorkIndexQueue, AJobSaysWhereItIsFromAndThatNobodyHadIt) {
  Memory memory(4);
  EXPECT_EQ(memory.queue.push(0, 0), 0u);
  EXPECT_EQ(memory.queue.push(1023, 4095), 1u);
  EXPECT_EQ(memory.queue.push(5, 6), 2u);
  const auto first = memory.queue.take(1023);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->position, 0u);
  EXPECT_EQ(first->producer, 0u);
  EXPECT_EQ(first->slot, 0u);
  EXPECT_EQ(first->attempt, 1u);
  const auto second = memory.queue.take(0);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->position, 1u);
  EXPECT_EQ(second->producer, 1023u);
  EXPECT_EQ(second->slot, 4095u);
  EXPECT_EQ(second->attempt, 1u);
  EXPECT_EQ(take_and_finish(memory.queue), 6u);
  EXPECT_FALSE(memory.queue.take(0));
  EXPECT_TRUE(memory.queue.finish(*second));
  EXPECT_TRUE(memory.queue.finish(*first));
  EXPECT_TRUE(memory.queue.empty());
}

TEST(WorkIndexQueue, ACellSaysWhoDidWhatAsTheLayoutHasIt) {
  const auto cell = [](std::uint64_t lap, std::uint64_t state, std::uint64_t attempts,
                       std::uint64_t producer, std::uint64_t slot, std::uint64_t worker) {
    return lap << 40 | state << 38 | attempts << 32 | producer << 22 | slot << 10 | worker;
  };
  Memory memory(1);
  const auto& word = memory.words.cells()[0];
  EXPECT_TRUE(memory.queue.push(1001, 4001));
  EXPECT_EQ(word.load(), cell(0, 1, 0, 1001, 4001, 0));
  const auto first = memory.queue.take(1011);
  ASSERT_TRUE(first);
  EXPECT_EQ(word.load(), cell(0, 2, 0, 1001, 4001, 1011));
  EXPECT_TRUE(memory.queue.put_back(*first));
  EXPECT_EQ(word.load(), cell(0, 1, 1, 1001, 4001, 0));
  EXPECT_EQ(memory.words.returned.load(), 1u);
  const auto second = memory.queue.take(1012);
  ASSERT_TRUE(second);
  EXPECT_EQ(word.load(), cell(0, 2, 1, 1001, 4001, 1012));
  EXPECT_TRUE(memory.queue.finish(*second));
  EXPECT_EQ(word.load(), cell(1, 0, 0, 0, 0, 0));
  EXPECT_EQ(memory.words.tail.load(), 1u);
  EXPECT_EQ(memory.words.head.load(), 1u);
}

TEST(WorkIndexQueue, AJobIsPendingUntilItIsDone) {
  Memory memory(2);
  const auto position = memory.queue.push(3, 9);
  ASSERT_TRUE(position);
  EXPECT_TRUE(memory.queue.is_pending(*position, 3, 9));
  EXPECT_FALSE(memory.queue.is_pending(*position, 4, 9));
  EXPECT_FALSE(memory.queue.is_pending(*position, 3, 8));
  EXPECT_FALSE(memory.queue.is_pending(*position + 1, 3, 9));
  EXPECT_FALSE(memory.queue.is_pending(*position + 2, 3, 9)) << "of the next lap";
  const auto job = memory.queue.take(1);
  ASSERT_TRUE(job);
  EXPECT_TRUE(memory.queue.is_pending(*position, 3, 9));
  EXPECT_TRUE(memory.queue.finish(*job));
  EXPECT_FALSE(memory.queue.is_pending(*position, 3, 9));
  EXPECT_TRUE(memory.queue.push(3, 9));
  EXPECT_TRUE(memory.queue.push(3, 9));
  EXPECT_FALSE(memory.queue.is_pending(*position, 3, 9)) << "the next job in the same cell";
}

TEST(WorkIndexQueue, AFullQueueRefusesTheNextPush) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_FALSE(memory.queue.full());
  EXPECT_TRUE(memory.queue.push(0, 2));
  EXPECT_TRUE(memory.queue.full());
  EXPECT_FALSE(memory.queue.push(0, 3));
  EXPECT_EQ(memory.queue.size(), 2u);
  EXPECT_EQ(take_and_finish(memory.queue), 1u);
  EXPECT_TRUE(memory.queue.push(0, 3));
  EXPECT_EQ(take_and_finish(memory.queue), 2u);
  EXPECT_EQ(take_and_finish(memory.queue), 3u);
}

TEST(WorkIndexQueue, TheOldestJobThatIsNotDoneBoundsTheQueue) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_TRUE(memory.queue.push(0, 2));
  const auto oldest = memory.queue.take(1);
  ASSERT_TRUE(oldest);
  EXPECT_FALSE(memory.queue.push(0, 3)) << "a worker still holds the job one lap before";
  EXPECT_EQ(take_and_finish(memory.queue), 2u);
  EXPECT_EQ(memory.queue.size(), 1u);
  EXPECT_TRUE(memory.queue.full());
  EXPECT_FALSE(memory.queue.push(0, 3));
  EXPECT_TRUE(memory.queue.finish(*oldest));
  EXPECT_TRUE(memory.queue.push(0, 3));
  EXPECT_TRUE(memory.queue.push(0, 4));
  EXPECT_EQ(take_and_finish(memory.queue), 3u);
  EXPECT_EQ(take_and_finish(memory.queue), 4u);
}

TEST(WorkIndexQueue, ACapacityOfOneHoldsOneLapAfterLap) {
  Memory memory(1);
  for (std::uint32_t slot = 0; slot != 10; ++slot) {
    EXPECT_EQ(memory.queue.push(0, slot), slot);
    EXPECT_FALSE(memory.queue.push(0, 99));
    EXPECT_EQ(take_and_finish(memory.queue), slot);
    EXPECT_FALSE(memory.queue.take(0));
  }
}

TEST(WorkIndexQueue, TheLargestCapacityIsFilledAndEmptied) {
  Memory memory(WorkIndexQueue::kMaxCapacity);
  for (std::uint32_t round = 0; round != 3; ++round) {
    for (std::uint32_t i = 0; i != WorkIndexQueue::kMaxCapacity; ++i) {
      EXPECT_TRUE(memory.queue.push(round, i));
    }
    EXPECT_TRUE(memory.queue.full());
    for (std::uint32_t i = 0; i != WorkIndexQueue::kMaxCapacity; ++i) {
      EXPECT_EQ(take_and_finish(memory.queue), i);
    }
  }
}

// Positions just before the lap, and then the position, starts again from zero.
TEST(WorkIndexQueue, LapsAndPositionsMayPassTheLargestNumber) {
  for (const std::uint64_t start : {2 * kLaps - 1, ~std::uint64_t{0} - 1}) {
    Memory memory(2);
    memory.words.tail = start;
    memory.words.head = start;
    const std::uint64_t lap = start / 2 % kLaps;
    memory.words.cells()[start % 2] = lap << 40;
    memory.words.cells()[(start + 1) % 2] = (start + 1) / 2 % kLaps << 40;
    for (std::uint32_t round = 0; round != 5; ++round) {
      const auto position = memory.queue.push(7, round);
      EXPECT_EQ(position, start + std::uint64_t{2} * round);
      EXPECT_TRUE(memory.queue.push(7, round + 100));
      EXPECT_FALSE(memory.queue.push(7, 0));
      const auto put_back = memory.queue.take(1);
      ASSERT_TRUE(put_back && memory.queue.put_back(*put_back));
      const auto job = memory.queue.take(1);
      ASSERT_TRUE(job);
      EXPECT_EQ(job->position, position);
      EXPECT_EQ(job->slot, round);
      EXPECT_TRUE(memory.queue.is_pending(*position, 7, round));
      EXPECT_TRUE(memory.queue.finish(*job));
      EXPECT_FALSE(memory.queue.is_pending(*position, 7, round));
      EXPECT_EQ(take_and_finish(memory.queue), round + 100);
      EXPECT_FALSE(memory.queue.take(1));
    }
  }
}

TEST(WorkIndexQueue, APushKilledBeforeItMovedTheTailOnHasHappened) {
  for (const std::size_t capacity : {1u, 2u}) {
    Memory memory(capacity);
    EXPECT_TRUE(memory.queue.push(0, 1));
    memory.words.tail = 0;  // what a push killed after its compare-and-swap leaves behind
    EXPECT_EQ(memory.queue.full(), capacity == 1);
    memory.words.tail = 0;
    EXPECT_EQ(memory.queue.push(0, 2).has_value(), capacity == 2);
    EXPECT_EQ(take_and_finish(memory.queue), 1u);
    EXPECT_EQ(take_and_finish(memory.queue), capacity == 2 ? std::optional(2u) : std::nullopt);
    EXPECT_TRUE(memory.queue.empty());
  }
}

TEST(WorkIndexQueue, ATakeKilledBeforeItMovedTheHeadOnHasHappened) {
  for (const std::size_t capacity : {1u, 2u}) {
    Memory memory(capacity);
    EXPECT_TRUE(memory.queue.push(0, 1));
    const auto job = memory.queue.take(1);
    ASSERT_TRUE(job);
    memory.words.head = 0;  // what a take killed after its compare-and-swap leaves behind
    EXPECT_FALSE(memory.queue.take(2));
    memory.words.head = 0;
    EXPECT_FALSE(memory.queue.has_ready());
    EXPECT_TRUE(memory.queue.finish(*job));
    memory.words.head = 0;
    for (std::uint32_t i = 0; i != capacity; ++i) EXPECT_TRUE(memory.queue.push(0, i));
    memory.words.head = 0;
    EXPECT_TRUE(memory.queue.has_ready());
    memory.words.head = 0;
    for (std::uint32_t i = 0; i != capacity; ++i) EXPECT_EQ(take_and_finish(memory.queue), i);
  }
}

TEST(WorkIndexQueue, AJobPutBackAtAHeadLeftBehindIsTakenOnce) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_TRUE(memory.queue.take(1));
  memory.words.head = 0;
  EXPECT_EQ(memory.queue.put_back_all(1), 1u);
  memory.words.returned = 0;  // so that only the head leads to it
  const auto again = memory.queue.take(2);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attempt, 2u);
  EXPECT_FALSE(memory.queue.take(2));
}

TEST(WorkIndexQueue, AJobThatIsPutBackComesBeforeTheOthersAndCountsItsAttempts) {
  Memory memory(4);
  EXPECT_EQ(memory.queue.push(3, 1), 0u);
  EXPECT_TRUE(memory.queue.push(3, 2));
  for (std::uint32_t attempt = 1; attempt != 5; ++attempt) {
    const auto job = memory.queue.take(attempt);
    ASSERT_TRUE(job);
    EXPECT_EQ(job->position, 0u);
    EXPECT_EQ(job->producer, 3u);
    EXPECT_EQ(job->slot, 1u);
    EXPECT_EQ(job->attempt, attempt);
    EXPECT_TRUE(memory.queue.put_back(*job));
    EXPECT_TRUE(memory.queue.is_pending(0, 3, 1));
  }
  EXPECT_EQ(take_and_finish(memory.queue), 1u);
  const auto other = memory.queue.take(1);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->slot, 2u);
  EXPECT_EQ(other->attempt, 1u);
}

TEST(WorkIndexQueue, AttemptsAreCountedUpTo64) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(1023, 4095));
  for (std::uint32_t put_backs = 0; put_backs != 70; ++put_backs) {
    const auto job = memory.queue.take(1);
    ASSERT_TRUE(job);
    EXPECT_EQ(job->attempt, std::min(put_backs + 1, WorkIndexQueue::kMostAttempts));
    EXPECT_EQ(job->producer, 1023u);
    EXPECT_EQ(job->slot, 4095u);
    EXPECT_TRUE(memory.queue.put_back(*job));
  }
  EXPECT_EQ(take_and_finish(memory.queue), 4095u);
  EXPECT_TRUE(memory.queue.push(0, 0));
  const auto next = memory.queue.take(1);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->attempt, 1u);
}

TEST(WorkIndexQueue, JobsThatWerePutBackComeOutOldestFirstUntilNoneIsLeft) {
  for (const std::uint32_t pushed_before : {0u, 3u}) {
    Memory memory(4);
    for (std::uint32_t i = 0; i != pushed_before; ++i) {
      EXPECT_TRUE(memory.queue.push(0, 0));
      EXPECT_EQ(take_and_finish(memory.queue), 0u);
    }
    std::vector<Job> jobs;
    for (std::uint32_t slot = 0; slot != 4; ++slot) {
      EXPECT_TRUE(memory.queue.push(0, slot));
      const auto job = memory.queue.take(1);
      ASSERT_TRUE(job);
      jobs.push_back(*job);
    }
    EXPECT_FALSE(memory.queue.has_ready());
    for (const std::size_t i : {3u, 0u, 2u}) EXPECT_TRUE(memory.queue.put_back(jobs[i]));
    EXPECT_TRUE(memory.queue.has_ready());
    for (const std::uint32_t slot : {0u, 2u, 3u}) EXPECT_EQ(take_and_finish(memory.queue), slot);
    EXPECT_FALSE(memory.queue.take(1));
    EXPECT_FALSE(memory.queue.has_ready());
    EXPECT_TRUE(memory.queue.finish(jobs[1]));
    EXPECT_TRUE(memory.queue.empty());
  }
}

TEST(WorkIndexQueue, AJobPutBackByAProcessThatDidNotCountItIsFoundOnDemand) {
  Memory memory(2);
  EXPECT_FALSE(memory.queue.take(1));
  EXPECT_TRUE(memory.queue.push(0, 1));
  const auto job = memory.queue.take(1);
  ASSERT_TRUE(job && memory.queue.put_back(*job));
  memory.words.returned = 0;  // what put_back killed after its compare-and-swap leaves behind
  EXPECT_FALSE(memory.queue.has_ready());
  EXPECT_FALSE(memory.queue.take(1));
  const auto again = memory.queue.take_returned(1);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attempt, 2u);
  EXPECT_FALSE(memory.queue.take_returned(1));
}

TEST(WorkIndexQueue, AJobPutBackByAProcessThatDidNotCountItIsCountedByAnother) {
  Memory memory(4);
  WorkIndexQueue other(memory.words, 4);
  EXPECT_FALSE(memory.queue.announce_returned());
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_FALSE(memory.queue.take_returned(1));
  EXPECT_FALSE(memory.queue.announce_returned()) << "a job that nobody had yet";
  const auto job = memory.queue.take(1);
  EXPECT_FALSE(other.take(2));
  ASSERT_TRUE(job && memory.queue.put_back(*job));
  memory.words.returned = 0;  // what put_back killed after its compare-and-swap leaves behind
  EXPECT_FALSE(other.has_ready());
  EXPECT_TRUE(memory.queue.announce_returned());
  EXPECT_TRUE(other.has_ready());
  EXPECT_EQ(take_and_finish(other), 1u);
  EXPECT_FALSE(memory.queue.announce_returned());
}

TEST(WorkIndexQueue, TheSearchOnDemandLeavesNewJobsToTheirTurn) {
  Memory memory(4);
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_TRUE(memory.queue.push(0, 2));
  EXPECT_FALSE(memory.queue.take_returned(1));
  EXPECT_EQ(take_and_finish(memory.queue), 1u);
}

TEST(WorkIndexQueue, AWorkerFindsWhatWasPutBackBeforeItCame) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(0, 1));
  const auto job = memory.queue.take(1);
  ASSERT_TRUE(job && memory.queue.put_back(*job));
  WorkIndexQueue late(memory.words, 2);
  EXPECT_TRUE(late.has_ready());
  EXPECT_EQ(take_and_finish(late), 1u);
}

TEST(WorkIndexQueue, EveryWorkerHearsOfAJobThatIsPutBack) {
  Memory memory(2);
  WorkIndexQueue other(memory.words, 2);
  EXPECT_FALSE(other.take(2));
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_TRUE(other.has_ready());
  const auto job = memory.queue.take(1);
  ASSERT_TRUE(job);
  EXPECT_FALSE(other.has_ready());
  EXPECT_TRUE(memory.queue.put_back(*job));
  EXPECT_TRUE(other.has_ready());
  EXPECT_EQ(take_and_finish(other, 2), 1u);
}

TEST(WorkIndexQueue, AllJobsOfADeadWorkerGoBackAndNoOthers) {
  Memory memory(4);
  for (std::uint32_t slot = 0; slot != 4; ++slot) EXPECT_TRUE(memory.queue.push(0, slot));
  const auto finished = memory.queue.take(7);
  const auto dead = memory.queue.take(7);
  const auto alive = memory.queue.take(8);
  const auto dead_too = memory.queue.take(7);
  ASSERT_TRUE(finished && dead && alive && dead_too);
  EXPECT_TRUE(memory.queue.finish(*finished));
  EXPECT_EQ(memory.queue.put_back_all(7), 2u);
  EXPECT_EQ(memory.queue.put_back_all(7), 0u) << "done again after it was done";
  for (const std::uint32_t slot : {1u, 3u}) {
    const auto again = memory.queue.take(8);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->slot, slot);
    EXPECT_EQ(again->attempt, 2u);
    EXPECT_TRUE(memory.queue.finish(*again));
  }
  EXPECT_TRUE(memory.queue.finish(*alive));
  EXPECT_TRUE(memory.queue.empty());
}

TEST(WorkIndexQueue, AWorkerTakenForDeadCannotFinishOrPutBackWhatItHad) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.push(0, 1));
  const auto mine = memory.queue.take(1);
  ASSERT_TRUE(mine);
  EXPECT_EQ(memory.queue.put_back_all(1), 1u);
  EXPECT_FALSE(memory.queue.finish(*mine));
  EXPECT_FALSE(memory.queue.put_back(*mine));
  const auto again = memory.queue.take(1);
  ASSERT_TRUE(again);
  EXPECT_FALSE(memory.queue.finish(*mine)) << "another attempt, of another one on the same seat";
  EXPECT_TRUE(memory.queue.finish(*again));
  EXPECT_FALSE(memory.queue.finish(*mine));
  EXPECT_TRUE(memory.queue.push(0, 2));
  EXPECT_TRUE(memory.queue.push(0, 1));
  EXPECT_FALSE(memory.queue.put_back(*mine)) << "the next job in the same cell";
  EXPECT_EQ(take_and_finish(memory.queue), 2u);
  EXPECT_EQ(take_and_finish(memory.queue), 1u);
}

TEST(WorkIndexQueue, AProducerHasJobsUntilTheLastOneIsDone) {
  Memory memory(4);
  EXPECT_TRUE(memory.queue.push(5, 0));
  EXPECT_TRUE(memory.queue.push(6, 0));
  EXPECT_TRUE(memory.queue.push(5, 1));
  EXPECT_FALSE(memory.queue.has_jobs_of(0));
  EXPECT_TRUE(memory.queue.has_jobs_of(5));
  EXPECT_EQ(take_and_finish(memory.queue), 0u);
  EXPECT_EQ(take_and_finish(memory.queue), 0u);
  EXPECT_FALSE(memory.queue.has_jobs_of(6));
  EXPECT_TRUE(memory.queue.has_jobs_of(5));
  const auto last = memory.queue.take(1);
  ASSERT_TRUE(last);
  EXPECT_TRUE(memory.queue.has_jobs_of(5)) << "a worker has it";
  EXPECT_TRUE(memory.queue.finish(*last));
  EXPECT_FALSE(memory.queue.has_jobs_of(5));
}

// Whatever the words hold, a call ends and stays inside the cells (the guard is checked by
// `Memory`), and a job is named within the limits.
TEST(WorkIndexQueue, NoContentOfTheWordsHangsACallOrLeadsOutOfBounds) {
  constexpr std::uint64_t kTurn = std::uint64_t{1} << 38;
  const std::uint64_t positions[] = {
      0, 1, 2, 5, 1000, 2 * kLaps - 1, kLaps, std::uint64_t{1} << 63, ~std::uint64_t{0}};
  const std::uint64_t cells[] = {0,
                                 1,
                                 kTurn,
                                 kTurn | 0xffffffff,
                                 2 * kTurn | 0x3f00000001,
                                 3 * kTurn,  // a state that there is not
                                 3 * kTurn | 0x3fffffffff,
                                 4 * kTurn,
                                 5 * kTurn | 0x100000000,
                                 7 * kTurn,
                                 (kLaps / 2) << 40,
                                 ((kLaps / 2) << 40) + kTurn,
                                 ~std::uint64_t{0}};
  const auto ends_within_limits = [](const std::optional<Job>& job) {
    if (!job) return;
    EXPECT_LT(job->producer, WorkIndexQueue::kMaxSeats);
    EXPECT_LT(job->slot, WorkIndexQueue::kMaxSlots);
    EXPECT_GE(job->attempt, 1u);
    EXPECT_LE(job->attempt, WorkIndexQueue::kMostAttempts);
  };
  for (const std::uint64_t tail : positions) {
    for (const std::uint64_t head : positions) {
      for (const std::uint64_t first : cells) {
        for (const std::uint64_t second : cells) {
          Memory memory(2);
          memory.words.tail = tail;
          memory.words.head = head;
          memory.words.returned = tail;
          memory.words.cells()[0] = first;
          memory.words.cells()[1] = second;
          WorkIndexQueue& queue = memory.queue;
          for (int i = 0; i != 4; ++i) static_cast<void>(queue.push(1, 1));
          static_cast<void>(queue.full());
          for (std::uint32_t i = 0; i != 4; ++i) {
            static_cast<void>(queue.has_ready());
            const auto job = queue.take(1);
            ends_within_limits(job);
            if (job) {
              EXPECT_TRUE(i == 0 ? queue.put_back(*job) : queue.finish(*job));
            }
            ends_within_limits(queue.take_returned(1));
          }
          static_cast<void>(queue.is_pending(tail, 1, 1));
          static_cast<void>(queue.has_jobs_of(1));
          EXPECT_LE(queue.put_back_all(1), 2u);
          EXPECT_LE(queue.size(), 2u);
        }
      }
    }
  }
}

// Producers write jobs into a few slots each, again as soon as the job before is done; every job
// must be done once. The payload is plain memory, so that ThreadSanitizer sees whether the orders
// suffice. Of each worker's jobs some are put back, and after some it stops as if it was killed:
// another one puts back what it had and takes its place.
struct Load {
  std::size_t capacity;
  std::uint32_t producers;
  std::uint32_t workers;
  std::uint32_t jobs_each;
  std::uint32_t put_back_every;  // 0: never
  std::uint32_t lives;           // of each worker, the last of which does not end early
};

void every_job_is_done_once(const Load& load) {
  constexpr std::uint32_t kSlots = 3;
  Memory memory(load.capacity);
  std::vector<std::uint32_t> payloads(std::size_t{load.producers} * kSlots);
  std::atomic<std::uint32_t> left{load.producers * load.jobs_each};
  std::vector<std::vector<std::uint32_t>> done(load.workers);
  std::atomic<std::uint32_t> deaths{0};
  std::vector<std::thread> threads;

  const auto produce = [&](std::uint32_t producer) {
    WorkIndexQueue queue(memory.words, load.capacity);
    std::optional<std::uint64_t> positions[kSlots];
    for (std::uint32_t i = 0; i != load.jobs_each; ++i) {
      const std::uint32_t slot = i % kSlots;
      auto& position = positions[slot];
      while (position && queue.is_pending(*position, producer, slot)) std::this_thread::yield();
      payloads[producer * kSlots + slot] = producer * load.jobs_each + i;
      while (!(position = queue.push(producer, slot))) std::this_thread::yield();
    }
  };
  // One life of a worker, which ends over its job number `last` (0: never) or when there is nothing
  // left to do: then false.
  const auto live = [&](std::uint32_t worker, std::uint32_t last) {
    WorkIndexQueue queue(memory.words, load.capacity);
    for (std::uint32_t jobs = 0; left.load(std::memory_order_relaxed) != 0;) {
      const auto job = queue.take(worker);
      if (!job) {
        std::this_thread::yield();
        continue;
      }
      const std::uint32_t id = payloads[job->producer * kSlots + job->slot];
      if (++jobs == last) return true;
      if (load.put_back_every != 0 && jobs % load.put_back_every == 0 && job->attempt == 1) {
        EXPECT_TRUE(queue.put_back(*job));
        continue;
      }
      EXPECT_TRUE(queue.finish(*job));
      done[worker].push_back(id);
      left.fetch_sub(1, std::memory_order_relaxed);
    }
    return false;
  };
  const auto work = [&](std::uint32_t worker) {
    for (std::uint32_t life = 1; live(worker, life == load.lives ? 0 : 100 * life); ++life) {
      EXPECT_EQ(memory.queue.put_back_all(worker), 1u);
      deaths.fetch_add(1, std::memory_order_relaxed);
    }
  };
  for (std::uint32_t i = 0; i != load.producers; ++i) threads.emplace_back(produce, i);
  for (std::uint32_t i = 0; i != load.workers; ++i) threads.emplace_back(work, i);
  for (auto& thread : threads) thread.join();

  std::vector<std::uint32_t> all;
  for (const auto& ids : done) all.insert(all.end(), ids.begin(), ids.end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), std::size_t{load.producers} * load.jobs_each);
  for (std::uint32_t i = 0; i != all.size(); ++i) ASSERT_EQ(all[i], i);
  EXPECT_TRUE(memory.queue.empty());
  EXPECT_FALSE(memory.queue.take(0));
  // One of the workers at least had so many jobs.
  EXPECT_GE(deaths.load(), load.lives > 1 ? 1u : 0u);
}

TEST(WorkIndexQueue, ThreadsLoseNothingAndRepeatNothing) {
  every_job_is_done_once({8, 2, 2, 50'000, 0, 1});
}
TEST(WorkIndexQueue, ThreadsShareACapacityOfOne) {
  every_job_is_done_once({1, 2, 2, 10'000, 5, 1});
}
TEST(WorkIndexQueue, ThreadsPutJobsBack) { every_job_is_done_once({16, 4, 4, 20'000, 3, 1}); }
TEST(WorkIndexQueue, ThreadsDieOverTheirJobs) { every_job_is_done_once({8, 4, 4, 20'000, 7, 20}); }

}  // namespace
}  // namespace sluice
