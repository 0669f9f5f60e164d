// SPDX-License-Identifier: Apache-2.0
//
// Four producers, four workers and ten million jobs, with workers killed at random all the time: no
// job is lost, and none is done twice unless its worker died.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/sanitizers.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kJobs = kSanitized ? 400'000 : 10'000'000;
constexpr std::uint32_t kProducers = 4;
constexpr std::uint32_t kWorkers = 4;
constexpr std::uint32_t kKills = 200;
constexpr std::uint32_t kHeld = 3;  // jobs in the hands of a worker

/// What the processes tell the test, in memory that has nothing to do with the library.
struct Ledger {
  /// By job: how often a worker that had it first did it, and, times 16, how often others did.
  std::array<std::atomic<std::uint8_t>, kJobs> done;
  struct alignas(64) Count {
    std::atomic<std::uint32_t> jobs;
  };
  std::array<Count, kProducers> pushed;
  std::atomic<bool> is_over;
};

int produce(std::uint32_t number, std::atomic<std::uint32_t>& pushed) {
  const Node node("producer");
  Producer<std::uint32_t> producer(node, "jobs", {.depth = 1024});
  for (std::uint32_t job = number; job < kJobs; job += kProducers) {
    if (!producer.push_for(60s, job)) return 1;
    pushed.fetch_add(1, std::memory_order_relaxed);
  }
  return producer.wait_until_done(60s) ? 0 : 2;
}

int work(Ledger& ledger, const ChildProcess::Line& line) {
  const Node node("worker");
  Worker<std::uint32_t> worker(node, "jobs", {.max_jobs = kHeld});
  line.say();
  std::vector<Job<std::uint32_t>> held;
  held.reserve(kHeld);
  while (!ledger.is_over.load(std::memory_order_relaxed)) {
    while (held.size() < kHeld) {
      auto job = held.empty() ? worker.wait(10ms) : worker.receive();
      if (!job) {
        if (job.error() != Errc::ok && job.error() != Errc::timed_out) return 1;
        break;
      }
      held.push_back(std::move(job));
    }
    for (auto& job : held) {
      ledger.done[*job].fetch_add(job.attempt() == 1 ? 1 : 16, std::memory_order_relaxed);
      if (!job.done()) return 2;
    }
    held.clear();
  }
  return 0;
}

TEST(TenMillionJobs, NoneIsLostAndNoneDoneTwiceUnlessItsWorkerDied) {
  TemporaryRoot root;
  const SharedPage<Ledger> ledger;
  {
    const auto new_worker = [&] {
      return ChildProcess([&](const ChildProcess::Line& line) { return work(*ledger, line); });
    };
    std::vector<std::optional<ChildProcess>> workers(kWorkers);
    for (auto& worker : workers) worker.emplace(new_worker());
    std::vector<ChildProcess> producers;
    for (std::uint32_t i = 0; i < kProducers; ++i) {
      producers.emplace_back(
          [&, i](const ChildProcess::Line&) { return produce(i, ledger->pushed[i].jobs); });
    }
    std::mt19937 random(kJobs);  // NOLINT: the same on every run
    for (std::uint32_t kill = 1; kill <= kKills; ++kill) {
      const auto has_come_so_far = [&] {
        std::uint64_t pushed = 0;
        for (const auto& count : ledger->pushed) pushed += count.jobs;
        return pushed >= std::uint64_t{kJobs} * kill / (kKills + 1);
      };
      auto& victim = workers[random() % kWorkers];
      ASSERT_TRUE(victim->hear()) << "it is at work";
      while (!has_come_so_far()) std::this_thread::sleep_for(1ms);
      victim.reset();  // SIGKILL
      victim.emplace(new_worker());
    }
    for (auto& producer : producers) EXPECT_EQ(producer.wait(), 0);
    ledger->is_over = true;
    for (auto& worker : workers) EXPECT_EQ(worker->wait(), 0);
  }
  std::uint64_t lost = 0, twice_without_a_death = 0, again = 0, inherited = 0;
  for (const auto& done : ledger->done) {
    const std::uint32_t first = done % 16U;
    const std::uint32_t later = done / 16U;
    lost += first + later == 0 ? 1 : 0;
    twice_without_a_death += first > 1 ? 1 : 0;
    again += first + later > 1 ? 1 : 0;
    inherited += later;
  }
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(twice_without_a_death, 0U);
  EXPECT_LE(again, std::uint64_t{kKills} * kHeld) << "more than the dead ones had in hand";
  EXPECT_LE(inherited, std::uint64_t{kKills} * kHeld);
  RecordProperty("inherited", std::to_string(inherited));
  RecordProperty("done_again", std::to_string(again));
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

}  // namespace
}  // namespace sluice
