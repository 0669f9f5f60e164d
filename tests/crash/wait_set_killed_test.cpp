// SPDX-License-Identifier: Apache-2.0
//
// Who sleeps for many things is killed at every write to shared memory and at every system call, on
// futexes and on pipes; and so is a publisher that wakes such sleepers.
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <crash/frames.hpp>
#include <crash/survivors.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

enum class Way : std::uint8_t { futex, pipes };

struct WaitSetKilled : Survivors<std::tuple<At, Way>> {
  void come() override {
    if (::pipe(silent) != 0) std::abort();
    survivor.emplace(*node);
    witness.emplace(*node);
    ASSERT_TRUE(survivor->publish());
    ASSERT_EQ(witness->drain(), 1U);
  }
  ~WaitSetKilled() override {
    for (const int end : silent) ::close(end);
  }

  static bool on_pipes() { return std::get<1>(GetParam()) == Way::pipes; }

  /// So that it sleeps as the parameter says.
  void prepare(WaitSet& set) const {
    if (on_pipes()) set.attach_fd(silent[0], [] {});
  }

  /// A victim with a subscriber and a set, and what it does in danger.
  std::function<void(const Victim&)> with_set(
      const std::function<void(const Victim&, std::optional<WaitSet>&, Sink<SmallFrame>&)>& act) {
    return [this, act](const Victim& victim) {
      const Node own("victim");
      Sink<SmallFrame> sink(own);
      while (sink.receive()) continue;
      std::optional<WaitSet> set(std::in_place);
      prepare(*set);
      act(victim, set, sink);
    };
  }

  /// The survivors go on, and somebody else sleeps in the victim's place.
  void go_on() override {
    ASSERT_TRUE(survivor->publish()) << survivor->failure();
    EXPECT_GE(witness->drain(), 1U);
    {
      const Node own("newcomer");
      Sink<SmallFrame> sink(own);
      WaitSet set;
      prepare(set);
      set.attach(sink.port(), [&] { EXPECT_EQ(sink.drain(), 1U); });
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(set.wait(10ms), 0U);
        ASSERT_TRUE(survivor->publish());
        EXPECT_EQ(set.wait(10s), 1U);
      }
    }
    EXPECT_EQ(witness->drain(), 3U);
    EXPECT_TRUE(witness->is_content());
    node->reap();
    EXPECT_EQ(root.files(), files);
  }

  int silent[2] = {-1, -1};
  std::optional<Source<SmallFrame>> survivor;
  std::optional<Sink<SmallFrame>> witness;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, WaitSetKilled,
                         testing::Combine(testing::Values(At::write, At::system_call),
                                          testing::Values(Way::futex, Way::pipes)),
                         [](const auto& chosen) {
                           const std::string at =
                               std::get<0>(chosen.param) == At::write ? "Write" : "SystemCall";
                           return at + (std::get<1>(chosen.param) == Way::futex ? "OnFutexes"
                                                                                : "OnPipes");
                         });

TEST_P(WaitSetKilled, WhileItAttachesAndDetaches) {
  const auto points =
      kill({.victim = with_set([](const Victim& victim, auto& set, Sink<SmallFrame>& sink) {
              victim.in_danger([&] {
                const auto one = set->attach(sink.port(), [] {});
                Victim::require(bool(one) && set->detach(one));
              });
            })});
  EXPECT_GE(points, at_writes() || !on_pipes() ? 0U : 16U);
}

TEST_P(WaitSetKilled, WhileItSleeps) {
  const auto points =
      kill({.victim = with_set([](const Victim& victim, auto& set, Sink<SmallFrame>& sink) {
              set->attach(sink.port(), [] {});
              victim.in_danger([&] { Victim::require(set->wait(10ms) == 0); });
            })});
  // The doorbell is armed; one sleep.
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(WaitSetKilled, WhileItIsWoken) {
  const auto points =
      kill({.victim = with_set([](const Victim& victim, auto& set, Sink<SmallFrame>& sink) {
              set->attach(sink.port(), [&] { Victim::require(sink.drain() == 1); });
              Victim::require(set->wait(10ms) == 0);
              victim.in_danger([&] {
                Victim::require(set->wait(10s) == 1);
                Victim::require(set->wait(10ms) == 0);
              });
            }),
            .meanwhile = [this] { ASSERT_TRUE(survivor->publish()); },
            .afterwards =
                [this] {
                  EXPECT_EQ(witness->drain(), 1U);
                  go_on();
                }});
  // Claim, cursor, release, the doorbell; a pipe is polled and emptied.
  EXPECT_GE(points, at_writes() ? 3U : 2U);
}

TEST_P(WaitSetKilled, WhileItIsDestroyed) {
  const auto points =
      kill({.victim = with_set([](const Victim& victim, auto& set, Sink<SmallFrame>& sink) {
              set->attach(sink.port(), [] {});
              Victim::require(set->wait(10ms) == 0);
              victim.in_danger([&] { set.reset(); });
            })});
  EXPECT_GE(points, at_writes() || !on_pipes() ? 0U : 4U);
}

TEST_P(WaitSetKilled, WhileItsPortIsDestroyedUnderIt) {
  const auto points =
      kill({.victim = with_set([](const Victim& victim, auto& set, Sink<SmallFrame>&) {
              const Node own("victim");
              std::optional<Sink<SmallFrame>> sink(std::in_place, own);
              set->attach(sink->port(), [] {});
              Victim::require(set->wait(10ms) == 0);
              victim.in_danger([&] { sink.reset(); });
            })});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(WaitSetKilled, WhileItHasADescriptor) {
  if (!on_pipes()) GTEST_SKIP() << "a descriptor is always one of pipes";
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  std::optional<Sink<SmallFrame>> sink(std::in_place, own);
                  while (sink->receive()) continue;
                  victim.in_danger([&] {
                    pollfd one{.fd = sink->port().fd(), .events = POLLIN, .revents = 0};
                    Victim::require(one.fd >= 0);
                    while (sink->receive()) continue;
                    Victim::require(::poll(&one, 1, 1) >= 0);
                    sink.reset();
                  });
                },
            .meanwhile = [this] { ASSERT_TRUE(survivor->publish()); },
            .afterwards =
                [this] {
                  EXPECT_EQ(witness->drain(), 1U);
                  go_on();
                }});
  EXPECT_GE(points, at_writes() ? 4U : 40U);
}

// Here the publisher is the victim. What it published wakes everybody, whether it came to that or
// not: those who sleep find it at the end of a slice.
struct WakerKilled : WaitSetKilled {
  void come() override {
    WaitSetKilled::come();
    survivor.reset();
    in_set.emplace([this](const ChildProcess::Line& line) {
      const Node own("sleeper");
      Sink<SmallFrame> sink(own);
      WaitSet own_set;
      prepare(own_set);
      own_set.attach(sink.port(), [&] {
        while (auto sample = sink.receive()) line.say(sample.publisher());
      });
      line.say();
      while (own_set.wait(20s) != 0 && sink.is_content()) continue;
      std::fprintf(stderr, "set ended: content %d, set '%s', sink '%s'\n", sink.is_content(),
                   own_set.last_failure().message.c_str(),
                   sink.port().last_failure().message.c_str());
      return 1;
    });
    ASSERT_TRUE(in_set->hear());
    in_loop.emplace([](const ChildProcess::Line& line) {
      const Node own("sleeper");
      Sink<SmallFrame> sink(own);
      pollfd one{.fd = sink.port().fd(), .events = POLLIN, .revents = 0};
      line.say();
      while (::poll(&one, 1, 20'000) == 1 && sink.is_content()) {
        while (auto sample = sink.receive()) line.say(sample.publisher());
      }
      std::fprintf(stderr, "loop ended: content %d, sink '%s'\n", sink.is_content(),
                   sink.port().last_failure().message.c_str());
      return 1;
    });
    ASSERT_TRUE(in_loop->hear());
    for (WaitSet& set : own_sets) set.attach(witness->port(), [] {});
    own_sets[1].attach_fd(silent[0], [] {});
  }
  ~WakerKilled() override {
    own_sets = {};
    in_set.reset();
    in_loop.reset();
    if (node) node->reap();
  }

  /// Every sleeper receives so many samples of `publisher`.
  void expect_received(std::uint64_t publisher, std::size_t samples) {
    for (const auto* sleeper : {&in_set, &in_loop}) {
      std::size_t of_others = 0;
      for (std::size_t i = 0; i < samples;) {
        std::uint64_t from = 0;
        ASSERT_TRUE((*sleeper)->hear(&from));
        from == publisher ? ++i : ++of_others;
      }
      // Killed before it counted its last sample: who comes by receives it, nobody waits for it.
      EXPECT_LE(of_others, 1U);
    }
  }

  void go_on_without(std::uint64_t victim) {
    const bool is_published = witness->port().waitable().is_ready();
    EXPECT_LE(witness->drain(), 1U);
    expect_received(victim, is_published ? 1 : 0);
    {
      const Node own("newcomer");
      Source<SmallFrame> newcomer(own);
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(newcomer.publish());
      expect_received(newcomer.port().id(), 3);
      EXPECT_EQ(witness->drain(), 3U);
    }
    EXPECT_TRUE(witness->is_content());
    node->reap();
    EXPECT_EQ(root.files(), files);
  }

  std::optional<ChildProcess> in_set;
  std::optional<ChildProcess> in_loop;
  std::array<WaitSet, 2> own_sets;  // on a futex and on a pipe
};

INSTANTIATE_TEST_SUITE_P(AtEvery, WakerKilled,
                         testing::Combine(testing::Values(At::write, At::system_call),
                                          testing::Values(Way::futex, Way::pipes)),
                         [](const auto& chosen) {
                           const std::string at =
                               std::get<0>(chosen.param) == At::write ? "Write" : "SystemCall";
                           return at + (std::get<1>(chosen.param) == Way::futex ? "OnFutexes"
                                                                                : "OnPipes");
                         });

TEST_P(WakerKilled, WhileItPublishes) {
  std::uint64_t id = 0;
  const auto victim = [](const Victim& self) {
    const Node own("victim");
    Source<SmallFrame> source(own, {.depth = 1, .max_loans = 1});
    while (source.port().subscribers() < 3) continue;
    self.line().say(source.port().id());
    Victim::require(source.publish());
    self.line().hear();
    auto loan = source.loan();  // with what there is to look at behind it
    self.in_danger([&] { Victim::require(source.publish(std::move(loan))); });
  };
  const auto points = kill({.victim = victim,
                            .rehearsal =
                                [&](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear(&id));
                                  expect_received(id, 1);  // now they know it
                                  child.say();
                                },
                            .meanwhile =
                                [this] {
                                  EXPECT_EQ(witness->drain(), 1U);
                                  // Who has slept leaves the doorbell armed.
                                  for (WaitSet& set : own_sets) EXPECT_EQ(set.wait(10ms), 0U);
                                },
                            .afterwards = [&] { go_on_without(id); }});
  // The payload's three words, the ring, the head, `armed`, the bell. Each pipe is opened twice,
  // looked at, written to, and closed twice.
  EXPECT_GE(points, at_writes() ? 6U : 2 * 6 * (on_pipes() ? 3U : 2U));
}

}  // namespace
}  // namespace sluice
