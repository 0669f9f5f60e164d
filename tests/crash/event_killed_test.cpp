// SPDX-License-Identifier: Apache-2.0
//
// A notifier or a listener is killed at every write to shared memory and at every system call of
// all that it does, while others live on.
#include <gtest/gtest.h>

#include <chrono>
#include <crash/survivors.hpp>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr const char* kDoor = "door";
constexpr EventId kJoin{1};
constexpr EventId kLeave{2};
constexpr EventId kDeath{3};
constexpr EventId kRing{200};
constexpr NotifierOptions kOptions{.on_join = kJoin, .on_leave = kLeave, .on_death = kDeath};

/// What a listener has heard in the course of several looks.
class Heard {
 public:
  void add(const EventSet& events) {
    for (const EventId id : events) words_[id.value / 64] |= std::uint64_t{1} << (id.value % 64);
  }
  [[nodiscard]] bool has(EventId id) const { return EventSet(words_).contains(id); }
  [[nodiscard]] std::size_t size() const { return EventSet(words_).size(); }

 private:
  EventWords words_{};
};

struct EventsKilled : Survivors<> {
  /// What the listener hears when it has looked who is dead.
  Heard hear() {
    Heard heard;
    heard.add(survivor->receive());
    EXPECT_EQ(survivor->notifiers(), witness ? 1U : 0U) << survivor->last_failure().message;
    heard.add(survivor->receive());
    return heard;
  }

  /// The listener goes on, and another notifier takes the victim's place.
  void another_notifier_comes() {
    {
      const Node own("newcomer");
      Notifier newcomer(own, kDoor, kOptions);
      EXPECT_EQ(newcomer.listeners(), 1U);
      EXPECT_EQ(survivor->receive(), set_of(kJoin));
      for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(newcomer.notify(kRing), 1U);
        EXPECT_EQ(survivor->wait(10s), set_of(kRing));
      }
    }
    EXPECT_EQ(survivor->receive(), set_of(kLeave));
    EXPECT_EQ(survivor->notifiers(), 0U);
    EXPECT_FALSE(survivor->receive());
    EXPECT_EQ(root.files(), files);
  }

  /// The notifier and a listener go on, and another listener takes the victim's place.
  void another_listener_comes() {
    EXPECT_GE(witness->notify(kRing), 1U) << "into a dead one's mailbox, too";
    EXPECT_EQ(survivor->receive(), set_of(kRing));
    {
      const Node own("newcomer");
      Listener newcomer(own, kDoor);
      EXPECT_EQ(witness->listeners(), 2U);
      EXPECT_FALSE(newcomer.receive());
      for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(witness->notify(kRing), 2U);
        EXPECT_EQ(newcomer.wait(10s), set_of(kRing));
        EXPECT_EQ(survivor->wait(10s), set_of(kRing));
      }
    }
    EXPECT_EQ(witness->listeners(), 1U);
    EXPECT_FALSE(survivor->receive());
    EXPECT_EQ(root.files(), files);
  }

  static EventSet set_of(EventId id) {
    EventWords words{};
    words[id.value / 64] = std::uint64_t{1} << (id.value % 64);
    return EventSet(words);
  }

  std::optional<Listener> survivor;
  std::optional<Notifier> witness;  // where the victim is a listener
};

struct NotifierKilled : EventsKilled {
  void come() override { survivor.emplace(*node, kDoor); }
};

struct ListenerKilled : EventsKilled {
  void come() override {
    survivor.emplace(*node, kDoor);
    witness.emplace(*node, kDoor);
  }
};

struct AloneWithEventsKilled : EventsKilled {
  void come() override { node.reset(); }

  void nothing_is_left() {
    {
      const Node next("next");
      EXPECT_EQ(root.files().size(), 1U) << "its own";
    }
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }
};

INSTANTIATE_TEST_SUITE_P(AtEvery, NotifierKilled, testing::Values(At::write, At::system_call),
                         name_of);
INSTANTIATE_TEST_SUITE_P(AtEvery, ListenerKilled, testing::Values(At::write, At::system_call),
                         name_of);
INSTANTIATE_TEST_SUITE_P(AtEvery, AloneWithEventsKilled,
                         testing::Values(At::write, At::system_call), name_of);

TEST_P(NotifierKilled, WhileItIsCreated) {
  int joined = 0;
  int died = 0;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Notifier> notifier;
                                  victim.in_danger([&] { notifier.emplace(own, kDoor, kOptions); });
                                },
                            .afterwards =
                                [&] {
                                  const Heard heard = hear();
                                  joined += heard.has(kJoin) ? 1 : 0;
                                  died += heard.has(kDeath) ? 1 : 0;
                                  EXPECT_LE(heard.size(), 2U);
                                  EXPECT_FALSE(heard.has(kLeave) || heard.has(kRing));
                                  EXPECT_TRUE(heard.has(kDeath) || !heard.has(kJoin))
                                      << "who has joined is missed";
                                  another_notifier_comes();
                                }});
  EXPECT_GE(points, at_writes() ? 10U : 50U);
  EXPECT_GT(died, 1);
  EXPECT_GE(joined, 1);
  EXPECT_GT(died, joined) << "it was there before it said so";
}

TEST_P(NotifierKilled, WhileItNotifies) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Notifier notifier(own, kDoor, kOptions);
                                  victim.in_danger([&] {
                                    Victim::require(notifier.notify(kRing) == 1);
                                    Victim::require(notifier.notify(kRing) == 1);
                                  });
                                },
                            .afterwards =
                                [&] {
                                  const Heard heard = hear();
                                  EXPECT_TRUE(heard.has(kJoin) && heard.has(kDeath));
                                  EXPECT_EQ(heard.size(), heard.has(kRing) ? 3U : 2U);
                                  another_notifier_comes();
                                }});
  EXPECT_GE(points, at_writes() ? 2U : 1U);
}

TEST_P(NotifierKilled, WhileItNotifiesOneWhoSleeps) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Notifier notifier(own, kDoor, kOptions);
                  victim.in_danger([&] { Victim::require(notifier.notify(kRing) == 1); });
                },
            .meanwhile =
                [this] {
                  EXPECT_EQ(survivor->receive(), set_of(kJoin));
                  // The mailbox stays armed when a sleep is over.
                  EXPECT_FALSE(survivor->wait(1us));
                },
            .afterwards =
                [&] {
                  const Heard heard = hear();
                  EXPECT_TRUE(heard.has(kDeath));
                  EXPECT_EQ(heard.size(), heard.has(kRing) ? 2U : 1U);
                  another_notifier_comes();
                }});
  // The event, `armed` and the bell; one wake-up.
  EXPECT_GE(points, at_writes() ? 3U : 2U);
}

// However far it came, whoever slept meanwhile hears of its death at the end of its slice.
TEST_P(NotifierKilled, WhileAnotherProcessSleeps) {
  ChildProcess sleeper([](const ChildProcess::Line& line) {
    const Node own("sleeper");
    Listener listener(own, kDoor);
    for (line.say(); line.hear(); line.say()) {
      Heard heard;
      while (!heard.has(kDeath)) {
        const EventSet events = listener.wait(20s);
        if (!events) return 1;
        heard.add(events);
      }
    }
    return 0;
  });
  ASSERT_TRUE(sleeper.hear());
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Notifier notifier(own, kDoor, kOptions);
                  victim.in_danger([&] { Victim::require(notifier.notify(kRing) == 2); });
                },
            .rehearsal = [&](const ChildProcess&) { sleeper.say(); },
            .afterwards =
                [&] {
                  EXPECT_TRUE(sleeper.hear()) << "it was never told";
                  EXPECT_TRUE(hear().has(kDeath));
                }});
  EXPECT_GE(points, at_writes() ? 2U : 1U);
}

TEST_P(NotifierKilled, WhileItIsDestroyed) {
  int left = 0;
  int died = 0;
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Notifier> notifier(std::in_place, own, kDoor, kOptions);
                  victim.in_danger([&] { notifier.reset(); });
                },
            .meanwhile = [this] { EXPECT_EQ(survivor->receive(), set_of(kJoin)); },
            .afterwards =
                [&] {
                  const Heard heard = hear();
                  left += heard.has(kLeave) ? 1 : 0;
                  died += heard.has(kDeath) ? 1 : 0;
                  EXPECT_TRUE(heard.has(kLeave) || heard.has(kDeath)) << "it went unheard";
                  EXPECT_LE(heard.size(), 2U);
                  EXPECT_FALSE(heard.has(kJoin) || heard.has(kRing));
                  another_notifier_comes();
                }});
  EXPECT_GE(points, at_writes() ? 2U : 10U);
  EXPECT_GE(left, 1);
  EXPECT_GE(died, 1);
}

TEST_P(ListenerKilled, WhileItIsCreated) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Listener> listener;
                                  victim.in_danger([&] { listener.emplace(own, kDoor); });
                                },
                            .afterwards = [&] { another_listener_comes(); }});
  EXPECT_GE(points, at_writes() ? 10U : 50U);
}

TEST_P(ListenerKilled, WhileItReceives) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Listener listener(own, kDoor);
                                  victim.in_danger([&] {
                                    Victim::require(listener.receive() == set_of(kRing));
                                    Victim::require(!listener.receive());
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  EXPECT_EQ(witness->notify(kRing), 2U);
                                  EXPECT_EQ(survivor->receive(), set_of(kRing));
                                },
                            .afterwards = [&] { another_listener_comes(); }});
  EXPECT_GE(points, 1U);
}

TEST_P(ListenerKilled, WhileItWaits) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Listener listener(own, kDoor);
                                  victim.in_danger([&] {
                                    Victim::require(listener.wait(10s) == set_of(kRing));
                                    Victim::require(!listener.wait(1ms));
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  EXPECT_EQ(witness->notify(kRing), 2U);
                                  EXPECT_EQ(survivor->receive(), set_of(kRing));
                                },
                            .afterwards = [&] { another_listener_comes(); }});
  // The event is taken, and the mailbox is armed.
  EXPECT_GE(points, at_writes() ? 2U : 3U);
}

// Told again by the next who looks, or not at all: until a listener takes it, it is one event.
TEST_P(ListenerKilled, WhileItTellsOthersOfADeath) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Listener listener(own, kDoor);
                                  victim.in_danger([&] {
                                    Victim::require(listener.notifiers() == 1);
                                    Victim::require(listener.receive() == set_of(kDeath));
                                  });
                                },
                            .meanwhile =
                                [] {
                                  ChildProcess doomed([](const ChildProcess::Line& line) {
                                    const Node own("doomed");
                                    const Notifier notifier(own, kDoor, {.on_death = kDeath});
                                    line.say();
                                    line.hear();
                                    return 0;
                                  });
                                  EXPECT_TRUE(doomed.hear());
                                  doomed.kill();
                                },
                            .afterwards =
                                [&] {
                                  const Heard heard = hear();
                                  EXPECT_TRUE(heard.has(kDeath));
                                  EXPECT_EQ(heard.size(), 1U);
                                  EXPECT_FALSE(survivor->receive());
                                  another_listener_comes();
                                }});
  // The event in each of two mailboxes, and its own is taken.
  EXPECT_GE(points, at_writes() ? 3U : 30U);
}

TEST_P(ListenerKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Listener> listener(std::in_place, own, kDoor);
                                  victim.in_danger([&] { listener.reset(); });
                                },
                            .meanwhile =
                                [this] {
                                  EXPECT_EQ(witness->notify(kRing), 2U);
                                  EXPECT_EQ(survivor->receive(), set_of(kRing));
                                },
                            .afterwards = [&] { another_listener_comes(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(AloneWithEventsKilled, WhileItsNotifierMakesTheServiceAndLeaves) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  std::optional<Node> own(std::in_place, "victim");
                                  victim.in_danger([&] {
                                    {
                                      Notifier notifier(*own, kDoor, kOptions);
                                      notifier.notify(kRing);
                                    }
                                    own.reset();
                                  });
                                },
                            .afterwards = [&] { nothing_is_left(); }});
  EXPECT_GE(points, at_writes() ? 20U : 100U);
}

TEST_P(AloneWithEventsKilled, WhileItsListenerMakesTheServiceAndLeaves) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  std::optional<Node> own(std::in_place, "victim");
                                  victim.in_danger([&] {
                                    {
                                      Listener listener(*own, kDoor);
                                      Victim::require(!listener.receive());
                                    }
                                    own.reset();
                                  });
                                },
                            .afterwards = [&] { nothing_is_left(); }});
  EXPECT_GE(points, at_writes() ? 20U : 100U);
}

}  // namespace
}  // namespace sluice
