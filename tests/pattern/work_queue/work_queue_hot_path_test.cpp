// SPDX-License-Identifier: Apache-2.0
//
// Jobs that are pushed, taken, done and rejected make no system call and allocate nothing, while
// nobody sleeps, nobody comes or goes, and there is something to do.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <support/hot_path.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kJobs = 100'000;
constexpr std::uint64_t kStretch = 10'000;  // jobs; some 3 ms
constexpr std::uint32_t kDepth = 1024;      // so much that busy machines switch seldom

struct Numbers {
  std::uint64_t first, second;
};

struct Step {
  std::atomic<std::uint64_t> pushed{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> both_are_there{false};
};

/// Every third job is rejected once.
int work(Worker<Numbers>& worker, Step& step) {
  for (std::uint64_t next = 0; next < kJobs; ++next) {
    while (step.pushed.load(std::memory_order_acquire) <= next) {
    }
    auto job = worker.receive();
    if (next % 3 == 0) {
      if (!job || job.attempt() != 1 || !job.reject()) return 1;
      job = worker.receive();
      if (!job || job.attempt() != 2) return 2;
    }
    if (!job || job->first != next || job->second != ~next || !job.done()) return 3;
    if (next == 0) {
      // Nobody comes any more.
      while (!step.both_are_there.load(std::memory_order_acquire)) {
      }
      if (worker.receive()) return 4;
      forbid_system_calls();
    }
    step.done.store(next + 1, std::memory_order_release);
  }
  return 0;
}

int produce(Producer<Numbers>& producer, Step& step) {
  for (std::uint64_t i = 0; i < kJobs; ++i) {
    while (i >= step.done.load(std::memory_order_acquire) + kDepth) {
    }
    const bool pushed = i % 2 == 0 ? bool(producer.push(producer.loan(i, ~i)))
                                   : bool(producer.push(Numbers{i, ~i}));
    if (!pushed) return 1;
    step.pushed.store(i + 1, std::memory_order_release);
    if (i != 0) continue;
    step.both_are_there.store(true, std::memory_order_release);
    while (step.done.load(std::memory_order_acquire) == 0) {
    }
    forbid_system_calls();
  }
  return 0;
}

TEST(HotPath, JobsWithoutSleepersMakeNoSystemCall) {
  TemporaryRoot root;
  const SharedPage<Step> step;
  {
    ChildProcess worker_process([&](const ChildProcess::Line&) -> int {
      Node node("worker");
      Worker<Numbers> worker(node, "jobs");
      leave(work(worker, *step));
    });
    ChildProcess producer_process([&](const ChildProcess::Line&) -> int {
      Node node("producer");
      Producer<Numbers> producer(node, "jobs", {.depth = kDepth});
      while (producer.workers() == 0) {
      }
      leave(produce(producer, *step));
    });
    expect_that_both_succeed(producer_process, worker_process);
  }
  { Node node("reaper"); }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(HotPath, JobsAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Producer<Numbers> producer(node, "jobs", {.depth = 4});
  Worker<Numbers> worker(node, "jobs");
  ASSERT_TRUE(producer.push(Numbers{0, 0}));
  ASSERT_TRUE(worker.receive());
  while (producer.push(Numbers{0, 0})) continue;  // the words for it are there from now on
  while (worker.receive()) continue;
  // Every 100 ms a look is due, which allocates. So a stretch begins right after one, and counts if
  // it was over long before the next.
  for (std::uint64_t first = 1;; first += kStretch) {
    (void)producer.workers();
    (void)worker.producers();
    const std::uint64_t before = allocations;
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t i = first;
    for (; i < first + kStretch; ++i) {
      if (!producer.push(producer.loan(i, ~i))) break;
      if (i % 5 == 0) {
        while (producer.push(Numbers{i, ~i})) continue;
      }
      if (!worker.receive().reject()) break;
      while (auto job = worker.receive()) {
        if (job->first != i) break;
      }
    }
    ASSERT_EQ(i, first + kStretch) << "it went on to the end";
    ASSERT_EQ(producer.pending(), 0U);
    if (std::chrono::steady_clock::now() - start > std::chrono::milliseconds(50)) continue;
    expect_no_allocation_since(before);
    break;
  }
}

TEST(HotPath, RefusedJobsAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Producer<Numbers> producer(node, "jobs", {.depth = 2, .max_loans = 1});
  const auto expect_refused = [&](Errc why) {
    EXPECT_EQ(producer.push(Numbers{0, 0}).error(), why);
  };
  const auto expect_no_allocation = [&](Errc why) {
    expect_refused(why);
    int that_allocated = 0;  // in the looks that are due every 100 ms
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t before = allocations;
      expect_refused(why);
      that_allocated += allocations != before ? 1 : 0;
    }
    EXPECT_LT(that_allocated, 100);
    EXPECT_FALSE(producer.last_failure().message.empty());
  };
  {
    const auto loan = producer.loan();
    ASSERT_TRUE(loan);
    expect_no_allocation(Errc::too_many_loans);
  }
  while (producer.push(Numbers{0, 0})) continue;
  expect_no_allocation(Errc::would_block);
}

}  // namespace
}  // namespace sluice
