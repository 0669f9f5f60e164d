// SPDX-License-Identifier: Apache-2.0
//
// A subscriber is killed at every write to shared memory and at every system call of all that it
// does, while a publisher and another subscriber live on.
#include <gtest/gtest.h>

#include <chrono>
#include <crash/frames.hpp>
#include <crash/survivors.hpp>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kDepth = 2;
constexpr std::uint32_t kBorrowed = 2;
constexpr SubscriberOptions kOptions{.max_borrowed = kBorrowed};

struct SubscriberKilled : Survivors<> {
  void come() override { begin(Delivery::latest); }

  void begin(Delivery delivery, std::uint32_t borrowed = kBorrowed) {
    held.reset();
    witness.reset();
    survivor.reset();
    max_borrowed = borrowed;
    survivor.emplace(*node, PublisherOptions{.history = 1, .depth = kDepth, .delivery = delivery});
    witness.emplace(*node, SubscriberOptions{.max_borrowed = 2});
    files = root.files();
    {
      const Sink<SmallFrame> as_many_slots_as_ever(*node, {.max_borrowed = max_borrowed});
      publish();
    }
    ASSERT_TRUE(survivor->publish());
    held = witness->receive();
    ASSERT_TRUE(held);
    slots = slots_in_turn();
  }

  /// Publishes, with the witness looking on.
  void publish(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(survivor->publish()) << survivor->failure();
      auto sample = witness->receive();
      ASSERT_TRUE(sample);
      ASSERT_EQ(sample.sequence() + 1, survivor->published()) << "the witness lost one";
    }
  }

  /// The slots that are loaned sooner or later.
  std::size_t slots_in_turn() {
    (void)survivor->slots_used();
    publish(3 * more_than_slots(max_borrowed));
    return survivor->slots_used();
  }

  /// No fewer than a publisher has for the victim and the witness.
  static std::size_t more_than_slots(std::uint32_t borrowed) { return 150 + 10 * borrowed; }

  /// The survivors go on, and somebody else takes the victim's place.
  void go_on() override {
    // Until somebody notices its death, the victim has what it claimed, and its pin.
    EXPECT_GE(slots_in_turn(), slots - max_borrowed - 1);
    {
      const Node own("newcomer");
      Sink<SmallFrame> newcomer(own, {.max_borrowed = max_borrowed});
      EXPECT_EQ(survivor->port().subscribers(), 2U);
      const auto old = newcomer.receive();
      EXPECT_TRUE(old) << "the history";
      for (int i = 0; i < 6; ++i) {
        publish();
        const auto sample = newcomer.receive();
        ASSERT_TRUE(sample);
        EXPECT_EQ(sample.sequence() + 1, survivor->published());
      }
      EXPECT_TRUE(newcomer.is_content());
    }
    EXPECT_EQ(survivor->port().subscribers(), 1U);
    EXPECT_EQ(slots_in_turn(), slots) << "slots that are not loaned again, or more than needed";
    EXPECT_TRUE(is_whole(held)) << "overwritten while it was held";
    EXPECT_TRUE(witness->is_content());
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Source<SmallFrame>> survivor;
  std::optional<Sink<SmallFrame>> witness;
  Sample<SmallFrame> held;
  std::uint32_t max_borrowed = 0;
  std::size_t slots = 0;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, SubscriberKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(SubscriberKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Sink<SmallFrame>> sink;
    victim.in_danger([&] { sink.emplace(own, kOptions); });
  }});
  EXPECT_GE(points, at_writes() ? 10U : 50U);
}

TEST_P(SubscriberKilled, WhileItReceivesAndReleases) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, kOptions);
                                  victim.in_danger([&] {
                                    auto first = sink.receive();
                                    auto second = sink.receive();
                                    Victim::require(first && second);
                                    Victim::require(sink.is_content());
                                  });
                                },
                            .meanwhile = [this] { publish(kDepth); }});
  // Two claims, each moved on from, and given back; the newest one is claimed first.
  EXPECT_GE(points, at_writes() ? 6U : 1U);
}

TEST_P(SubscriberKilled, WhileItSkipsToTheLatest) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, kOptions);
                                  victim.in_danger([&] {
                                    Victim::require(bool(sink.latest()));
                                    Victim::require(!sink.receive() && sink.is_content());
                                  });
                                },
                            .meanwhile = [this] { publish(10); }});
  EXPECT_GE(points, at_writes() ? 3U : 1U);
}

TEST_P(SubscriberKilled, WhileItHoldsAllItMayAndIsLapped) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, kOptions);
                                  auto first = sink.receive();  // the history
                                  Victim::require(bool(first));
                                  victim.in_danger([&] {
                                    auto second = sink.receive();
                                    Victim::require(second && second.sequence() > 100);
                                    first.reset();
                                    first = sink.receive();
                                    Victim::require(first && sink.is_content());
                                    second.reset();
                                  });
                                },
                            .meanwhile = [this] { publish(more_than_slots(max_borrowed)); }});
  EXPECT_GE(points, at_writes() ? 6U : 1U);
}

// Before each of its writes the ring goes round: no claim of its own holds, until it is helped.
TEST_P(SubscriberKilled, WhileItIsHelpedAgainstAPublisherThatLapsIt) {
  if (!at_writes()) GTEST_SKIP() << "receive makes no system call";
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Sink<SmallFrame> sink(own, kOptions);
                  Victim::require(bool(sink.receive()));
                  victim.in_danger([&] {
                    auto sample = sink.receive();
                    Victim::require(sample && sink.is_content());
                    sample.reset();
                    Victim::require(bool(sink.receive()));
                  });
                },
            .meanwhile = [this] { publish(more_than_slots(max_borrowed)); },
            .before_each_write = [this] { publish(more_than_slots(max_borrowed)); }});
  // Four tries of two writes, the request, the claim, the cursor, the answer, the release; twice.
  EXPECT_GE(points, 2 * (4 * 2 + 5U));
}

TEST_P(SubscriberKilled, WhileItWaits) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, kOptions);
                                  while (sink.receive()) continue;
                                  victim.in_danger([&] {
                                    Victim::require(!sink.wait(1ms));
                                    Victim::require(sink.is_content());
                                  });
                                },
                            .afterwards =
                                [this] {
                                  // A board that it left armed costs one needless waking.
                                  publish();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(SubscriberKilled, WhileItFindsANewPublisher) {
  // So many claims that its file holds one row, and grows for another.
  begin(Delivery::latest, 256);
  std::optional<Source<SmallFrame>> newcomer;
  const auto points = kill({.victim =
                                [this](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, {.max_borrowed = max_borrowed});
                                  while (sink.receive()) continue;
                                  victim.in_danger([&] {
                                    Victim::require(bool(sink.receive()));
                                    Victim::require(sink.is_content());
                                  });
                                },
                            .meanwhile =
                                [&] {
                                  newcomer.emplace(*node);
                                  ASSERT_TRUE(newcomer->publish(2));
                                },
                            .afterwards =
                                [&] {
                                  EXPECT_EQ(witness->drain(), 2U);
                                  ASSERT_TRUE(newcomer->publish());
                                  EXPECT_EQ(witness->drain(), 1U);
                                  newcomer.reset();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 260U : 20U);
}

TEST_P(SubscriberKilled, WhileItLosesAPublisher) {
  std::optional<Source<SmallFrame>> leaver(std::in_place, *node);
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sink<SmallFrame> sink(own, kOptions);
                                  while (sink.receive()) continue;
                                  victim.in_danger([&] {
                                    // There is nothing more: the row is given up.
                                    while (sink.receive()) continue;
                                    Victim::require(!sink.receive() && sink.is_content());
                                    Victim::require(sink.port().publishers() == 1);
                                  });
                                },
                            .meanwhile =
                                [&] {
                                  ASSERT_TRUE(leaver->publish());
                                  EXPECT_EQ(witness->drain(), 1U);
                                  leaver.reset();
                                },
                            .afterwards =
                                [&] {
                                  go_on();
                                  leaver.emplace(*node);  // for the next victim
                                }});
  leaver.reset();
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

// The witness was there as well, and is to find it whatever becomes of the victim.
TEST_P(SubscriberKilled, WhileItFindsWhatAPublisherLeft) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Sink<SmallFrame>> sink(std::in_place, own, kOptions);
                  while (sink->receive()) continue;
                  victim.in_danger([&] {
                    Victim::require(sink->drain() == 2 && sink->is_content());
                    sink.reset();
                  });
                },
            .meanwhile =
                [&] {
                  Source<SmallFrame> leaver(*node);
                  ASSERT_TRUE(leaver.publish(2));
                },
            .afterwards =
                [&] {
                  EXPECT_EQ(witness->drain(), 2U);
                  go_on();
                }});
  EXPECT_GE(points, at_writes() ? 10U : 20U);
}

TEST_P(SubscriberKilled, WhileItIsDestroyed) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Sink<SmallFrame>> sink(std::in_place, own, kOptions);
                  Victim::require(bool(sink->receive()));
                  victim.in_danger([&] { sink.reset(); });
                },
            .meanwhile = [this] { publish(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(SubscriberKilled, WhileItsLastSampleIsReleasedAfterIt) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Sample<SmallFrame> last;
                                  {
                                    Sink<SmallFrame> sink(own, kOptions);
                                    last = sink.receive();
                                    Victim::require(bool(last));
                                  }
                                  victim.in_danger([&] { last.reset(); });
                                },
                            .meanwhile = [this] { publish(more_than_slots(max_borrowed)); }});
  EXPECT_GE(points, at_writes() ? 2U : 10U);
}

// The survivor waits for a subscriber that does not read on, because it is dead.
struct LosslessSubscriberKilled : SubscriberKilled {
  void come() override { begin(Delivery::lossless); }
};

INSTANTIATE_TEST_SUITE_P(AtEvery, LosslessSubscriberKilled,
                         testing::Values(At::write, At::system_call), name_of);

TEST_P(LosslessSubscriberKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Sink<SmallFrame>> sink;
    victim.in_danger([&] { sink.emplace(own, kOptions); });
  }});
  EXPECT_GE(points, at_writes() ? 10U : 50U);
}

TEST_P(LosslessSubscriberKilled, WhileItReceivesReleasesAndLeaves) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Sink<SmallFrame>> sink(std::in_place, own, kOptions);
                  while (sink->receive()) continue;
                  victim.in_danger([&] {
                    for (std::uint32_t i = 0; i < kDepth; ++i) {
                      Victim::require(bool(sink->receive()));
                    }
                    Victim::require(sink->is_content());
                    Victim::require(sink->port().lost() == 0);
                    sink.reset();
                  });
                },
            .meanwhile =
                [this] {
                  publish(kDepth);
                  EXPECT_EQ(survivor->port().loan().error(), Errc::would_block);
                  // As it stands when the publisher sleeps: it must be woken.
                  EXPECT_EQ(survivor->port().loan_for(1us).error(), Errc::timed_out);
                }});
  EXPECT_GE(points, at_writes() ? 9U : 10U);
}

}  // namespace
}  // namespace sluice
