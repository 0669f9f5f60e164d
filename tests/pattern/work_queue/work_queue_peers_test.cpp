// SPDX-License-Identifier: Apache-2.0
//
// Producers and workers that come, leave and die, and what is refused.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <pattern/work_queue/work_queue_fixture.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/service/board.hpp>
#include <string>
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

struct WorkQueuePeers : WorkQueueTest {};

// ---- who comes and goes -------------------------------------------------------------------------

TEST_F(WorkQueuePeers, AWorkerThatComesFirstWaitsForAProducer) {
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Worker<int> worker(own, "jobs");
    if (worker.receive() || worker.producers() != 0) return 1;
    line.say();
    const auto job = worker.wait(10s);
    return job && *job == 1 ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_TRUE(files("work_queue").empty());
  Producer<int> producer(*node, "jobs");
  EXPECT_EQ(files("work_queue").size(), 1U);
  ASSERT_TRUE(producer.push(1));
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(producer.wait_until_done(10s));
}

TEST_F(WorkQueuePeers, WorkersAndProducersAreCounted) {
  Producer<int> producer(*node, "jobs");
  EXPECT_EQ(producer.workers(), 0U);
  {
    Worker<int> first(*node, "jobs");
    Worker<int> second(*node, "jobs");
    EXPECT_EQ(producer.workers(), 2U);
    EXPECT_EQ(first.producers(), 1U);
    const Producer<int> other(*node, "jobs");
    EXPECT_EQ(second.producers(), 2U);
  }
  EXPECT_EQ(producer.workers(), 0U);
}

TEST_F(WorkQueuePeers, ServicesSayWhoProducesAndWhoWorks) {
  const Producer<Task> producer(*node, "jobs");
  const Worker<Task> worker(*node, "jobs");
  const auto found = services();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "jobs");
  EXPECT_EQ(found[0].pattern, "work-queue");
  ASSERT_EQ(found[0].ports.size(), 2U);
  EXPECT_EQ(found[0].ports[0].kind, "producer");
  EXPECT_EQ(found[0].ports[1].kind, "worker");
  EXPECT_TRUE(found[0].ports[0].alive && found[0].ports[1].alive);
  EXPECT_EQ(found[0].ports[1].node_name, "test");
}

TEST_F(WorkQueuePeers, JobsOfAProducerThatHasLeftAreDone) {
  Worker<int> worker(*node, "jobs");
  {
    Producer<int> producer(*node, "jobs");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
    EXPECT_EQ(*worker.receive(), 0);
  }
  EXPECT_EQ(worker.producers(), 0U);
  EXPECT_EQ(files("producer").size(), 1U) << "its payloads are still needed";
  Worker<int> late(*node, "jobs");
  const auto last = late.receive();
  EXPECT_EQ(*last, 1);
  EXPECT_EQ(*worker.receive(), 2);
  EXPECT_EQ(files("producer").size(), 1U);
  EXPECT_EQ(*last, 1);
}

TEST_F(WorkQueuePeers, AProducerThatHasLeftIsForgottenWithItsLastJob) {
  Worker<int> worker(*node, "jobs");
  {
    Producer<int> producer(*node, "jobs");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
  }
  std::vector<Job<int>> held;
  for (int i = 0; i < 3; ++i) held.push_back(worker.receive());
  EXPECT_TRUE(held[0].done());
  EXPECT_TRUE(held[2].reject());
  EXPECT_TRUE(held[1].done());
  EXPECT_EQ(files("producer").size(), 1U);
  EXPECT_EQ(*worker.receive(), 2);
  EXPECT_TRUE(files("producer").empty());
}

TEST_F(WorkQueuePeers, AProducerThatHasLeftIsForgottenThoughItsLastJobWasTakenBefore) {
  Worker<int> worker(*node, "jobs");
  std::optional<Producer<int>> producer(std::in_place, *node, "jobs");
  ASSERT_TRUE(producer->push(1));
  auto job = worker.receive();
  producer.reset();
  EXPECT_EQ(files("producer").size(), 1U);
  EXPECT_TRUE(job.done());
  EXPECT_FALSE(worker.receive());
  EXPECT_TRUE(files("producer").empty());
}

TEST_F(WorkQueuePeers, AProducerWithoutJobsLeavesAtOnce) {
  Worker<int> worker(*node, "jobs");
  {
    Producer<int> producer(*node, "jobs");
    ASSERT_TRUE(producer.push(1));
    ASSERT_TRUE(worker.receive());
  }
  EXPECT_TRUE(files("producer").empty());
}

TEST_F(WorkQueuePeers, ASeatIsNotGivenAwayWhileAJobNamesIt) {
  Worker<int> worker(*node, "jobs");
  {
    Producer<int> producer(*node, "jobs");
    ASSERT_TRUE(producer.push(1));
  }
  {
    Producer<int> next(*node, "jobs");
    EXPECT_EQ(files("producer"), (std::vector<std::string>{"producer.0", "producer.1"}));
    ASSERT_TRUE(next.push(2));
    EXPECT_EQ(*worker.receive(), 1);
    EXPECT_EQ(*worker.receive(), 2);
  }
  EXPECT_TRUE(files("producer").empty());
}

TEST_F(WorkQueuePeers, ANewProducerOnAnOldSeatIsNotTakenForTheOldOne) {
  Worker<int> worker(*node, "jobs");
  for (int round = 0; round < 200; ++round) {
    Producer<int> producer(*node, "jobs");
    ASSERT_EQ(files("producer"), std::vector<std::string>{"producer.0"});
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(10 * round + i));
    for (int i = 0; i < 3; ++i) {
      const auto job = worker.receive();
      ASSERT_TRUE(job) << worker.last_failure().message;
      ASSERT_EQ(*job, 10 * round + i);
    }
  }
}

TEST_F(WorkQueuePeers, JobsLastAsLongAsSomebodyIsInTheService) {
  {
    Producer<int> producer(*node, "jobs");
    ASSERT_TRUE(producer.push(1));
  }
  EXPECT_TRUE(root.files().size() == 1U) << "the node's file alone";
  Worker<int> worker(*node, "jobs");
  EXPECT_FALSE(worker.receive());
}

TEST_F(WorkQueuePeers, ADeadServiceIsRemovedWithItsJobs) {
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Producer<int> producer(own, "jobs");
    Worker<int> worker(own, "jobs");
    for (int i = 0; i < 3; ++i) (void)producer.push(i);
    const auto job = worker.receive();
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  child.kill();
  EXPECT_GE(node->reap(), 5U);
  EXPECT_EQ(root.files().size(), 1U) << "the node's file alone";
}

TEST_F(WorkQueuePeers, WorkersAreWokenByJobsAndProducersByRoom) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs");
  const Directory directory = service_directory();
  const auto board = SharedFile::open(directory, kBoardFile, FileKind::board, sizeof(Board),
                                      Region::Access::read_write);
  const auto queue = WorkQueue::open(directory);
  ASSERT_TRUE(board && queue);
  Doorbell& jobs = board->region().at<Board>(0)->doorbell;
  Doorbell& room = queue->room();
  const auto fall_asleep = [&] {
    jobs.arm(Doorbell::kSleepers);
    room.arm(Doorbell::kSleepers);
  };
  const auto woken = [&] { return std::pair(jobs.armed == 0, room.armed == 0); };
  for (std::uint32_t round = 1; round <= 3; ++round) {
    fall_asleep();
    ASSERT_TRUE(producer.push(1));
    EXPECT_EQ(woken(), std::pair(true, false)) << "a job";
    fall_asleep();
    auto job = worker.receive();
    EXPECT_EQ(woken(), std::pair(false, false)) << "that is taken";
    EXPECT_TRUE(job.reject());
    EXPECT_EQ(woken(), std::pair(true, false)) << "that is rejected";
    fall_asleep();
    EXPECT_TRUE(worker.receive());  // and done
    EXPECT_EQ(woken(), std::pair(false, true)) << "that is done";
  }
}

// ---- who dies -----------------------------------------------------------------------------------

TEST_F(WorkQueuePeers, JobsOfADeadWorkerGoToAnother) {
  Producer<int> producer(*node, "jobs");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.push(i));
  ChildProcess dead = holder_of(2);
  Worker<int> worker(*node, "jobs");
  EXPECT_EQ(*worker.receive(), 2);
  EXPECT_FALSE(worker.receive());
  dead.kill();
  for (int i = 0; i < 2; ++i) {
    const auto job = worker.wait(10s);
    ASSERT_TRUE(job);
    EXPECT_EQ(*job, i);
    EXPECT_EQ(job.attempt(), 2U);
  }
  EXPECT_EQ(producer.pending(), 0U);
  EXPECT_EQ(files("worker").size(), 1U);
}

TEST_F(WorkQueuePeers, AWorkerThatPollsFindsTheOneThatDied) {
  Producer<int> producer(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  ChildProcess dead = holder_of(1);
  Worker<int> worker(*node, "jobs");
  dead.kill();
  Job<int> job;
  while (!job) {
    job = worker.receive();
    ASSERT_TRUE(job || job.error() == Errc::ok) << worker.last_failure().message;
  }
  EXPECT_EQ(job.attempt(), 2U);
}

TEST_F(WorkQueuePeers, AWorkerThatComesLaterFindsTheOneThatDied) {
  Producer<int> producer(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  holder_of(1).kill();
  Worker<int> worker(*node, "jobs");
  const auto job = worker.receive();
  ASSERT_TRUE(job);
  EXPECT_EQ(job.attempt(), 2U);
}

TEST_F(WorkQueuePeers, AttemptsAreCountedOverSeveralDeaths) {
  Producer<int> producer(*node, "jobs");
  ASSERT_TRUE(producer.push(1));
  for (int i = 0; i < 3; ++i) holder_of(1).kill();
  Worker<int> worker(*node, "jobs");
  EXPECT_EQ(worker.receive().attempt(), 4U);
}

// Only its own user can remove a dead worker's file. Its jobs do not wait for that.
TEST_F(WorkQueuePeers, JobsOfAnotherUsersDeadWorkerGoToAnother) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second and a third user";
  ASSERT_EQ(::chmod(root.path().c_str(), 01777), 0);
  const Node open_to_all("test", {.access = Access::world});
  Producer<int> producer(open_to_all, "jobs");
  ASSERT_TRUE(producer.push(1));
  const auto worker_of = [](uid_t user) {
    return ChildProcess([user](const ChildProcess::Line& line) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0) return 1;
      const Node own("child", {.access = Access::world});
      Worker<int> worker(own, "jobs");
      auto job = worker.wait(10s);
      if (!job) return 2;
      line.say(job.attempt());
      line.hear();
      return job.done() ? 0 : 3;
    });
  };
  std::uint64_t attempt = 0;
  ChildProcess dead = worker_of(65534);
  ASSERT_TRUE(dead.hear(&attempt));
  EXPECT_EQ(attempt, 1U);
  dead.kill();
  ChildProcess heir = worker_of(65533);
  ASSERT_TRUE(heir.hear(&attempt));
  EXPECT_EQ(attempt, 2U);
  EXPECT_EQ(files("worker").size(), 2U);
  heir.say();
  EXPECT_EQ(heir.wait(), 0);
  EXPECT_TRUE(producer.wait_until_done(10s));
  EXPECT_EQ(producer.workers(), 0U);
  EXPECT_TRUE(files("worker").empty()) << "removed by root";
}

TEST_F(WorkQueuePeers, JobsThatADeadProducerHasPushedAreDone) {
  ChildProcess dead([](const ChildProcess::Line& line) {
    const Node own("child");
    Producer<int> producer(own, "jobs");
    for (int i = 0; i < 3; ++i) (void)producer.push(i);
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(dead.hear());
  Worker<int> worker(*node, "jobs");
  auto first = worker.receive();
  dead.kill();
  EXPECT_EQ(worker.producers(), 0U);
  EXPECT_EQ(node->reap(), 1U) << "the node's file, and not the one with the payloads";
  EXPECT_EQ(files("producer").size(), 1U);
  EXPECT_EQ(*first, 0);
  Worker<int> late(*node, "jobs");
  EXPECT_EQ(*late.receive(), 1);
  EXPECT_EQ(*worker.receive(), 2);
  EXPECT_TRUE(first.reject());
  EXPECT_EQ(*late.receive(), 0);
  EXPECT_TRUE(files("producer").empty());
  EXPECT_FALSE(worker.receive());
}

TEST_F(WorkQueuePeers, LoansOfADeadProducerAreNoJobs) {
  Worker<int> worker(*node, "jobs");
  ChildProcess dead([](const ChildProcess::Line& line) {
    const Node own("child");
    Producer<int> producer(own, "jobs");
    auto loan = producer.loan(1);
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(dead.hear());
  EXPECT_EQ(worker.producers(), 1U);
  dead.kill();
  EXPECT_EQ(worker.producers(), 0U);
  EXPECT_FALSE(worker.receive());
  EXPECT_TRUE(files("producer").empty());
}

// Killed between putting a job back and saying so.
TEST_F(WorkQueuePeers, AJobThatWasPutBackInSilenceIsFound) {
  Producer<int> producer(*node, "jobs");
  Worker<int> worker(*node, "jobs");
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(producer.push(1));
    auto queue = WorkQueue::open(service_directory());
    ASSERT_TRUE(queue);
    const auto file = SharedFile::open(service_directory(), kWorkQueueFile, FileKind::work_queue,
                                       sizeof(WorkQueueFile), Region::Access::read_write);
    ASSERT_TRUE(file);
    const auto job = (*queue)->take(1000);
    ASSERT_TRUE(job && !worker.receive());
    auto& returned =
        file->region().at<WorkIndexQueue::Words>(WorkQueueFile::kWordsOffset)->returned;
    const std::uint64_t before = returned;
    ASSERT_TRUE((*queue)->put_back(*job));
    returned = before;
    Job<int> found;
    if (round == 0) {
      found = worker.wait(10s);
    } else {
      while (!found) found = worker.receive();
    }
    EXPECT_EQ(found.attempt(), 2U);
  }
}

// ---- what is refused ----------------------------------------------------------------------------

TEST_F(WorkQueuePeers, AnotherTypeUnderTheSameNameNamesTheField) {
  struct Other {
    std::uint64_t number;
    float weight;
  };
  Producer<Task> producer(*node, "jobs");
  EXPECT_TRUE(says(Worker<Other>::create(*node, "jobs").failure(), Errc::type_mismatch,
                   {"service 'jobs'", "weight"}));
  EXPECT_EQ(Producer<Other>::create(*node, "jobs").error(), Errc::type_mismatch);
  EXPECT_EQ(Worker<Task[]>::create(*node, "jobs").error(), Errc::type_mismatch);
  EXPECT_TRUE(producer.push(Task{1, 2}));
}

TEST_F(WorkQueuePeers, AWorkQueueAndATopicMayHaveTheSameName) {
  Producer<int> producer(*node, "same");
  Publisher<double> publisher(*node, "same");
  Worker<int> worker(*node, "same");
  EXPECT_TRUE(producer.push(1));
  EXPECT_EQ(*worker.receive(), 1);
}

TEST_F(WorkQueuePeers, OptionsOutsideTheirLimits) {
  const auto producer = [&](const ProducerOptions& options) {
    return Producer<int>::create(*node, "jobs", options).failure();
  };
  const auto worker = [&](const WorkerOptions& options) {
    return Worker<int>::create(*node, "jobs", options).failure();
  };
  EXPECT_TRUE(says(producer({.depth = 0}), Errc::invalid_options, {"depth is 0", "1 to 2048"}));
  EXPECT_TRUE(says(producer({.depth = 2049}), Errc::invalid_options, {"depth is 2049"}));
  EXPECT_TRUE(says(producer({.max_loans = 0}), Errc::invalid_options, {"max_loans"}));
  EXPECT_TRUE(says(producer({.max_loans = 257}), Errc::invalid_options, {"1 to 256"}));
  EXPECT_TRUE(says(producer({.heap_bytes = UINT64_MAX}), Errc::invalid_options, {"heap_bytes"}));
  EXPECT_TRUE(says(worker({.max_jobs = 0}), Errc::invalid_options, {"max_jobs is 0", "1 to 256"}));
  EXPECT_TRUE(says(worker({.max_jobs = 257}), Errc::invalid_options, {"service 'jobs'"}));
}

TEST_F(WorkQueuePeers, TheFirstProducerDecidesTheDepth) {
  Producer<int> producer(*node, "jobs", {.depth = 100});  // rounded up to 128
  EXPECT_TRUE(says(Producer<int>::create(*node, "jobs", {.depth = 64}).failure(),
                   Errc::invalid_options, {"service 'jobs'", "depth is 64", "128"}));
  const Producer<int> same(*node, "jobs", {.depth = 128});
  const Producer<int> rounded(*node, "jobs", {.depth = 65});
  Producer<int> any(*node, "jobs");
  int pushed = 0;
  while (any.push(pushed)) ++pushed;
  EXPECT_EQ(pushed, 128);
}

TEST_F(WorkQueuePeers, WithoutAWishTheDepthIs256) {
  Producer<int> producer(*node, "jobs");
  int pushed = 0;
  while (producer.push(pushed)) ++pushed;
  EXPECT_EQ(pushed, 256);
}

TEST_F(WorkQueuePeers, TheLargestDepthAndTheMostLoansFitTogether) {
  Producer<int> producer(*node, "jobs", {.depth = 2048, .max_loans = 256});
  Worker<int> worker(*node, "jobs");
  std::vector<Loan<int>> loans;
  for (int i = 0; i < 256; ++i) loans.push_back(producer.loan(-1));
  int next = 0;
  for (int i = 0; i < 2048; ++i) {
    loans.pop_back();
    ASSERT_TRUE(producer.push(i)) << producer.last_failure().message;
    loans.push_back(producer.loan(-1));
    ASSERT_TRUE(loans.back()) << producer.last_failure().message;
  }
  while (const auto job = worker.receive()) ASSERT_EQ(*job, next++);
  EXPECT_EQ(next, 2048);
}

TEST_F(WorkQueuePeers, AQueueThatIsBrokenIsRefused) {
  Producer<int> producer(*node, "jobs");
  auto file = SharedFile::open(service_directory(), kWorkQueueFile, FileKind::work_queue,
                               sizeof(WorkQueueFile), Region::Access::read_write);
  ASSERT_TRUE(file);
  for (const std::uint32_t capacity : {0U, 3U, 8192U, UINT32_MAX, 2048U}) {  // the last: too short
    file->region().at<WorkQueueFile>(0)->capacity = capacity;
    EXPECT_TRUE(says(Worker<int>::create(*node, "jobs").failure(), Errc::corrupted,
                     {"service 'jobs'", "work_queue", std::to_string(capacity)}));
    EXPECT_EQ(Producer<int>::create(*node, "jobs").error(), Errc::corrupted);
  }
  EXPECT_TRUE(producer.push(1)) << "who is there does not look again";
}

/// Pushes one job of a real producer, lets `tamper` at the queue and the producer's file, and
/// expects that the job is dropped, with these words.
template <typename T, typename Tamper>
void expect_dropped(WorkQueueTest& test, const std::vector<std::string>& words, Tamper&& tamper) {
  Producer<T> producer(*test.node, "jobs", {.depth = 1});
  Worker<T> worker(*test.node, "jobs");
  const Directory directory = test.service_directory();
  auto queue = WorkQueue::open(directory);
  auto file = SharedFile::open(directory, "producer.0", FileKind::producer, sizeof(ProducerFile),
                               Region::Access::read_write);
  ASSERT_TRUE(queue && file);
  tamper(producer, **queue, *file);
  const auto job = worker.receive();
  EXPECT_FALSE(job);
  EXPECT_EQ(job.error(), Errc::corrupted);
  EXPECT_TRUE(says(worker.last_failure(), Errc::corrupted, {"service 'jobs'", "dropped"}));
  EXPECT_TRUE(says(worker.last_failure(), Errc::corrupted, words));
  EXPECT_EQ(worker.receive().error(), Errc::ok) << "it is reported once, and out of the way";
  EXPECT_TRUE((*queue)->empty());
}

using Words = std::vector<std::string>;

TEST_F(WorkQueuePeers, AJobWhoseSlotDoesNotExistIsDropped) {
  expect_dropped<int>(*this, {"producer.0", "slot"}, [](auto&, WorkIndexQueue& queue, SharedFile&) {
    ASSERT_TRUE(queue.push(0, 4000));
  });
}

TEST_F(WorkQueuePeers, AJobWhoseProducerDoesNotExistIsDropped) {
  expect_dropped<int>(*this, {"producer.77"}, [](auto&, WorkIndexQueue& queue, SharedFile&) {
    ASSERT_TRUE(queue.push(77, 0));
  });
}

TEST_F(WorkQueuePeers, ASliceThatLeadsOutsideTheFileIsDropped) {
  expect_dropped<int[]>(
      *this, {"producer.0", "outside the file"},
      [](Producer<int[]>& producer, WorkIndexQueue&, SharedFile& file) {
        ASSERT_TRUE(producer.push(std::vector<int>{1, 2, 3}));
        const Region& region = file.region();
        const SlotTable& table = region.at<ProducerFile>(0)->table;
        const auto* offsets = region.at<std::uint64_t>(table.chunks[0]);
        for (std::uint64_t slot = 0; slot < region.at<ProducerFile>(0)->slots; ++slot) {
          region.at<SliceWords>(offsets[slot] + table.payload_offset)->count = 1ULL << 40;
        }
      });
}

TEST_F(WorkQueuePeers, AJobWhoseProducersFileIsBrokenIsDropped) {
  Producer<int> producer(*node, "jobs");
  auto file = SharedFile::open(service_directory(), "producer.0", FileKind::producer,
                               sizeof(ProducerFile), Region::Access::read_write);
  ASSERT_TRUE(file);
  file->region().at<ProducerFile>(0)->table.payload_bytes = 3;
  Worker<int> worker(*node, "jobs");
  EXPECT_EQ(worker.receive().error(), Errc::ok) << "as long as there is no job of it";
  ASSERT_TRUE(producer.push(1));
  EXPECT_EQ(worker.receive().error(), Errc::corrupted);
  EXPECT_TRUE(says(worker.last_failure(), Errc::corrupted, {"producer.0", "3 bytes", "dropped"}));
  EXPECT_EQ(producer.pending(), 0U);
  Producer<int> sound(*node, "jobs");
  ASSERT_TRUE(sound.push(2));
  EXPECT_EQ(*worker.receive(), 2);
}

}  // namespace
}  // namespace sluice
