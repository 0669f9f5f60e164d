// SPDX-License-Identifier: Apache-2.0
//
// A client and a producer are killed at every write to shared memory and at every system call while
// they build, grow, send and destroy requests and jobs with containers. Those that receive them see
// whole ones alone, and go on.
#include <gtest/gtest.h>

#include <chrono>
#include <crash/survivors.hpp>
#include <crash/track.hpp>
#include <cstdint>
#include <optional>
#include <sluice/sluice.hpp>
#include <utility>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr const char* kService = "tracks";
constexpr std::uint64_t kHeap = std::uint64_t{1} << 20;

struct RequestsWithContainersKilled : Survivors<> {
  static constexpr ClientOptions kOptions{.max_pending = 2, .heap_bytes = kHeap};

  void come() override { survivor.emplace(*node, kService); }

  void answer_all() {
    for (;;) {
      auto request = survivor->receive();
      EXPECT_TRUE(request || request.error() == Errc::ok) << survivor->last_failure().message;
      if (!request) return;
      EXPECT_TRUE(is_whole(*request));
      request.respond(1);
    }
  }
  void go_on() override {
    answer_all();
    {
      const Node own("newcomer");
      Client<Track, int> newcomer(own, kService, kOptions);
      for (std::uint64_t i = 0; i < 6; ++i) {
        auto loan = newcomer.loan();
        ASSERT_TRUE(loan) << newcomer.last_failure().message;
        fill(*loan, i);
        auto pending = newcomer.send(std::move(loan));
        answer_all();
        EXPECT_TRUE(pending.wait(10s));
      }
    }
    EXPECT_EQ(survivor->clients(), 0U);
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Server<Track, int>> survivor;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, RequestsWithContainersKilled,
                         testing::Values(At::write, At::system_call), name_of);

TEST_P(RequestsWithContainersKilled, WhileTheClientBuildsThemAndDestroysThem) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Client<Track, int> client(own, kService, kOptions);
                                  std::uint64_t next = 0;
                                  const auto send = [&] {
                                    auto loan = client.loan();
                                    Victim::require(static_cast<bool>(loan));
                                    fill(*loan, next++);
                                    const auto dropped = client.send(std::move(loan));
                                  };
                                  send();
                                  send();
                                  const int before = Track::destroyed;
                                  victim.in_danger([&] {
                                    send();
                                    Victim::require(Track::destroyed > before);
                                  });
                                },
                            .meanwhile = [this] { answer_all(); }});
  EXPECT_GE(points, at_writes() ? 30U : 2U);
}

struct JobsWithContainersKilled : Survivors<> {
  static constexpr ProducerOptions kOptions{.depth = 2, .max_loans = 1, .heap_bytes = kHeap};

  static bool push(Producer<Track>& producer, std::uint64_t number) {
    auto loan = producer.loan();
    if (!loan) return false;
    fill(*loan, number);
    return static_cast<bool>(producer.push(std::move(loan)));
  }

  void come() override { survivor.emplace(*node, kService); }

  void do_all() {
    for (;;) {
      const auto job = survivor->receive();
      EXPECT_TRUE(job || job.error() == Errc::ok) << survivor->last_failure().message;
      if (!job) return;
      EXPECT_TRUE(is_whole(*job));
    }
  }
  void go_on() override {
    do_all();
    const Node own("newcomer");
    Producer<Track> newcomer(own, kService, kOptions);
    for (std::uint64_t i = 0; i < 6; ++i) {
      ASSERT_TRUE(push(newcomer, i)) << newcomer.last_failure().message;
      do_all();
    }
    EXPECT_EQ(newcomer.pending(), 0U);
    EXPECT_EQ(survivor->producers(), 1U);
  }

  std::optional<Worker<Track>> survivor;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, JobsWithContainersKilled,
                         testing::Values(At::write, At::system_call), name_of);

TEST_P(JobsWithContainersKilled, WhileTheProducerBuildsThemAndDestroysThem) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    Producer<Track> producer(own, kService, kOptions);
    Worker<Track> worker(own, kService);
    std::uint64_t next = 0;
    for (; next < 5; ++next) {
      Victim::require(push(producer, next));
      Victim::require(static_cast<bool>(worker.wait(10s)));
    }
    const int before = Track::destroyed;
    victim.in_danger([&] {
      Victim::require(push(producer, next++));
      Victim::require(Track::destroyed > before);
    });
  }});
  EXPECT_GE(points, at_writes() ? 60U : 1U);
}

}  // namespace
}  // namespace sluice
