// SPDX-License-Identifier: Apache-2.0
//
// A publisher is killed at every write to shared memory and at every system call of all that it
// does, while a subscriber lives on.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <crash/frames.hpp>
#include <crash/survivors.hpp>
#include <memory>
#include <optional>
#include <sluice/service/departure.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr PublisherOptions kOptions{.history = 1, .depth = 2, .max_loans = 2};
/// With the fewest slots, so that making them takes few writes.
constexpr PublisherOptions kLeanOptions{.history = 1, .depth = 1, .max_loans = 1};
/// More than a publisher with `kOptions` has slots: it cannot publish so many without reclaiming.
constexpr std::size_t kMoreThanSlots = 20;

struct PublisherKilled : Survivors<> {
  void come() override { survivor.emplace(*node, SubscriberOptions{.max_borrowed = 2}); }

  /// The survivor takes what is there, and keeps the first of it.
  void hold_one() {
    held = survivor->receive();
    EXPECT_TRUE(held);
    survivor->drain();
  }

  /// The survivor goes on, and somebody else takes the victim's place.
  void go_on() override {
    EXPECT_TRUE(!held || is_whole(held)) << "held, and changed by its publisher's death";
    survivor->drain();
    EXPECT_TRUE(!held || is_whole(held));
    held.reset();
    {
      const Node own("newcomer");
      Source<LargeFrame> newcomer(own, kOptions);
      for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(newcomer.publish()) << newcomer.failure();
        ASSERT_EQ(survivor->drain(), 1U);
      }
      EXPECT_EQ(survivor->port().publishers(), 1U);
    }
    EXPECT_EQ(survivor->drain(), 0U);
    EXPECT_EQ(survivor->port().publishers(), 0U);
    EXPECT_TRUE(survivor->is_content());
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Sink<LargeFrame>> survivor;
  Sample<LargeFrame> held;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, PublisherKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(PublisherKilled, WhileItMakesItsNode) {
  const auto points = kill({.victim = [](const Victim& victim) {
    std::optional<Node> own;
    victim.in_danger([&] { own.emplace("victim"); });
  }});
  EXPECT_GT(points, 10U);
}

TEST_P(PublisherKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Source<LargeFrame>> source;
    victim.in_danger([&] { source.emplace(own, kLeanOptions); });
  }});
  EXPECT_GT(points, 50U);
}

TEST_P(PublisherKilled, WhileItLoansWritesAndDrops) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Source<LargeFrame> source(own, kOptions);
                                  Victim::require(source.publish(3));
                                  victim.in_danger([&] {
                                    auto first = source.loan();
                                    auto second = source.loan();
                                    Victim::require(first && second);
                                    first->sequence = 77;
                                    second->sequence = 78;
                                  });
                                },
                            .meanwhile = [this] { hold_one(); }});
  EXPECT_GE(points, at_writes() ? 2U : 1U);
}

TEST_P(PublisherKilled, WhileItGrowsForANewcomer) {
  std::optional<Sink<LargeFrame>> newcomer;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Source<LargeFrame> source(own, kLeanOptions);
                                  Victim::require(source.publish(3));
                                  victim.in_danger([&] { Victim::require(source.publish()); });
                                },
                            .meanwhile =
                                [&] {
                                  hold_one();
                                  newcomer.emplace(*node, SubscriberOptions{.max_borrowed = 3});
                                },
                            .afterwards =
                                [&] {
                                  newcomer->drain();
                                  EXPECT_TRUE(newcomer->is_content());
                                  newcomer.reset();
                                  go_on();
                                }});
  EXPECT_GT(points, 20U);
}

TEST_P(PublisherKilled, WhileItPublishesToOneWhoSleeps) {
  std::uint64_t lost = 0;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Source<LargeFrame> source(own, kOptions);
                                  Victim::require(source.publish(3));
                                  victim.in_danger([&] { Victim::require(source.publish()); });
                                },
                            .meanwhile =
                                [&] {
                                  hold_one();
                                  lost = survivor->port().lost();
                                  // The board stays armed when a sleep is over.
                                  EXPECT_FALSE(survivor->wait(20ms));
                                },
                            .afterwards =
                                [&] {
                                  // It may have been published, and the waking left undone.
                                  EXPECT_LE(survivor->drain(), 1U);
                                  EXPECT_EQ(survivor->port().lost(), lost) << "never published";
                                  go_on();
                                }});
  // The payload's two ends, the ring, the head, `armed` and the bell; one wake-up.
  EXPECT_GE(points, at_writes() ? 6U : 2U);
}

TEST_P(PublisherKilled, WhileItPublishesRoundTheRingAndReclaims) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Source<LargeFrame> source(own, kOptions);
                  Victim::require(source.publish(3));
                  victim.in_danger([&] { Victim::require(source.publish(kMoreThanSlots)); });
                },
            .meanwhile = [this] { hold_one(); }});
  EXPECT_GE(points, at_writes() ? 4 * kMoreThanSlots : 1U);
}

// A reader is stopped before each of its writes, and the ring goes round meanwhile. When it has
// asked for help it stands still until the publisher, which was about to give it, is dead.
TEST_P(PublisherKilled, WhileItHelpsASubscriberThatItLaps) {
  if (!at_writes()) GTEST_SKIP() << "help takes no system call";
  // Five tries, each a claim that is made and cleared; the request; it stands before the next.
  constexpr std::uint64_t kWritesUntilHelp = 5 * 2 + 1 + 1;
  constexpr std::uint64_t kReceived = 1000;
  WriteTrap::Trail trail;
  std::optional<ChildProcess> reader;
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Source<LargeFrame> source(own, kOptions);
                  victim.line().say();
                  for (std::uint64_t write = 0; write < kWritesUntilHelp; ++write) {
                    victim.line().hear();
                    Victim::require(source.publish(write + 1 < kWritesUntilHelp ? 3 : 0));
                    victim.line().say();
                  }
                  victim.in_danger([&] { Victim::require(source.publish(kMoreThanSlots)); });
                },
            .rehearsal =
                [&](const ChildProcess& victim) {
                  ASSERT_TRUE(victim.hear());
                  reader.emplace([&](const ChildProcess::Line& line) {
                    WriteTrap::forget_mappings();
                    const Node own("reader");
                    Sink<LargeFrame> sink(own, {.max_borrowed = 1});
                    if (sink.port().publishers() != 1) return 1;
                    line.say();
                    line.hear();
                    WriteTrap::arm(1, trail, [&](std::uint64_t nth) {
                      line.say(nth);
                      line.hear();
                    });
                    const auto sample = sink.receive();
                    if (!sink.is_content() || (sample && !is_whole(sample))) ::_exit(2);
                    line.say(kReceived + (sample ? 1 : 0));
                    line.hear();
                    ::_exit(0);
                  });
                  ASSERT_TRUE(reader->hear());
                  for (std::uint64_t write = 0; write < kWritesUntilHelp; ++write) {
                    victim.say();
                    ASSERT_TRUE(victim.hear());
                    reader->say();
                    std::uint64_t reached = 0;
                    ASSERT_TRUE(reader->hear(&reached));
                    ASSERT_EQ(reached, write + 1);
                  }
                },
            .meanwhile = [this] { hold_one(); },
            .afterwards =
                [&] {
                  std::uint64_t reached = 0;
                  do {
                    reader->say();
                    ASSERT_TRUE(reader->hear(&reached));
                  } while (reached < kReceived);
                  reader->say();
                  EXPECT_EQ(reader->wait(), 0);
                  go_on();
                }});
  // As many for each sample, and the two words of the help.
  EXPECT_EQ(points % kMoreThanSlots, 2U);
}

TEST_P(PublisherKilled, WhileItIsDestroyed) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Source<LargeFrame>> source(std::in_place, own, kOptions);
                  Victim::require(source->publish(3));
                  victim.in_danger([&] { source.reset(); });
                },
            .meanwhile = [this] { hold_one(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

// The survivor was there, and has not looked since.
TEST_P(PublisherKilled, WhileItLeavesUnheard) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Source<LargeFrame>> source(std::in_place, own, kOptions);
                  Victim::require(source->publish(2));
                  victim.in_danger([&] { source.reset(); });
                },
            .afterwards =
                [&] {
                  EXPECT_EQ(survivor->drain(), 2U);
                  EXPECT_EQ(survivor->port().lost(), 0U);
                  go_on();
                }});
  EXPECT_GE(points, at_writes() ? 2U : 10U);
}

// It leaves so many others behind that the oldest of them has to go.
TEST_P(PublisherKilled, WhileItRemovesOneThatNobodyHeard) {
  if (!at_writes()) GTEST_SKIP() << "each attempt makes many publishers";
  constexpr PublisherOptions kOne{.depth = 1, .max_loans = 1};
  std::optional<Subscriber<int>> sleeper(std::in_place, *node, "many");
  std::uint64_t received = 0;
  const auto points = kill({.victim =
                                [&](const Victim& victim) {
                                  const Node own("victim");
                                  for (std::size_t i = 0; i < kMaxDeparted; ++i) {
                                    Publisher<int> publisher(own, "many", kOne);
                                    Victim::require(publisher.publish(1).error() == Errc::ok);
                                  }
                                  auto last = std::make_unique<Publisher<int>>(own, "many", kOne);
                                  Victim::require(last->publish(1).error() == Errc::ok);
                                  victim.in_danger([&] { last.reset(); });
                                },
                            .afterwards =
                                [&] {
                                  const std::uint64_t lost = sleeper->lost();
                                  while (sleeper->receive()) ++received;
                                  // Counted and not yet removed: counted twice, if at all.
                                  EXPECT_GE(received + sleeper->lost(), kMaxDeparted + 1);
                                  EXPECT_LE(sleeper->lost() - lost, 2U);
                                  received = 0;
                                  sleeper.emplace(*node, "many");
                                }});
  EXPECT_GE(points, 3U);
  sleeper.reset();
  go_on();
}

TEST_P(PublisherKilled, WhileItsNodeIsDestroyed) {
  const auto points = kill({.victim = [](const Victim& victim) {
    std::optional<Node> own(std::in_place, "victim");
    {
      Source<LargeFrame> source(*own, kOptions);
      Victim::require(source.publish());
    }
    victim.in_danger([&] { own.reset(); });
  }});
  EXPECT_GE(points, at_writes() ? 0U : 10U);
}

}  // namespace
}  // namespace sluice
