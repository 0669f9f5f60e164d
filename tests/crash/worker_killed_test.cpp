// SPDX-License-Identifier: Apache-2.0
//
// A worker is killed at every write to shared memory and at every system call of all that it does,
// while a producer and another worker live on. No job is lost, and none is done twice except one
// that the victim had in hand.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <crash/jobs.hpp>
#include <crash/survivors.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/service/board.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/shared_page.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr ProducerOptions kOptions{.depth = 8, .max_loans = 2};

/// How far the victim came with each job; the test reads it when the victim is dead.
struct Diary {
  std::array<std::atomic<std::uint8_t>, 8> stages;
  static constexpr std::uint8_t kHad = 1;   // from here on it may be the victim's
  static constexpr std::uint8_t kDone = 2;  // it is not any more
};

struct WorkerKilled : Survivors<> {
  void come() override {
    survivor.emplace(*node, kJobs, kOptions);
    witness.emplace(*node);
  }

  /// New jobs for the victim, numbered from 0.
  void push_jobs(std::size_t count) {
    std::uint64_t next = 0;
    ASSERT_TRUE(push(*survivor, next, count)) << survivor->last_failure().message;
    pushed = count;
  }

  /// As if somebody had fallen asleep.
  void arm_the_board() const {
    for (const std::string& path : files) {
      if (!path.ends_with("/board")) continue;
      const auto directory =
          open_directory_at_path(root.path() + "/" + path.substr(0, path.rfind('/'))).value();
      const auto board = SharedFile::open(directory, kBoardFile, FileKind::board, sizeof(Board),
                                          Region::Access::read_write);
      ASSERT_TRUE(board);
      board->region().at<Board>(0)->doorbell.arm(Doorbell::kSleepers);
    }
  }

  /// The survivors go on, and somebody else takes the victim's place.
  void go_on() override {
    witness->drain_after_a_death();
    EXPECT_EQ(survivor->pending(), 0U) << "a job that nobody gets";
    for (std::size_t i = 0; i < pushed; ++i) {
      const std::uint8_t stage = diary->stages[i];
      const std::uint32_t attempt = witness->attempt(i);
      // What the victim did not say that it had, it may have had, or not.
      if (stage == 0) {
        EXPECT_GE(attempt, 1U) << "job " << i << " is lost";
      } else if (stage == Diary::kDone) {
        EXPECT_EQ(attempt, 0U) << "job " << i << " was done";
      } else {
        EXPECT_NE(attempt, 1U) << "job " << i << " does not say that somebody had it";
      }
      diary->stages[i] = 0;
    }
    pushed = 0;
    witness->forget();
    {
      const Node own("newcomer");
      Accountant<SmallTask> newcomer(own);
      EXPECT_EQ(survivor->workers(), 2U);
      for (std::uint64_t i = 0; i < 20;) {
        EXPECT_TRUE(push(*survivor, i)) << survivor->last_failure().message;
        EXPECT_EQ(i % 2 == 0 ? witness->drain() : newcomer.drain(), 1U);
      }
      EXPECT_EQ(newcomer.count() + witness->count(), 20U);
      EXPECT_TRUE(newcomer.is_content());
    }
    witness->forget();
    EXPECT_EQ(survivor->workers(), 1U);
    EXPECT_EQ(survivor->pending(), 0U);
    EXPECT_TRUE(witness->is_content());
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Producer<SmallTask>> survivor;
  std::optional<Accountant<SmallTask>> witness;
  const SharedPage<Diary> diary;
  std::size_t pushed = 0;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, WorkerKilled, testing::Values(At::write, At::system_call),
                         name_of);

/// The victim's next job, which is job `number`.
Job<SmallTask> take(Worker<SmallTask>& worker, std::uint64_t number, Diary& diary) {
  auto job = worker.receive();
  Victim::require(job && job->is_whole() && job->number == number);
  diary.stages[number] = Diary::kHad;
  return job;
}

void finish(Job<SmallTask>& job, Diary& diary) {
  const std::uint64_t number = job->number;
  Victim::require(job.done());
  diary.stages[number] = Diary::kDone;
}

TEST_P(WorkerKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Worker<SmallTask>> worker;
    victim.in_danger([&] { worker.emplace(own, kJobs); });
  }});
  EXPECT_GE(points, at_writes() ? 5U : 40U);
}

TEST_P(WorkerKilled, WhileItTakesJobsAndDoesThem) {
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    auto first = take(worker, 0, *diary);
                                    auto second = take(worker, 1, *diary);
                                    finish(second, *diary);
                                    auto third = take(worker, 2, *diary);
                                    finish(first, *diary);
                                    finish(third, *diary);
                                  });
                                },
                            .meanwhile = [this] { push_jobs(4); }});
  // The cell and the head; the cell.
  EXPECT_GE(points, at_writes() ? 3 * 3U : 1U);
}

TEST_P(WorkerKilled, WhileItRejectsToOneWhoSleeps) {
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    auto job = take(worker, 0, *diary);
                                    Victim::require(job.reject());
                                    job = take(worker, 0, *diary);
                                    Victim::require(job.attempt() == 2);
                                    auto other = take(worker, 1, *diary);
                                    Victim::require(other.reject());
                                    Victim::require(job.reject());
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  push_jobs(2);
                                  arm_the_board();
                                }});
  // Three times the cell when it is taken, the cell and the count when it is put back; the head for
  // the two that were new; `armed` and the bell.
  EXPECT_GE(points, at_writes() ? 3 * 3 + 2 + 2U : 2U);
}

TEST_P(WorkerKilled, WhileItDoesAJobForAProducerThatWaitsForRoom) {
  const auto points =
      kill({.victim =
                [this](const Victim& victim) {
                  const Node own("victim");
                  Worker<SmallTask> worker(own, kJobs);
                  victim.in_danger([&] {
                    auto job = take(worker, 0, *diary);
                    finish(job, *diary);
                  });
                },
            .meanwhile =
                [this] {
                  push_jobs(kOptions.depth);
                  EXPECT_EQ(survivor->push_for(1ms, SmallTask{}).error(), Errc::timed_out);
                }});
  EXPECT_GE(points, at_writes() ? 5U : 2U);
}

TEST_P(WorkerKilled, WhileItWaits) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    Victim::require(worker.wait(1ms).error() == Errc::timed_out);
                                  });
                                },
                            .afterwards =
                                [this] {
                                  push_jobs(1);
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(WorkerKilled, WhileItFindsANewProducer) {
  std::optional<Producer<SmallTask>> newcomer;
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    auto job = take(worker, 0, *diary);
                                    finish(job, *diary);
                                  });
                                },
                            .meanwhile =
                                [&] {
                                  newcomer.emplace(*node, kJobs);
                                  std::uint64_t next = 0;
                                  ASSERT_TRUE(push(*newcomer, next));
                                  pushed = 1;
                                },
                            .afterwards =
                                [&] {
                                  witness->drain_after_a_death();
                                  EXPECT_EQ(newcomer->pending(), 0U);
                                  newcomer.reset();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 3U : 20U);
}

TEST_P(WorkerKilled, WhileItDoesTheLastJobsOfAProducerThatHasLeft) {
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    auto first = take(worker, 0, *diary);
                                    auto second = take(worker, 1, *diary);
                                    finish(first, *diary);
                                    finish(second, *diary);
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  Producer<SmallTask> leaver(*node, kJobs);
                                  std::uint64_t next = 0;
                                  ASSERT_TRUE(push(leaver, next, 2));
                                  pushed = 2;
                                }});
  EXPECT_GE(points, at_writes() ? 6U : 30U);
}

TEST_P(WorkerKilled, WhileItReapsAnotherThatDiedWithJobs) {
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Worker<SmallTask> worker(own, kJobs);
                                  victim.in_danger([&] {
                                    // It looks when it has a job: there is news.
                                    auto last = take(worker, 2, *diary);
                                    Victim::require(last.attempt() == 1);
                                    for (const std::uint64_t number : {0U, 1U}) {
                                      auto job = take(worker, number, *diary);
                                      Victim::require(job.attempt() == 2);
                                      finish(job, *diary);
                                    }
                                    finish(last, *diary);
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  push_jobs(3);
                                  a_worker_dies_of_two_jobs<SmallTask>();
                                },
                            .afterwards =
                                [this] {
                                  // These two at least have been in a dead worker's hands.
                                  witness->drain_after_a_death();
                                  EXPECT_NE(witness->attempt(0), 1U);
                                  EXPECT_NE(witness->attempt(1), 1U);
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 10U : 30U);
}

TEST_P(WorkerKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Worker<SmallTask>> worker(std::in_place, own, kJobs);
    victim.in_danger([&] { worker.reset(); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(WorkerKilled, WhileItsLastJobEndsAfterIt) {
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Job<SmallTask> last;
                                  {
                                    Worker<SmallTask> worker(own, kJobs);
                                    victim.line().hear();
                                    last = take(worker, 0, *diary);
                                  }
                                  victim.in_danger([&] { finish(last, *diary); });
                                },
                            .rehearsal =
                                [this](const ChildProcess& victim) {
                                  push_jobs(1);
                                  victim.say();
                                }});
  EXPECT_GE(points, at_writes() ? 2U : 10U);
}

}  // namespace
}  // namespace sluice
