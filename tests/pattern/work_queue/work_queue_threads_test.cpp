// SPDX-License-Identifier: Apache-2.0
//
// Producers and workers of one process on several threads. In a build with the thread sanitizer all
// of them share one mapping of each file, so that it sees every race.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kProducers = 2;
constexpr std::uint32_t kWorkers = 2;
constexpr std::uint32_t kJobs = 4000;  // of each producer

struct Payload {
  std::array<std::uint64_t, 16> words;

  [[nodiscard]] bool is_whole() const {
    for (const std::uint64_t word : words) {
      if (word != words.front()) return false;
    }
    return true;
  }
};

/// Takes jobs from the thread that received them and ends them on its own.
class Finisher {
 public:
  void add(Job<Payload> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  bool finish_one() {
    Job<Payload> job;
    const std::lock_guard lock(mutex_);
    if (jobs_.empty()) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<Job<Payload>> jobs_;
};

using Done = std::array<std::atomic<std::uint32_t>, std::size_t{kProducers} * kJobs>;

void produce(const Node& node, std::uint64_t first) {
  Producer<Payload> producer(node, "jobs", {.depth = 16, .max_loans = 2});
  for (std::uint64_t i = first; i < first + kJobs; ++i) {
    const auto dropped = producer.loan();
    auto loan = producer.loan();
    ASSERT_TRUE(loan && dropped) << producer.last_failure().message;
    dropped->words.fill(~i);
    loan->words.fill(i);
    ASSERT_TRUE(producer.push_for(60s, std::move(loan))) << producer.last_failure().message;
  }
  EXPECT_TRUE(producer.wait_until_done(60s));
}

void work(const Node& node, Finisher& finisher, Done& done, const std::atomic<bool>& is_over) {
  Worker<Payload> worker(node, "jobs");
  while (!is_over) {
    auto job = worker.wait(1ms);
    if (!job) continue;
    ASSERT_TRUE(job->is_whole());
    const std::uint64_t number = job->words.front();
    if (number % 7 == 0 && job.attempt() == 1) {
      EXPECT_TRUE(job.reject());
      continue;
    }
    EXPECT_EQ(job.attempt(), number % 7 == 0 ? 2U : 1U);
    ++done[number];
    if (number % 3 == 0) finisher.add(std::move(job));
  }
}

TEST(Threads, JobsArePushedTakenRejectedAndDoneOnDifferentThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    Done done{};
    Finisher finisher;
    std::atomic<bool> is_over{false};
    std::thread finish([&] {
      while (finisher.finish_one() || !is_over) std::this_thread::yield();
    });
    std::vector<std::thread> workers, producers;
    for (std::uint32_t i = 0; i < kWorkers; ++i) {
      workers.emplace_back([&] { work(node, finisher, done, is_over); });
    }
    for (std::uint32_t i = 0; i < kProducers; ++i) {
      producers.emplace_back([&, i] { produce(node, std::uint64_t{i} * kJobs); });
    }
    for (auto& producer : producers) producer.join();
    is_over = true;
    for (auto& worker : workers) worker.join();
    finish.join();
    for (const auto& times : done) ASSERT_EQ(times, 1U);
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(Threads, ProducersAndWorkersAreMadeAndDestroyedOnSeveralThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    Worker<int> heir(node, "jobs");
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 30; ++i) {
          if (t % 2 == 0) {
            Producer<int> producer(node, "jobs");
            ASSERT_TRUE(producer.push(i));
          } else {
            Worker<int> worker(node, "jobs");
            const auto job = worker.receive();
            ASSERT_TRUE(job || job.error() == Errc::ok) << worker.last_failure().message;
            if (job) ++taken;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    while (heir.receive()) ++taken;
    EXPECT_EQ(taken, 60) << "those of producers that have left, too";
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

}  // namespace
}  // namespace sluice
