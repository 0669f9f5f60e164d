// SPDX-License-Identifier: Apache-2.0
//
// A producer is killed at every write to shared memory and at every system call of all that it
// does, while a worker lives on.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <crash/jobs.hpp>
#include <crash/survivors.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr ProducerOptions kOptions{.depth = 4, .max_loans = 2};

struct ProducerKilled : Survivors<> {
  void come() override { begin(); }

  /// The service begins anew, without a queue.
  void begin() {
    survivor.reset();
    survivor.emplace(*node);
    files = others();
  }

  /// All files but the queue, which the first producer makes, and which stays.
  [[nodiscard]] std::vector<std::string> others() const {
    std::vector<std::string> found = root.files();
    std::erase_if(found, [](const std::string& path) { return path.ends_with("/work_queue"); });
    return found;
  }

  [[nodiscard]] std::ptrdiff_t producers_files() const {
    const auto found = root.files();
    return std::count_if(found.begin(), found.end(), [](const std::string& path) {
      return path.find("/producer.") != std::string::npos;
    });
  }

  /// The survivor does what is there, which is `0 … n`, and somebody else takes the victim's place.
  /// Returns n.
  std::size_t take_and_go_on() {
    const std::size_t count = survivor->drain();
    for (std::uint64_t i = 0; i < count; ++i) EXPECT_EQ(survivor->attempt(i), 1U) << i;
    EXPECT_EQ(survivor->port().producers(), 0U);
    EXPECT_EQ(producers_files(), 0) << "the victim's";
    survivor->forget();
    {
      const Node own("newcomer");
      Producer<LargeTask> newcomer(own, kJobs, kOptions);
      EXPECT_EQ(newcomer.workers(), 1U);
      for (std::uint64_t i = 0; i < 6;) {
        EXPECT_TRUE(push(newcomer, i)) << newcomer.last_failure().message;
        EXPECT_EQ(survivor->drain(), 1U);
      }
      EXPECT_EQ(newcomer.pending(), 0U);
    }
    survivor->forget();
    EXPECT_EQ(survivor->drain(), 0U);
    EXPECT_EQ(survivor->port().producers(), 0U);
    EXPECT_TRUE(survivor->is_content());
    EXPECT_EQ(others(), files);
    return count;
  }
  void go_on() override { take_and_go_on(); }

  std::optional<Accountant<LargeTask>> survivor;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, ProducerKilled, testing::Values(At::write, At::system_call),
                         name_of);

void create(const Victim& victim) {
  const Node own("victim");
  std::optional<Producer<LargeTask>> producer;
  victim.in_danger([&] { producer.emplace(own, kJobs, kOptions); });
}

TEST_P(ProducerKilled, WhileItMakesTheQueue) {
  const auto points = kill({.victim = create, .afterwards = [this] {
                              go_on();
                              begin();
                            }});
  EXPECT_GE(points, at_writes() ? 50U : 60U);
}

TEST_P(ProducerKilled, WhileItIsCreated) {
  const auto points = kill({.victim = create});
  EXPECT_GE(points, at_writes() ? 30U : 40U);
}

TEST_P(ProducerKilled, WhileItMakesSlotsWritesAndDrops) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    Producer<LargeTask> producer(own, kJobs, kOptions);
    victim.in_danger([&] {
      auto first = producer.loan();
      auto second = producer.loan();
      Victim::require(first && second);
      first->number = 77;
      second->number = 78;
    });
  }});
  EXPECT_GE(points, at_writes() ? 10U : 2U);
}

TEST_P(ProducerKilled, WhileItPushesToOneWhoSleeps) {
  std::size_t most = 0;
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Producer<LargeTask> producer(own, kJobs, kOptions);
                  std::uint64_t next = 0;
                  victim.in_danger([&] { Victim::require(push(producer, next, 2)); });
                },
            .meanwhile =
                [&] {
                  survivor->drain();
                  // The board stays armed when a sleep is over.
                  EXPECT_FALSE(survivor->port().wait(1ms));
                },
            .afterwards = [&] { most = std::max(most, take_and_go_on()); }});
  EXPECT_EQ(most, 2U);
  // The payload's two ends, the cell and the tail for each; `armed` and the bell; one wake-up.
  EXPECT_GE(points, at_writes() ? 2 * 4 + 2U : 2U);
}

// It does its own jobs, so that the queue goes round.
TEST_P(ProducerKilled, WhileItPushesRoundTheQueueAndReclaims) {
  constexpr std::size_t kMoreThanSlots = 10;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Producer<LargeTask> producer(own, kJobs, kOptions);
                                  Worker<LargeTask> worker(own, kJobs);
                                  std::uint64_t next = 0;
                                  victim.in_danger([&] {
                                    for (std::size_t i = 0; i < kMoreThanSlots; ++i) {
                                      Victim::require(push(producer, next));
                                      const auto job = worker.receive();
                                      Victim::require(job && job->is_whole());
                                      Victim::require(job->number == i);
                                    }
                                  });
                                },
                            .afterwards =
                                [this] {
                                  EXPECT_LE(survivor->drain_after_a_death(), 1U);
                                  survivor->forget();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 7 * kMoreThanSlots : 1U);
}

TEST_P(ProducerKilled, WhileItIsRefusedAndWaitsForRoom) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Producer<LargeTask> producer(own, kJobs, kOptions);
                                  std::uint64_t next = 0;
                                  Victim::require(push(producer, next, 4));
                                  auto loan = producer.loan();
                                  victim.in_danger([&] {
                                    const auto pushed = producer.push_for(1ms, std::move(loan));
                                    Victim::require(pushed.error() == Errc::timed_out);
                                    Victim::require(loan && producer.pending() == 4);
                                  });
                                },
                            .afterwards = [this] { EXPECT_EQ(take_and_go_on(), 4U); }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(ProducerKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Producer<LargeTask>> producer(std::in_place, own, kJobs, kOptions);
    victim.in_danger([&] { producer.reset(); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(ProducerKilled, WhileItIsDestroyedWithJobsInTheQueue) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Producer<LargeTask>> producer(std::in_place, own, kJobs, kOptions);
                  std::uint64_t next = 0;
                  Victim::require(push(*producer, next, 3));
                  victim.in_danger([&] { producer.reset(); });
                },
            .afterwards = [this] { EXPECT_EQ(take_and_go_on(), 3U); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(ProducerKilled, WhileItReapsAWorkerThatDiedWithJobs) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Producer<LargeTask> producer(own, kJobs, kOptions);
                  std::uint64_t next = 0;
                  Victim::require(push(producer, next, 3));
                  victim.in_danger([&] { Victim::require(producer.workers() == 1); });
                },
            .meanwhile = [] { a_worker_dies_of_two_jobs<LargeTask>(); },
            .afterwards =
                [this] {
                  EXPECT_EQ(survivor->drain_after_a_death(), 3U);
                  EXPECT_EQ(survivor->attempt(0), 2U);
                  EXPECT_EQ(survivor->attempt(1), 2U);
                  EXPECT_EQ(survivor->attempt(2), 1U);
                  survivor->forget();
                  go_on();
                }});
  EXPECT_GE(points, at_writes() ? 5U : 20U);
}

// Nobody else is in the service: it ends, and with it the jobs.
TEST_P(ProducerKilled, WhileTheServiceEndsWithJobsInTheQueue) {
  survivor.reset();
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Producer<LargeTask>> producer(std::in_place, own, kJobs, kOptions);
                  std::uint64_t next = 0;
                  Victim::require(push(*producer, next, 3));
                  victim.in_danger([&] { producer.reset(); });
                },
            .afterwards =
                [this] {
                  node->reap();
                  EXPECT_EQ(root.files().size(), 1U) << "the node's own";
                  begin();
                  EXPECT_EQ(survivor->drain(), 0U);
                  survivor.reset();
                }});
  EXPECT_GE(points, at_writes() ? 1U : 20U);
}

}  // namespace
}  // namespace sluice
