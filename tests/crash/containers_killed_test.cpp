// SPDX-License-Identifier: Apache-2.0
//
// A publisher of payloads with containers is killed at every write to shared memory and at every
// system call while it builds, grows, publishes and destroys them. What subscribers hold stays
// whole.
#include <gtest/gtest.h>

#include <crash/survivors.hpp>
#include <crash/track.hpp>
#include <cstdint>
#include <optional>
#include <sluice/sluice.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kService = "tracks";
constexpr PublisherOptions kOptions{
    .history = 1, .depth = 2, .max_loans = 1, .heap_bytes = std::size_t{1} << 20};

bool publish(Publisher<Track>& publisher, std::uint64_t number) {
  auto loan = publisher.loan();
  if (!loan) return false;
  fill(*loan, number);
  return publisher.publish(std::move(loan)) == number;
}

bool is_whole(const Sample<Track>& track) { return is_whole(*track, track.sequence()); }

struct ContainersKilled : Survivors<> {
  void come() override { survivor.emplace(*node, kService, SubscriberOptions{.max_borrowed = 2}); }

  void drain() {
    for (;;) {
      const auto track = survivor->receive();
      EXPECT_EQ(track.error(), Errc::ok) << survivor->last_failure().message;
      if (!track) return;
      EXPECT_TRUE(is_whole(track));
    }
  }
  void go_on() override {
    EXPECT_TRUE(!held || is_whole(held));
    drain();
    EXPECT_TRUE(!held || is_whole(held));
    held.reset();
    {
      const Node own("newcomer");
      Publisher<Track> newcomer(own, kService, kOptions);
      for (std::uint64_t i = 0; i < 6; ++i) {
        ASSERT_TRUE(publish(newcomer, i)) << newcomer.last_failure().message;
        const auto track = survivor->receive();
        ASSERT_TRUE(track && is_whole(track)) << survivor->last_failure().message;
      }
    }
    EXPECT_EQ(survivor->publishers(), 0U);
    EXPECT_FALSE(survivor->receive());
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Subscriber<Track>> survivor;
  Sample<Track> held;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, ContainersKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(ContainersKilled, WhileItBuildsThemAndDestroysThem) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Publisher<Track> publisher(own, kService, kOptions);
                                  std::uint64_t next = 0;
                                  while (next < 6) Victim::require(publish(publisher, next++));
                                  const int before = Track::destroyed;
                                  victim.in_danger([&] {
                                    while (next < 9) Victim::require(publish(publisher, next++));
                                    Victim::require(Track::destroyed > before);
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  held = survivor->receive();
                                  EXPECT_TRUE(held);
                                }});
  EXPECT_GE(points, at_writes() ? 100U : 2U);
}

TEST_P(ContainersKilled, WhileTheyAreDestroyedWithIt) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Publisher<Track>> publisher(std::in_place, own, kService, kOptions);
                  for (std::uint64_t i = 0; i < 3; ++i) {
                    Victim::require(publish(*publisher, i));
                  }
                  victim.in_danger([&] { publisher.reset(); });
                },
            .meanwhile =
                [this] {
                  held = survivor->receive();
                  EXPECT_TRUE(held);
                }});
  EXPECT_GE(points, at_writes() ? 1U : 5U);
}

}  // namespace
}  // namespace sluice
