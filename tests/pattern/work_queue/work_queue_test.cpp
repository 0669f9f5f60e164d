// SPDX-License-Identifier: Apache-2.0
//
// Jobs, a queue that is full, and the handles of loans and jobs.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <pattern/work_queue/work_queue_fixture.hpp>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Task {
  std::uint64_t number;
  double weight;
};

struct Jobs : WorkQueueTest {};

TEST_F(Jobs, AJobArrivesAsItWasPushed) {
  Producer<Task> producer(*node, "jobs");
  Worker<Task> worker(*node, "jobs");
  auto loan = producer.loan();
  ASSERT_TRUE(loan);
  *loan = {7, 0.5};
  EXPECT_TRUE(producer.push(std::move(loan)));
  EXPECT_EQ(loan.error(), Errc::closed);
  EXPECT_TRUE(producer.push(producer.loan(8U, 1.5)));
  EXPECT_TRUE(producer.push(Task{9, 2.5}));
  for (const std::uint64_t number : {7U, 8U, 9U}) {
    auto job = worker.receive();
    ASSERT_TRUE(job);
    EXPECT_EQ(job->number, number);
    EXPECT_EQ((*job).weight, static_cast<double>(number) - 6.5);
    EXPECT_EQ(job.attempt(), 1U);
    EXPECT_TRUE(job.done());
    EXPECT_FALSE(job);
    EXPECT_EQ(job.error(), Errc::closed);
    EXPECT_FALSE(job.done());
    EXPECT_FALSE(job.reject());
  }
  EXPECT_EQ(producer.pending(), 0U);
}

TEST_F(Jobs, NothingThereIsNoError) {
  Worker<Task> worker(*node, "jobs");
  EXPECT_FALSE(worker.receive());
  EXPECT_EQ(worker.receive().error(), Errc::ok);
  Producer<Task> producer(*node, "jobs");
  EXPECT_EQ(worker.receive().error(), Errc::ok);
  EXPECT_EQ(worker.wait(1ms).error(), Errc::timed_out);
  EXPECT_EQ(worker.wait(-1ms).error(), Errc::timed_out);
}

TEST_F(Jobs, JobsOfOneProducerAreTakenInTheOrderInWhichTheyWerePushed) {
  Producer<int> producer(*node, "jobs", {.depth = 8});
  Worker<int> worker(*node, "jobs");
  for (int i = 0; i < 1000; i += 5) {
    for (int k = 0; k < 5; ++k) ASSERT_TRUE(producer.push(i + k));
    for (int k = 0; k < 5; ++k) ASSERT_EQ(*worker.receive(), i + k);
  }
}

TEST_F(Jobs, EachJobGoesToOneWorker) {
  std::vector<std::unique_ptr<Producer<int>>> producers;
  std::vector<std::unique_ptr<Worker<int>>> workers;
  for (int i = 0; i < 3; ++i) {
    producers.push_back(std::make_unique<Producer<int>>(*node, "jobs"));
    workers.push_back(std::make_unique<Worker<int>>(*node, "jobs"));
  }
  std::set<int> seen;
  for (int round = 0; round < 200; ++round) {
    for (int p = 0; p < 3; ++p) {
      ASSERT_TRUE(producers[static_cast<std::size_t>(p)]->push(3 * round + p));
    }
    for (auto& worker : workers) {
      const auto job = worker->receive();
      ASSERT_TRUE(job);
      EXPECT_TRUE(seen.insert(*job).second) << *job << " for the second time";
    }
  }
  EXPECT_EQ(seen.size(), 600U);
  for (auto& worker : workers) EXPECT_FALSE(worker->receive());
}

TEST_F(Jobs, SlicesHaveAsManyElementsAsWereAskedFor) {
  Producer<int[]> producer(*node, "jobs");
  Worker<int[]> worker(*node, "jobs");
  for (const std::size_t count : {3U, 0U, 5000U, 100U}) {
    auto loan = producer.loan(count);
    ASSERT_TRUE(loan) << producer.last_failure().message;
    std::iota(loan.begin(), loan.end(), 10);
    ASSERT_TRUE(producer.push(std::move(loan)));
    const auto job = worker.receive();
    ASSERT_TRUE(job);
    ASSERT_EQ(job.size(), count);
    EXPECT_EQ(job.empty(), count == 0);
    EXPECT_EQ(job.span().size(), count);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(job[i], 10 + static_cast<int>(i));
  }
  const std::vector<int> numbers{1, 2, 3};
  EXPECT_TRUE(producer.push(numbers));
  EXPECT_TRUE(producer.push_for(1s, numbers));
  for (int i = 0; i < 2; ++i) {
    const auto job = worker.receive();
    EXPECT_TRUE(std::equal(job.begin(), job.end(), numbers.begin(), numbers.end()));
  }
}

TEST_F(Jobs, SlicesThatRunOutOfAddressSpaceSaySo) {
  Producer<std::byte[]> producer(*node, "jobs", {.heap_bytes = 1 << 20});
  EXPECT_EQ(producer.loan(std::size_t{1} << 30).error(), Errc::no_address_space);
  EXPECT_TRUE(says(producer.last_failure(), Errc::no_address_space,
                   {"service 'jobs'", "1073741824", "heap_bytes"}));
  EXPECT_EQ(producer.push(std::vector<std::byte>(std::size_t{1} << 28)).error(),
            Errc::no_address_space);
  EXPECT_TRUE(producer.loan(1000)) << "it goes on";
}

TEST_F(Jobs, SlicesHaveNoMoreThanTheHeapBytesTogether) {
  constexpr std::size_t kHeap = std::size_t{1} << 20;
  Producer<std::byte[]> producer(*node, "jobs", {.max_loans = 5, .heap_bytes = kHeap});
  EXPECT_EQ(producer.loan(kHeap + 1).error(), Errc::no_address_space);
  for (const std::size_t parts : {4U, 2U, 1U}) {
    std::vector<Loan<std::byte[]>> loans;
    for (std::size_t i = 0; i < parts; ++i) {
      loans.push_back(producer.loan(kHeap / parts));
      ASSERT_TRUE(loans.back()) << producer.last_failure().message;
    }
    EXPECT_EQ(producer.loan(100).error(), Errc::no_address_space);
  }
}

TEST_F(Jobs, BlocksOfJobsThatAreDoneAreGivenUpWhereMemoryIsShort) {
  constexpr std::size_t kHeap = std::size_t{256} << 20;
  Producer<std::byte[]> producer(*node, "jobs", {.max_loans = 1, .heap_bytes = kHeap});
  Worker<std::byte[]> worker(*node, "jobs");
  // Each of these fits only where no slot keeps the block of an earlier one for good.
  for (std::size_t bytes = kHeap / 8; bytes <= kHeap / 3; bytes += kHeap / 16) {
    for (int i = 0; i < 3; ++i) {
      auto loan = producer.loan(bytes);
      ASSERT_TRUE(loan) << producer.last_failure().message;
      ASSERT_TRUE(producer.push(std::move(loan)));
      ASSERT_EQ(worker.receive().size(), bytes);
    }
  }
}

TEST_F(Jobs, LargePayloadsTakeMemoryOnlyWhenTheyAreThere) {
  struct Frame {
    std::array<std::uint8_t, std::size_t{16} << 20> bytes;
  };
  Producer<Frame> producer(*node, "jobs");  // 256 of them would be 4 GiB
  Worker<Frame> worker(*node, "jobs");
  for (std::uint8_t i = 1; i < 20; ++i) {
    auto frame = producer.loan();
    ASSERT_TRUE(frame) << producer.last_failure().message;
    frame->bytes.front() = i;
    frame->bytes.back() = i;
    ASSERT_TRUE(producer.push(std::move(frame)));
    const auto job = worker.receive();
    ASSERT_TRUE(job) << worker.last_failure().message;
    EXPECT_EQ(job->bytes.front(), i);
    EXPECT_EQ(job->bytes.back(), i);
  }
}

TEST_F(Jobs, AWorkerThatIsThereFollowsAsAProducerTakesMoreMemory) {
  struct Frame {
    std::array<std::uint64_t, std::size_t{1} << 17> words;
  };
  Producer<Frame> producer(*node, "jobs", {.depth = 32});
  Worker<Frame> worker(*node, "jobs", {.max_jobs = 32});
  std::vector<Job<Frame>> held;
  for (std::uint64_t i = 0; i < 20; ++i) {
    auto frame = producer.loan();
    ASSERT_TRUE(frame) << producer.last_failure().message;
    frame->words.back() = i;
    ASSERT_TRUE(producer.push(std::move(frame)));
    held.push_back(worker.receive());
    ASSERT_TRUE(held.back()) << worker.last_failure().message;
  }
  for (std::uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(held[static_cast<std::size_t>(i)]->words.back(), i);
  }
}

// ---- a full queue -------------------------------------------------------------------------------

TEST_F(Jobs, AFullQueueRefusesACopyAndSaysSo) {
  Producer<int> producer(*node, "jobs", {.depth = 4});
  Worker<int> worker(*node, "jobs");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(producer.push(i));
  const auto pushed = producer.push(4);
  EXPECT_FALSE(pushed);
  EXPECT_EQ(pushed.error(), Errc::would_block);
  EXPECT_TRUE(
      says(producer.last_failure(), Errc::would_block, {"service 'jobs'", "4 jobs", "full"}));
  EXPECT_EQ(producer.pending(), 4U);
  auto oldest = worker.receive();
  EXPECT_EQ(producer.push(4).error(), Errc::would_block) << "taken is not done";
  EXPECT_TRUE(oldest.done());
  EXPECT_TRUE(producer.push(4));
  for (int i = 1; i < 5; ++i) EXPECT_EQ(*worker.receive(), i);
}

TEST_F(Jobs, ALoanThatAFullQueueRefusesIsStillThere) {
  Producer<int> producer(*node, "jobs", {.depth = 1, .max_loans = 1});
  Worker<int> worker(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  auto loan = producer.loan(2);
  ASSERT_TRUE(loan) << producer.last_failure().message;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(producer.push(std::move(loan)).error(), Errc::would_block);
    ASSERT_TRUE(loan);
    EXPECT_EQ(*loan, 2);
  }
  EXPECT_EQ(*worker.receive(), 1);
  EXPECT_TRUE(producer.push(std::move(loan)));
  EXPECT_FALSE(loan);
  EXPECT_EQ(*worker.receive(), 2);
}

TEST_F(Jobs, TheOldestJobThatIsNotDoneBoundsTheQueue) {
  Producer<int> producer(*node, "jobs", {.depth = 4});
  Worker<int> worker(*node, "jobs");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(producer.push(i));
  auto oldest = worker.receive();
  for (int i = 1; i < 4; ++i) EXPECT_EQ(*worker.receive(), i);
  EXPECT_EQ(producer.pending(), 1U);
  EXPECT_FALSE(producer.push(4));
  oldest.done();
  for (int i = 4; i < 8; ++i) EXPECT_TRUE(producer.push(i));
  EXPECT_FALSE(producer.push(8));
}

TEST_F(Jobs, SlotsNeverRunOutWhateverOrderJobsAreDoneIn) {
  Producer<int> producer(*node, "jobs", {.depth = 8, .max_loans = 2});
  Producer<int> other(*node, "jobs", {.depth = 8, .max_loans = 1});
  Worker<int> worker(*node, "jobs", {.max_jobs = 9});
  std::vector<Job<int>> held;
  std::multiset<int> expected, seen;
  auto kept = producer.loan(-1);
  for (int i = 0; i < 20000; ++i) {
    Producer<int>& next = i % 3 == 0 ? other : producer;
    if (const auto pushed = next.push(i)) {
      expected.insert(i);
    } else {
      ASSERT_EQ(pushed.error(), Errc::would_block) << next.last_failure().message;
    }
    if (auto job = worker.receive()) {
      seen.insert(*job);
      held.push_back(std::move(job));
    }
    if (held.size() == 8 || i % 7 == 0) {
      if (!held.empty()) held.erase(held.begin() + i % static_cast<int>(held.size()));
    }
  }
  held.clear();
  while (auto job = worker.receive()) seen.insert(*job);
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(*kept, -1);
}

TEST_F(Jobs, PushForWaitsForRoom) {
  Producer<int> producer(*node, "jobs", {.depth = 2});
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Worker<int> worker(own, "jobs");
    line.say();
    for (int i = 0; i < 2000; ++i) {
      const auto job = worker.wait(10s);
      if (!job || *job != i) return 1;
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < 2000; i += 2) {
    ASSERT_TRUE(producer.push_for(10s, i)) << producer.last_failure().message;
    ASSERT_TRUE(producer.push_for(10s, producer.loan(i + 1))) << producer.last_failure().message;
  }
  EXPECT_TRUE(producer.wait_until_done(10s));
  EXPECT_EQ(producer.pending(), 0U);
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Jobs, PushForEndsWithItsTime) {
  Producer<int> producer(*node, "jobs", {.depth = 1});
  ASSERT_TRUE(producer.push_for(0ms, 1));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(producer.push_for(20ms, 2).error(), Errc::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_TRUE(says(producer.last_failure(), Errc::timed_out, {"service 'jobs'", "20 ms"}));
  auto loan = producer.loan(3);
  EXPECT_EQ(producer.push_for(1ms, std::move(loan)).error(), Errc::timed_out);
  EXPECT_EQ(*loan, 3) << "it is still there";
  EXPECT_EQ(producer.push_for(-1ms, 2).error(), Errc::timed_out);
  EXPECT_FALSE(producer.wait_until_done(1ms));
}

TEST_F(Jobs, ADeadWorkerDoesNotHoldUpAProducerThatWaitsForRoom) {
  Producer<int> producer(*node, "jobs", {.depth = 1});
  ASSERT_TRUE(producer.push(1));
  ChildProcess dead = holder_of(1);
  Worker<int> heir(*node, "jobs");
  std::thread killer([&] {
    dead.kill();
    EXPECT_EQ(*heir.wait(10s), 1);
  });
  EXPECT_TRUE(producer.push_for(10s, 2)) << producer.last_failure().message;
  killer.join();
}

TEST_F(Jobs, AProducerThatIsRefusedFindsTheWorkerThatDied) {
  Producer<int> producer(*node, "jobs", {.depth = 1});
  ASSERT_TRUE(producer.push(1));
  ChildProcess dead = holder_of(1);
  EXPECT_EQ(files("worker").size(), 1U);
  dead.kill();
  while (!files("worker").empty()) ASSERT_EQ(producer.push(2).error(), Errc::would_block);
}

// ---- handles ------------------------------------------------------------------------------------

TEST_F(Jobs, MoreLoansThanAgreedAreRefused) {
  Producer<int> producer(*node, "jobs", {.max_loans = 2});
  auto first = producer.loan(1);
  auto second = producer.loan(2);
  EXPECT_EQ(producer.loan().error(), Errc::too_many_loans);
  EXPECT_EQ(producer.push(3).error(), Errc::too_many_loans);
  EXPECT_EQ(producer.push_for(1s, 3).error(), Errc::too_many_loans);
  EXPECT_TRUE(says(producer.last_failure(), Errc::too_many_loans,
                   {"all 2 loans are held", "ProducerOptions::max_loans"}));
  first.reset();
  EXPECT_TRUE(producer.loan());
}

TEST_F(Jobs, LoansThatAreDroppedComeBack) {
  Producer<int> producer(*node, "jobs", {.depth = 1, .max_loans = 3});
  Worker<int> worker(*node, "jobs");
  for (int i = 0; i < 1000; ++i) {
    auto first = producer.loan(-1);
    auto second = producer.loan(i);
    ASSERT_TRUE(first && second) << producer.last_failure().message;
    if (i % 3 == 0) {
      ASSERT_TRUE(producer.push(std::move(second)));
      ASSERT_EQ(*worker.receive(), i);
    }
  }
}

TEST_F(Jobs, MoreJobsThanAgreedAreRefused) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs", {.max_jobs = 2});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
  auto first = worker.receive();
  auto second = worker.receive();
  EXPECT_EQ(worker.receive().error(), Errc::too_many_borrowed);
  EXPECT_EQ(worker.wait(10s).error(), Errc::too_many_borrowed);
  EXPECT_TRUE(says(worker.last_failure(), Errc::too_many_borrowed,
                   {"service 'jobs'", "all 2 jobs are held", "WorkerOptions::max_jobs"}));
  first.done();
  EXPECT_EQ(*worker.receive(), 2);
}

TEST_F(Jobs, TheEndOfAHandleIsTheEndOfTheJob) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
  {
    const auto job = worker.receive();
    EXPECT_EQ(producer.pending(), 3U);
  }
  EXPECT_EQ(producer.pending(), 2U);
  auto job = worker.receive();
  job = worker.receive();
  EXPECT_EQ(producer.pending(), 1U) << "the one before is done";
  EXPECT_EQ(*job, 2);
  Job<int> moved(std::move(job));
  EXPECT_EQ(job.error(), Errc::closed);
  EXPECT_EQ(producer.pending(), 1U);
  EXPECT_EQ(*moved, 2);
}

TEST_F(Jobs, ARejectedJobComesFirstAndCountsItsAttempts) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs");
  Worker<int> other(*node, "jobs");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
  auto job = worker.receive();
  EXPECT_EQ(job.attempt(), 1U);
  EXPECT_TRUE(job.reject());
  EXPECT_FALSE(job);
  EXPECT_FALSE(job.done());
  auto again = other.receive();
  EXPECT_EQ(*again, 0);
  EXPECT_EQ(again.attempt(), 2U);
  EXPECT_TRUE(again.reject());
  EXPECT_EQ(worker.receive().attempt(), 3U);
  EXPECT_EQ(*worker.receive(), 1);
  EXPECT_EQ(*other.receive(), 2);
  EXPECT_EQ(producer.pending(), 0U);
}

TEST_F(Jobs, ASleeperIsWokenByAPush) {
  Producer<int> producer(*node, "jobs");
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Worker<int> worker(own, "jobs");
    line.say();
    for (int i = 0; i < 1000; ++i) {
      const auto job = worker.wait(10s);
      if (!job || *job != i) return 1;
      line.say();
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(producer.push(i));
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Jobs, ASleeperIsWokenByARejection) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  auto job = worker.receive();
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Worker<int> sleeper(own, "jobs");
    line.say();
    const auto again = sleeper.wait(10s);
    return again && again.attempt() == 2 ? 0 : 1;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_TRUE(job.reject());
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Jobs, HandlesAreEndedOnAnotherThread) {
  Producer<int> producer(*node, "jobs", {.depth = 4, .max_loans = 2});
  Worker<int> worker(*node, "jobs", {.max_jobs = 2});
  for (int i = 0; i < 200; ++i) {
    Loan<int> unwanted = producer.loan();
    ASSERT_TRUE(unwanted) << producer.last_failure().message;
    ASSERT_TRUE(producer.push(2 * i)) << producer.last_failure().message;
    ASSERT_TRUE(producer.push(2 * i + 1)) << producer.last_failure().message;
    Job<int> first = worker.receive();
    Job<int> second = worker.receive();
    ASSERT_TRUE(first && second);
    std::thread([done = std::move(first), rejected = std::move(second),
                 dropped = std::move(unwanted), i]() mutable {
      EXPECT_EQ(*done, 2 * i);
      EXPECT_TRUE(rejected.reject());
    }).join();
    EXPECT_EQ(worker.receive().attempt(), 2U);
    EXPECT_EQ(producer.pending(), 0U);
  }
}

TEST_F(Jobs, AJobOutlivesItsWorker) {
  Producer<int> producer(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  ASSERT_TRUE(producer.push(2));
  Job<int> kept, other;
  {
    Worker<int> worker(*node, "jobs");
    kept = worker.receive();
    other = worker.receive();
  }
  EXPECT_EQ(producer.workers(), 1U) << "it leaves with its last job";
  Worker<int> next(*node, "jobs");
  EXPECT_FALSE(next.receive()) << "its jobs are still its own";
  EXPECT_EQ(*kept, 1);
  EXPECT_TRUE(kept.done());
  EXPECT_TRUE(other.reject());
  EXPECT_EQ(producer.workers(), 1U);
  EXPECT_EQ(*next.receive(), 2);
}

TEST_F(Jobs, ALoanOutlivesItsProducer) {
  Loan<int> loan;
  {
    Producer<int> producer(*node, "jobs");
    loan = producer.loan(1);
  }
  *loan = 2;
}

TEST_F(Jobs, PortsCanBeMoved) {
  Producer<int> first(*node, "jobs");
  auto loan = first.loan(5);
  Producer<int> second(std::move(first));
  EXPECT_TRUE(second.push(std::move(loan)));
  Worker<int> a(*node, "jobs");
  Worker<int> b(*node, "other");
  auto job = a.receive();
  b = std::move(a);
  EXPECT_EQ(*job, 5);
  EXPECT_TRUE(job.reject());
  EXPECT_EQ(*b.receive(), 5);
}

TEST_F(Jobs, AForkedChildIsRefusedAndItsParentUnharmed) {
  Producer<int> producer(*node, "jobs", {.depth = 4, .max_loans = 2});
  Worker<int> worker(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  auto job = worker.receive();
  auto loan = producer.loan(2);
  ChildProcess child([&](const ChildProcess::Line&) {
    if (producer.loan().error() != Errc::forked) return 1;
    if (producer.push(3).error() != Errc::forked) return 2;
    if (producer.push_for(1s, 3).error() != Errc::forked) return 3;
    if (producer.push(std::move(loan)).error() != Errc::forked) return 4;
    if (producer.last_failure().message.empty()) return 5;
    if (producer.pending() != 0 || producer.workers() != 0) return 6;
    if (producer.wait_until_done(10s)) return 7;
    if (worker.receive().error() != Errc::forked) return 8;
    if (worker.wait(10s).error() != Errc::forked) return 9;
    if (worker.last_failure().message.empty() || worker.producers() != 0) return 10;
    if (Worker<int>::create(*node, "jobs").error() != Errc::forked) return 11;
    if (job.done() || Job<int>(std::move(job)).reject()) return 12;
    loan.reset();
    {
      const Producer<int> gone(std::move(producer));
      const Worker<int> gone_too(std::move(worker));
      node.reset();
    }
    const Node own("child");
    Worker<int> fresh(own, "jobs");
    return fresh.producers() == 1 ? 0 : 13;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(*job, 1);
  EXPECT_TRUE(job.done());
  EXPECT_EQ(producer.workers(), 1U);
  EXPECT_TRUE(producer.push(std::move(loan)));
  EXPECT_EQ(*worker.receive(), 2);
}

#if GTEST_HAS_DEATH_TEST
TEST_F(Jobs, PushingALoanThatIsNotItsOwnAborts) {
  Producer<int> producer(*node, "jobs");
  Producer<int> other(*node, "jobs");
  auto loan = other.loan(1);
  EXPECT_DEATH((void)producer.push(std::move(loan)), "another producer");
  EXPECT_DEATH((void)producer.push(Loan<int>()), "empty");
}
#endif

}  // namespace
}  // namespace sluice
