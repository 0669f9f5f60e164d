// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/last_words.hpp>
#include <support/sanitizers.hpp>
#include <support/system_calls.hpp>
#include <support/temporary_root.hpp>
#include <support/test_port.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kFutexWaitv = 449;

/// A pipe of this process.
struct Pipe {
  Pipe() {
    if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void put(char byte = 'x') const { EXPECT_EQ(::write(ends[1], &byte, 1), 1); }
  [[nodiscard]] char take() const {
    char byte = 0;
    return ::read(ends[0], &byte, 1) == 1 ? byte : '\0';
  }

  std::array<int, 2> ends{};
};

void do_nothing() {}

enum class Way : std::uint8_t { futex, pipes };

void PrintTo(Way way, std::ostream* out) { *out << (way == Way::futex ? "futex" : "pipes"); }

/// A set that sleeps on futexes, or, because it has a descriptor, on pipes.
struct WaitSets : testing::TestWithParam<Way> {
  WaitSets() { prepare(set); }
  ~WaitSets() override {
    set = WaitSet();
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  void prepare(WaitSet& one) {
    if (GetParam() == Way::pipes) {
      EXPECT_TRUE(one.attach_fd(silent.ends[0], do_nothing));
    }
  }
  /// The wake pipes there are.
  [[nodiscard]] std::size_t pipes() const {
    const auto files = root.files();
    return static_cast<std::size_t>(std::count_if(
        files.begin(), files.end(),
        [](const std::string& file) { return file.find("/waiter.") != std::string::npos; }));
  }

  TemporaryRoot root;
  Pipe silent;
  std::optional<Node> node{std::in_place, "test"};
  WaitSet set;
};

INSTANTIATE_TEST_SUITE_P(SleepingOn, WaitSets, testing::Values(Way::futex, Way::pipes),
                         [](const auto& chosen) {
                           return chosen.param == Way::futex ? "Futexes" : "Pipes";
                         });

TEST_P(WaitSets, ACallbackIsCalledWhenSomethingCame) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  int received = -1;
  ASSERT_TRUE(set.attach(subscriber, [&] { received = *subscriber.receive(); }));
  EXPECT_EQ(pipes(), GetParam() == Way::pipes ? 1U : 0U);
  EXPECT_EQ(set.wait(0ms), 0U);
  ASSERT_TRUE(publisher.publish(7));
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(received, 7);
  EXPECT_EQ(set.wait(0ms), 0U);
  EXPECT_EQ(set.last_failure().code, Errc::ok);
}

TEST_P(WaitSets, WaitingEndsWithItsTime) {
  Subscriber<int> subscriber(*node, "numbers");
  ASSERT_TRUE(set.attach(subscriber, [] { FAIL() << "nothing came"; }));
  for (const auto time : {0ms, -1ms, 1ms, 120ms}) {
    const auto begin = Clock::now();
    EXPECT_EQ(set.wait(time), 0U);
    EXPECT_GE(Clock::now() - begin, time);
  }
  EXPECT_EQ(WaitSet().wait(5ms), 0U) << "with nothing attached";
}

TEST_P(WaitSets, ASleeperIsWokenByAnotherProcess) {
  Publisher<int> publisher(*node, "numbers");
  constexpr int kRounds = 1000;
  ChildProcess child([&](const ChildProcess::Line& line) {
    const Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    Subscriber<int> quiet(own, "quiet");
    WaitSet sleeper;
    prepare(sleeper);
    int next = 0;
    sleeper.attach(subscriber, [&] {
      while (auto sample = subscriber.receive()) {
        if (*sample != next++) ::_exit(1);
        line.say();
      }
    });
    sleeper.attach(quiet, [] { ::_exit(2); });
    line.say();
    while (next < kRounds) {
      if (sleeper.wait(10s) != 1) return 3;
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(publisher.publish(i));
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_P(WaitSets, WhatIsLeftThereMakesTheCallbackBeCalledAgain) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  std::vector<int> received;
  set.attach(subscriber, [&] { received.push_back(*subscriber.receive()); });
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(set.wait(0ms), 1U);
  EXPECT_EQ(set.wait(0ms), 0U);
  EXPECT_EQ(received, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST_P(WaitSets, EachThatIsReadyIsCalledOnceARound) {
  TestPort busy(root.path());
  TestPort other(root.path());
  const Pipe pipe;
  pipe.put();
  busy.ready = true;
  int calls_of_busy = 0;
  int calls_of_other = 0;
  int calls_of_fd = 0;
  set.attach(busy, [&] { ++calls_of_busy; });
  set.attach(other, [&] {
    ++calls_of_other;
    EXPECT_TRUE(other.take());
  });
  set.attach_fd(pipe.ends[0], [&] { ++calls_of_fd; });
  for (int round = 1; round <= 100; ++round) {
    const bool has_other = round % 3 == 0;
    other.ready = has_other;
    EXPECT_EQ(set.wait(10s), has_other ? 3U : 2U);
    EXPECT_EQ(calls_of_busy, round);
    EXPECT_EQ(calls_of_fd, round);
    EXPECT_EQ(calls_of_other, round / 3);
  }
}

TEST_P(WaitSets, SeveralOfOneServiceAreEachCalled) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> one(*node, "numbers");
  Subscriber<int> other(*node, "numbers");
  int sum = 0;
  set.attach(one, [&] { sum += *one.receive(); });
  set.attach(other, [&] { sum += *other.receive(); });
  ASSERT_TRUE(publisher.publish(21));
  EXPECT_EQ(set.wait(10s), 2U);
  EXPECT_EQ(sum, 42);
}

TEST_P(WaitSets, ASubscriberMayBeMoved) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> first(*node, "numbers");
  std::optional<Subscriber<int>> last;
  int received = 0;
  set.attach(first, [&] { received = *last->receive(); });
  last.emplace(std::move(first));
  ASSERT_TRUE(publisher.publish(3));
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(received, 3);
}

TEST_P(WaitSets, ASetMayBeMoved) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  int received = 0;
  set.attach(subscriber, [&] { received = *subscriber.receive(); });
  WaitSet heir(std::move(set));
  set = WaitSet();
  ASSERT_TRUE(publisher.publish(3));
  EXPECT_EQ(heir.wait(10s), 1U);
  EXPECT_EQ(received, 3);
}

// --- Descriptors

TEST_P(WaitSets, ADescriptorIsWaitedFor) {
  const Pipe pipe;
  char received = '\0';
  ASSERT_TRUE(set.attach_fd(pipe.ends[0], [&] { received = pipe.take(); }));
  EXPECT_EQ(set.wait(0ms), 0U);
  std::thread writer([&] { pipe.put('a'); });
  EXPECT_EQ(set.wait(10s), 1U);
  writer.join();
  EXPECT_EQ(received, 'a');
  EXPECT_EQ(set.wait(0ms), 0U);
}

TEST_P(WaitSets, ADescriptorIsWaitedForUntilItIsWritable) {
  const Pipe pipe;
  while (::write(pipe.ends[1], "x", 1) == 1) continue;
  int calls = 0;
  ASSERT_TRUE(set.attach_fd(
      pipe.ends[1], [&] { ++calls; }, WaitSet::kWritable));
  EXPECT_EQ(set.wait(0ms), 0U);
  while (pipe.take() != '\0') continue;
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(calls, 1);
}

TEST_P(WaitSets, DescriptorsThatCannotBeWaitedForAreRefused) {
  const Pipe pipe;
  const auto first = set.attach_fd(pipe.ends[0], do_nothing);
  ASSERT_TRUE(first);
  const std::size_t size = set.size();
  EXPECT_EQ(set.attach_fd(pipe.ends[0], do_nothing).error(), Errc::already_exists);
  EXPECT_EQ(set.attach_fd(-1, do_nothing).error(), Errc::system);
  EXPECT_EQ(set.last_failure().message, "cannot wait for descriptor -1: Bad file descriptor");
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  EXPECT_FALSE(set.attach_fd(file, do_nothing));
  EXPECT_NE(set.last_failure().message.find("always ready"), std::string::npos);
  ::close(file);
  EXPECT_EQ(set.size(), size);
  pipe.put();
  EXPECT_EQ(set.wait(10s), 1U) << "the first is still attached";
  EXPECT_TRUE(set.detach(first));
  EXPECT_TRUE(set.attach_fd(pipe.ends[0], do_nothing)) << "again";
}

// --- Time

TEST_P(WaitSets, AnIntervalFiresAgainAndAgain) {
  std::vector<Clock::time_point> times;
  const auto begin = Clock::now();
  ASSERT_TRUE(set.attach_interval(5ms, [&] { times.push_back(Clock::now()); }));
  for (int i = 1; i <= 10; ++i) {
    EXPECT_EQ(set.wait(10s), 1U);
    ASSERT_EQ(times.size(), static_cast<std::size_t>(i));
    EXPECT_GE(times.back() - begin, i * 5ms);
  }
}

TEST_P(WaitSets, WhatAnIntervalMissedIsLeftOut) {
  constexpr auto kInterval = 5ms;
  ASSERT_TRUE(set.attach_interval(kInterval, do_nothing));
  const auto missed_until = Clock::now() + 40 * kInterval;
  while (Clock::now() < missed_until) std::this_thread::yield();
  std::size_t fired = 0;
  for (int i = 0; i < 30; ++i) fired += set.wait(0ms);
  const auto late = (Clock::now() - missed_until) / kInterval;
  EXPECT_GE(fired, 1U);
  EXPECT_LE(fired, static_cast<std::size_t>(late) + 2) << "a burst";
}

TEST_P(WaitSets, ADeadlineFiresWhenNothingCameAndThenAgain) {
  Subscriber<int> subscriber(*node, "numbers");
  const auto begin = Clock::now();
  int missed = 0;
  ASSERT_TRUE(set.attach_deadline(subscriber, 10ms, [&] { ++missed; }));
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(set.wait(10s), 1U);
    EXPECT_EQ(missed, i);
    EXPECT_GE(Clock::now() - begin, i * 10ms);
  }
}

TEST_P(WaitSets, ADeadlineBeginsAnewWithWhatComes) {
  constexpr auto kTime = 60ms;
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  std::optional<Clock::time_point> came;
  std::optional<Clock::time_point> missed;
  // In this order the subscriber is drained before the deadline has its turn.
  set.attach(subscriber, [&] {
    came = Clock::now();
    EXPECT_TRUE(subscriber.receive());
  });
  set.attach_deadline(subscriber, kTime, [&] { missed = Clock::now(); });
  const auto almost = Clock::now() + kTime / 2;
  while (Clock::now() < almost) std::this_thread::yield();
  ASSERT_TRUE(publisher.publish(1));
  while (!missed) ASSERT_EQ(set.wait(10s), 1U);
  ASSERT_TRUE(came);
  EXPECT_GE(*missed - *came, kTime);
}

// It takes longer than the deadline, and something came meanwhile.
TEST_P(WaitSets, ALongCallbackMakesNoDeadlineFireFalsely) {
  constexpr auto kTime = 20ms;
  TestPort port(root.path());
  const Pipe pipe;
  Clock::time_point came;
  bool is_missed = false;
  set.attach_fd(pipe.ends[0], [&] {
    (void)pipe.take();
    const auto end = Clock::now() + 2 * kTime;
    while (Clock::now() < end) std::this_thread::yield();
    port.make_ready();
  });
  set.attach(port, [&] {
    EXPECT_TRUE(port.take());
    came = Clock::now();
  });
  set.attach_deadline(port, kTime, [&] {
    is_missed = true;
    EXPECT_GE(Clock::now() - came, kTime);
  });
  pipe.put();
  while (!is_missed) EXPECT_GE(set.wait(10s), 1U);
  EXPECT_NE(came, Clock::time_point());
}

// What nobody reads is there, and nothing is missed; nor does it keep the processor busy.
TEST_P(WaitSets, ADeadlineOfAPortThatNobodyReadsSleeps) {
  TestPort port(root.path());
  port.ready = true;
  set.attach_deadline(port, 10ms, [] { FAIL() << "something was there"; });
  EXPECT_EQ(set.wait(150ms), 0U);
  EXPECT_LT(port.looks_for_samples, 200);
}

TEST_P(WaitSets, TimesThatAreNotLongerThanZeroAreRefused) {
  TestPort port(root.path());
  EXPECT_EQ(set.attach_interval(0ms, do_nothing).error(), Errc::invalid_options);
  EXPECT_EQ(set.attach_interval(-1ms, do_nothing).error(), Errc::invalid_options);
  EXPECT_EQ(set.attach_deadline(port, 0ms, do_nothing).error(), Errc::invalid_options);
  EXPECT_TRUE(set.attach_interval(std::chrono::nanoseconds::max(), do_nothing));
  EXPECT_TRUE(set.attach_deadline(port, std::chrono::nanoseconds::max(), do_nothing));
  EXPECT_EQ(set.wait(1ms), 0U);
}

// --- Attaching and detaching

TEST_P(WaitSets, AnEmptyCallbackIsRefused) {
  TestPort port(root.path());
  port.ready = true;
  const Pipe pipe;
  pipe.put();
  void (*const no_function)() = nullptr;
  const std::size_t before = set.size();
  for (const WaitSet::Callback& empty :
       {WaitSet::Callback(), WaitSet::Callback(nullptr), WaitSet::Callback(no_function)}) {
    EXPECT_EQ(set.attach(port, empty).error(), Errc::invalid_options);
    EXPECT_EQ(set.attach_fd(pipe.ends[0], empty).error(), Errc::invalid_options);
    EXPECT_EQ(set.attach_interval(1ns, empty).error(), Errc::invalid_options);
    EXPECT_EQ(set.attach_deadline(port, 1ns, empty).error(), Errc::invalid_options);
    EXPECT_EQ(set.last_failure().message, "the callback is empty");
  }
  EXPECT_EQ(set.size(), before);
  EXPECT_EQ(set.wait(1ms), 0U);
}

TEST_P(WaitSets, WhatIsDetachedIsNotCalled) {
  TestPort port(root.path());
  const Pipe pipe;
  port.ready = true;
  pipe.put();
  const std::size_t before = set.size();
  const auto never = [] { FAIL() << "detached"; };
  const std::vector<WaitSet::Attachment> attachments{
      set.attach(port, never), set.attach_fd(pipe.ends[0], never), set.attach_interval(1ns, never),
      set.attach_deadline(port, 1ns, never)};
  EXPECT_EQ(set.size(), before + 4);
  for (const auto& attachment : attachments) {
    EXPECT_TRUE(set.detach(attachment));
    EXPECT_FALSE(set.detach(attachment));
  }
  EXPECT_FALSE(set.detach({}));
  EXPECT_EQ(set.size(), before);
  EXPECT_EQ(set.wait(1ms), 0U);
}

TEST_P(WaitSets, PipesAreThereOnlyWhileTheyAreNeeded) {
  Subscriber<int> subscriber(*node, "numbers");
  Subscriber<int> other(*node, "other");
  const auto first = set.attach(subscriber, do_nothing);
  const auto again = set.attach_deadline(subscriber, 10s, do_nothing);
  set.attach(other, do_nothing);
  const std::size_t own = GetParam() == Way::pipes ? 2U : 0U;
  EXPECT_EQ(pipes(), own);
  const Pipe pipe;
  const auto descriptor = set.attach_fd(pipe.ends[0], do_nothing);
  EXPECT_EQ(pipes(), 2U);
  set.detach(first);
  EXPECT_EQ(pipes(), 2U);
  set.detach(again);
  EXPECT_EQ(pipes(), 1U);
  set.detach(descriptor);
  EXPECT_EQ(pipes(), own / 2);
  EXPECT_EQ(set.wait(1ms), 0U);
}

TEST_P(WaitSets, CallbacksMayDetachThemselvesAndOthers) {
  TestPort port(root.path());
  port.ready = true;
  int calls = 0;
  WaitSet::Attachment self;
  WaitSet::Attachment next;
  const auto keeps_its_captures = std::make_shared<int>(1);
  self = set.attach(port, [&, keeps_its_captures] {
    EXPECT_TRUE(set.detach(self));
    EXPECT_TRUE(set.detach(next));
    calls += *keeps_its_captures;
  });
  next = set.attach(port, [] { FAIL() << "detached before its turn"; });
  set.attach(port, [&] { ++calls; });
  EXPECT_EQ(set.wait(10s), 2U);
  EXPECT_EQ(keeps_its_captures.use_count(), 1);
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(calls, 3);
}

TEST_P(WaitSets, WhatACallbackAttachesHasItsTurnInTheNextRound) {
  TestPort port(root.path());
  port.ready = true;
  int calls = 0;
  WaitSet::Attachment first;
  first = set.attach(port, [&] {
    set.detach(first);
    for (int i = 0; i < 100; ++i) set.attach(port, [&] { ++calls; });
  });
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(set.wait(10s), 100U);
  EXPECT_EQ(calls, 100);
}

TEST_P(WaitSets, ADestroyedPortDropsOut) {
  const std::size_t before = set.size();
  {
    Publisher<int> publisher(*node, "numbers");
    Subscriber<int> subscriber(*node, "numbers");
    set.attach(subscriber, [] { FAIL() << "its port is gone"; });
    set.attach_deadline(subscriber, 1ns, [] { FAIL() << "its port is gone"; });
    EXPECT_EQ(set.size(), before + 2);
    ASSERT_TRUE(publisher.publish(1));
  }
  EXPECT_EQ(set.size(), before);
  for (const std::string& entry : root.entries()) {
    EXPECT_EQ(entry.find("/services/"), std::string::npos) << "held by a pipe of ours: " << entry;
  }
  EXPECT_EQ(set.wait(1ms), 0U);
}

TEST_P(WaitSets, APortWhoseSamplesOutliveItDropsOut) {
  Publisher<int> publisher(*node, "numbers");
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  set.attach(*subscriber, do_nothing);
  ASSERT_TRUE(publisher.publish(1));
  auto sample = subscriber->receive();
  subscriber.reset();
  EXPECT_EQ(pipes(), 0U);
  ASSERT_TRUE(publisher.publish(2));
  EXPECT_EQ(set.wait(1ms), 0U);
  EXPECT_EQ(*sample, 1);
}

TEST_P(WaitSets, PortsMayBeDestroyedInCallbacks) {
  Publisher<int> publisher(*node, "numbers");
  std::optional<Subscriber<int>> own(std::in_place, *node, "numbers");
  std::optional<Subscriber<int>> others(std::in_place, *node, "numbers");
  int calls = 0;
  set.attach(*own, [&] {
    ++calls;
    own.reset();
    others.reset();
  });
  set.attach(*others, [] { FAIL() << "destroyed before its turn"; });
  set.attach_deadline(*own, 1ns, [] { FAIL() << "destroyed before its turn"; });
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(set.wait(1ms), 0U);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(pipes(), 0U);
}

TEST_P(WaitSets, ACallbackMayOwnItsPort) {
  Publisher<int> publisher(*node, "numbers");
  int sum = 0;
  std::vector<WaitSet::Attachment> attachments;
  for (int i = 0; i < 3; ++i) {
    const auto subscriber = std::make_shared<Subscriber<int>>(*node, "numbers");
    attachments.push_back(
        set.attach(*subscriber, [&sum, subscriber] { sum += *subscriber->receive(); }));
  }
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(set.wait(10s), 3U);
  EXPECT_EQ(publisher.subscribers(), 3U);
  EXPECT_TRUE(set.detach(attachments.front()));
  EXPECT_EQ(publisher.subscribers(), 2U);
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(set.wait(10s), 2U);
  set = WaitSet();
  EXPECT_EQ(publisher.subscribers(), 0U);
  EXPECT_EQ(sum, 5);
}

#if defined(__cpp_exceptions)
TEST_P(WaitSets, WhatACallbackThrowsEndsTheRun) {
  TestPort port(root.path());
  port.ready = true;
  struct Surprise {};
  const auto attachment = set.attach(port, [] { throw Surprise(); });
  const auto handler_before = ::signal(SIGINT, SIG_IGN);
  EXPECT_THROW(set.run(), Surprise);
  EXPECT_THROW(set.wait(10s), Surprise);
  EXPECT_EQ(::signal(SIGINT, handler_before), SIG_IGN);
  EXPECT_TRUE(set.detach(attachment));
  set.attach(port, [&] { set.stop(); });
  EXPECT_EQ(set.run(), Errc::ok);
}
#endif

TEST_P(WaitSets, WaitingWithinACallbackIsAProgrammersError) {
  const TemporaryRoot of_the_dead;
  const std::string words = last_words(of_the_dead, [&] {
    TestPort port(of_the_dead.path());
    port.ready = true;
    WaitSet own_set;
    prepare(own_set);
    own_set.attach(port, [&] { own_set.wait(0ms); });
    own_set.wait(10s);
  });
  EXPECT_NE(words.find("waited for in one of its callbacks"), std::string::npos) << words;
}

// --- The end

TEST_P(WaitSets, StopEndsTheRunFromACallback) {
  TestPort port(root.path());
  port.ready = true;
  int calls = 0;
  set.attach(port, [&] {
    if (++calls == 3) set.stop();
  });
  set.attach(port, [&] { ++calls; });
  EXPECT_EQ(set.run(), Errc::ok);
  EXPECT_EQ(calls, 3) << "the next one has its turn when it goes on";
  EXPECT_EQ(set.wait(10s), 2U) << "the stop is used up";
}

TEST_P(WaitSets, StopEndsTheRunFromAnotherThread) {
  Subscriber<int> subscriber(*node, "numbers");
  set.attach(subscriber, do_nothing);
  for (int i = 0; i < 300; ++i) {
    std::thread other([&] { set.stop(); });  // before, while or after it falls asleep
    EXPECT_EQ(set.run(), Errc::ok);
    other.join();
  }
}

TEST_P(WaitSets, StopEndsAWait) {
  TestPort port(root.path());
  set.attach(port, do_nothing);
  set.stop();
  EXPECT_EQ(set.wait(10s), 0U);
  std::thread other([&] { set.stop(); });
  EXPECT_EQ(set.wait(10s), 0U);
  other.join();
  port.ready = true;
  EXPECT_EQ(set.wait(10s), 1U);
}

TEST_P(WaitSets, StopBeforeTheRunEndsIt) {
  set.stop();
  EXPECT_EQ(set.run(), Errc::ok);
}

TEST_P(WaitSets, ARunWithNothingAttachedWaitsForTheStop) {
  WaitSet empty;
  std::thread other([&] { empty.stop(); });
  EXPECT_EQ(empty.run(), Errc::ok);
  other.join();
}

// Each of these happens after the last look before the sleep, where it would be lost if the sleep
// did not compare with what was before the look.
TEST_P(WaitSets, NothingIsLostBetweenTheLastLookAndTheSleep) {
  TestPort port(root.path());
  int looks = 0;
  std::function<void()> event;
  port.while_looked_at = [&] {
    if (++looks == 2) event();  // the first is before arming
  };
  set.attach(port, [&] {
    EXPECT_TRUE(port.take());
    set.stop();
  });
  const std::vector<std::pair<const char*, std::function<void()>>> events{
      {"something comes", [&] { port.make_ready(); }},
      {"stop", [&] { set.stop(); }},
      {"SIGINT", [] { ::raise(SIGINT); }},
      {"SIGTERM", [] { ::raise(SIGTERM); }},
  };
  for (const auto& [name, what] : events) {
    SCOPED_TRACE(name);
    bool is_noticed_at_once = false;
    for (int i = 0; i < 10 && !is_noticed_at_once; ++i) {  // the machine may be busy
      Clock::time_point when;
      looks = 0;
      event = [&, event_itself = what] {
        when = Clock::now();
        event_itself();
      };
      EXPECT_EQ(set.run(), Errc::ok);
      EXPECT_GE(looks, 2);
      is_noticed_at_once = Clock::now() - when < kLongestSleep / 4;
      // Far from the end of a slice, which would end the sleep anyway.
      while (set.wait(0ms) == 0 && port.looks_for_peers == 0) continue;
      port.looks_for_peers = 0;
    }
    EXPECT_TRUE(is_noticed_at_once) << "only at the end of a slice";
  }
}

volatile sig_atomic_t signals_seen = 0;
WaitSet* to_be_stopped = nullptr;

TEST_P(WaitSets, ASignalEndsTheRunAndThenTheHandlersAreBack) {
  Subscriber<int> subscriber(*node, "numbers");
  set.attach(subscriber, do_nothing);
  for (const int number : {SIGINT, SIGTERM}) {
    SCOPED_TRACE(number);
    struct sigaction own {};
    own.sa_handler = [](int) { signals_seen = signals_seen + 1; };
    own.sa_flags = SA_NODEFER;
    struct sigaction before {};
    ASSERT_EQ(::sigaction(number, &own, &before), 0);
    signals_seen = 0;
    set.attach_interval(1ms, [number] { ::kill(::getpid(), number); });
    EXPECT_EQ(set.run(), Errc::ok);
    EXPECT_EQ(signals_seen, 0) << "the program's handler has nothing to do with it";
    struct sigaction after {};
    ASSERT_EQ(::sigaction(number, &before, &after), 0);
    EXPECT_EQ(after.sa_handler, own.sa_handler);
    EXPECT_EQ(after.sa_flags & SA_NODEFER, SA_NODEFER);
    WaitSet fresh;
    std::swap(set, fresh);
    prepare(set);
    set.attach(subscriber, do_nothing);
  }
}

TEST_P(WaitSets, ASignalEndsTheRunEvenWhereItWasIgnored) {
  const auto before = ::signal(SIGINT, SIG_IGN);
  set.attach_interval(1ms, [] { ::kill(::getpid(), SIGINT); });
  EXPECT_EQ(set.run(), Errc::ok);
  EXPECT_EQ(::signal(SIGINT, before), SIG_IGN);
}

TEST_P(WaitSets, ASignalEndsEveryRunOfTheProcess) {
  const auto before = ::signal(SIGTERM, SIG_IGN);  // whoever is late must not end the process
  std::array<std::thread, 3> threads;
  std::atomic<std::size_t> running{0};
  std::atomic<std::size_t> ended{0};
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      const Node own("thread");
      Subscriber<int> subscriber(own, "numbers");
      WaitSet one;
      prepare(one);
      one.attach(subscriber, do_nothing);
      const auto begun = one.attach_interval(1ns, [&] { ++running; });
      one.wait(10s);  // so that the count is right
      one.detach(begun);
      EXPECT_EQ(one.run(), Errc::ok);
      ++ended;
    });
  }
  while (running < threads.size()) std::this_thread::yield();
  while (ended < threads.size()) {
    ::kill(::getpid(), SIGTERM);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(::signal(SIGTERM, before), SIG_IGN);
}

TEST_P(WaitSets, StopMayBeCalledInASignalHandler) {
  Subscriber<int> subscriber(*node, "numbers");
  set.attach(subscriber, do_nothing);
  to_be_stopped = &set;
  const auto before = ::signal(SIGUSR1, [](int) { to_be_stopped->stop(); });
  const pthread_t self = ::pthread_self();
  for (int i = 0; i < 100; ++i) {
    std::thread other([&] { ::pthread_kill(self, SIGUSR1); });
    EXPECT_EQ(set.run(), Errc::ok);
    other.join();
  }
  ::signal(SIGUSR1, before);
}

TEST_P(WaitSets, SignalsDuringAWaitAreTheProgramsOwnMatter) {
  TestPort port(root.path());
  set.attach(port, do_nothing);
  const auto before = ::signal(SIGINT, [](int) { signals_seen = 1; });
  signals_seen = 0;
  set.attach_interval(1ms, [] { ::raise(SIGINT); });
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_EQ(signals_seen, 1);
  ::signal(SIGINT, before);
}

// A Ctrl-C from the terminal, again and again, at any moment of the run.
TEST_P(WaitSets, NoSignalFromOutsideIsLost) {
  ChildProcess child([&](const ChildProcess::Line& line) {
    ::signal(SIGINT, SIG_IGN);
    const Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    WaitSet sleeper;
    prepare(sleeper);
    sleeper.attach(subscriber, do_nothing);
    sleeper.attach_interval(1h, do_nothing);
    for (int i = 0; i < 300; ++i) {
      WaitSet::Attachment once;
      once = sleeper.attach_interval(1ns, [&] {
        sleeper.detach(once);
        line.say();
      });
      if (sleeper.run() != Errc::ok) return 1;
    }
    return 0;
  });
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(child.hear());
    ::kill(child.pid(), SIGINT);
  }
  EXPECT_EQ(child.wait(), 0);
}

// --- Sleeping

/// How often `process` went to sleep of its own accord.
std::uint64_t sleeps_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  const std::string key = "voluntary_ctxt_switches:";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()));
  }
  return 0;
}

TEST_P(WaitSets, AnIdleOneSleeps) {
  ChildProcess child([&](const ChildProcess::Line& line) {
    const Node own("child");
    Subscriber<int> one(own, "one");
    Subscriber<int> other(own, "other");
    WaitSet sleeper;
    prepare(sleeper);
    sleeper.attach(one, do_nothing);
    sleeper.attach(other, do_nothing);
    sleeper.attach_deadline(other, 1h, do_nothing);
    sleeper.attach_interval(1h, do_nothing);
    line.say();
    return sleeper.run() == Errc::ok ? 0 : 1;
  });
  ASSERT_TRUE(child.hear());
  while (sleeps_of(child.pid()) == 0) std::this_thread::yield();
  const auto begin = Clock::now();
  const std::uint64_t before = sleeps_of(child.pid());
  std::this_thread::sleep_for(500ms);
  const std::uint64_t sleeps = sleeps_of(child.pid()) - before;
  const auto slices = static_cast<std::uint64_t>((Clock::now() - begin) / kLongestSleep);
  EXPECT_GE(sleeps, 1U);
  EXPECT_LE(sleeps, 3 * slices + 3);
  ::kill(child.pid(), SIGTERM);
  EXPECT_EQ(child.wait(), 0);
}

TEST_P(WaitSets, OneThatWasWokenSleepsAgain) {
  TestPort port(root.path());
  set.attach(port, [&] { EXPECT_TRUE(port.take()); });
  EXPECT_EQ(set.wait(1ms), 0U);
  port.make_ready();
  EXPECT_EQ(set.wait(10s), 1U);
  port.looks_for_samples = 0;
  EXPECT_EQ(set.wait(150ms), 0U);
  EXPECT_LT(port.looks_for_samples, 200);
}

TEST_P(WaitSets, TheDeadAreLookedForAboutEvery100MsHoweverBusyItIs) {
  TestPort idle(root.path());
  TestPort busy(root.path());
  busy.ready = true;
  set.attach(idle, do_nothing);
  set.attach(busy, do_nothing);
  const auto begin = Clock::now();
  int rounds = 0;
  for (; Clock::now() - begin < 350ms; ++rounds) EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_GT(rounds, 100);
  EXPECT_GE(idle.looks_for_peers, 2);
  EXPECT_LE(idle.looks_for_peers, (Clock::now() - begin) / kLongestSleep + 1);
}

TEST_P(WaitSets, APublisherKilledWithoutAWordIsNoticed) {
  Subscriber<int> subscriber(*node, "numbers");
  set.attach(subscriber, do_nothing);
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    const Publisher<int> publisher(own, "numbers");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  set.wait(0ms);
  const auto alive = root.files();
  child.kill();
  while (root.files().size() >= alive.size()) set.wait(10ms);
  EXPECT_EQ(subscriber.publishers(), 0U);
}

// When nobody sleeps, whoever publishes makes no system call; whatever slept here before.
TEST_P(WaitSets, OneThatIsGoneCostsThePublisherNothing) {
  if (kSanitized) GTEST_SKIP() << "sanitizers make system calls of their own";
  ChildProcess child([&](const ChildProcess::Line&) -> int {
    const Node own("child");
    Publisher<int> publisher(own, "numbers");
    Subscriber<int> subscriber(own, "numbers");
    {
      WaitSet sleeper;
      prepare(sleeper);
      sleeper.attach(subscriber, do_nothing);
      if (sleeper.wait(1ms) != 0) leave(1);
    }
    if (!publisher.publish(0)) leave(2);  // one needless wake-up
    forbid_system_calls();
    for (int i = 1; i < 1000; ++i) {
      if (!publisher.publish(i) || !subscriber.latest()) leave(3);
    }
    leave(0);
  });
  EXPECT_EQ(child.wait(), 0);
  node->reap();  // it went without farewell
}

// So does one that is awake, busy with what came before.
TEST_P(WaitSets, OneThatIsAwakeCostsThePublisherNothing) {
  if (kSanitized) GTEST_SKIP() << "sanitizers make system calls of their own";
  ChildProcess child([&](const ChildProcess::Line&) -> int {
    const Node own("child");
    Publisher<int> publisher(own, "numbers");
    Subscriber<int> subscriber(own, "numbers");
    WaitSet sleeper;
    prepare(sleeper);
    sleeper.attach(subscriber, [&] {
      if (!subscriber.receive()) leave(1);
      forbid_system_calls();
      for (int i = 1; i < 1000; ++i) {
        if (!publisher.publish(i) || !subscriber.latest()) leave(2);
      }
      leave(0);
    });
    if (sleeper.wait(1ms) != 0) leave(3);
    if (!publisher.publish(0)) leave(4);
    sleeper.wait(10s);
    leave(5);
  });
  EXPECT_EQ(child.wait(), 0);
  node->reap();
}

TEST_P(WaitSets, OneWakesWhateverElseSleepsOnTheService) {
  Publisher<int> publisher(*node, "numbers");
  std::vector<std::unique_ptr<ChildProcess>> children;
  for (int i = 0; i < 6; ++i) {
    children.push_back(std::make_unique<ChildProcess>([&, i](const ChildProcess::Line& line) {
      const Node own("child");
      Subscriber<int> subscriber(own, "numbers");
      WaitSet sleeper;
      const Pipe pipe;
      if (i % 3 == 1) sleeper.attach_fd(pipe.ends[0], do_nothing);
      sleeper.attach(subscriber, do_nothing);
      line.say();
      for (int received = 0; received < 100; ++received) {
        if (i % 3 == 2) {
          if (!subscriber.wait(10s)) return 1;
        } else {
          if (sleeper.wait(10s) != 1 || !subscriber.receive()) return 2;
        }
        line.say();
      }
      return 0;
    }));
    ASSERT_TRUE(children.back()->hear());
  }
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(publisher.publish(i));
    for (const auto& child : children) ASSERT_TRUE(child->hear());
  }
  for (const auto& child : children) EXPECT_EQ(child->wait(), 0);
}

TEST_P(WaitSets, AForkedChildIsToldThatTheSetIsItsParents) {
  Publisher<int> publisher(*node, "numbers");
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  set.attach(*subscriber, do_nothing);
  const auto files = root.files();
  ChildProcess child([&](const ChildProcess::Line&) {
    const Pipe pipe;
    if (set.wait(10s) != 0 || set.last_failure().code != Errc::forked) return 1;
    if (set.run() != Errc::forked) return 2;
    if (set.attach(*subscriber, do_nothing).error() != Errc::forked) return 3;
    if (set.attach_fd(pipe.ends[0], do_nothing).error() != Errc::forked) return 4;
    if (set.attach_interval(1ms, do_nothing).error() != Errc::forked) return 5;
    if (set.last_failure().message.find("child's own") == std::string::npos) return 6;
    const Node node_of_child("child");
    Subscriber<int> subscriber_of_child(node_of_child, "numbers");
    WaitSet own;
    prepare(own);
    own.attach(subscriber_of_child, do_nothing);
    subscriber.reset();
    set = WaitSet();
    Publisher<int> publisher_of_child(node_of_child, "numbers");
    if (!publisher_of_child.publish(1)) return 7;
    return own.wait(10s) == 1 ? 0 : 8;
  });
  EXPECT_EQ(child.wait(), 0);
  while (subscriber->receive()) continue;  // what the child published: until then its file stays
  EXPECT_EQ(root.files(), files);
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(set.wait(10s), 1U);
}

// In a callback, without exec: it must be possible to end it.
TEST_P(WaitSets, AChildForkedInACallbackHasItsSignalsBack) {
  if (kThreadSanitizer) GTEST_SKIP() << "the thread sanitizer puts signals off";
  const auto before = ::signal(SIGTERM, SIG_DFL);
  set.attach_interval(1ms, [&] {
    ChildProcess child([](const ChildProcess::Line& line) {
      line.say();
      line.hear();
      return 0;
    });
    EXPECT_TRUE(child.hear());
    ::kill(child.pid(), SIGTERM);
    EXPECT_EQ(child.wait(), 128 + SIGTERM);
    set.stop();
  });
  EXPECT_EQ(set.run(), Errc::ok);
  ::signal(SIGTERM, before);
}

// --- Many

TEST(WaitSet, HasRoomForMoreThanAFutexCanWaitFor) {
  constexpr std::size_t kCount = 200;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  // Ports of both kinds, the connections of the subscribers, the pipes.
  if (limit.rlim_cur < 12 * kCount) GTEST_SKIP() << "needs more descriptors";
  TemporaryRoot root;
  {
    const Node node("test");
    std::vector<std::unique_ptr<Publisher<std::size_t>>> publishers;
    std::vector<std::unique_ptr<Subscriber<std::size_t>>> subscribers;
    WaitSet set;
    std::atomic<std::size_t> received{0};
    const auto wake_pipes = [&] {
      std::size_t count = 0;
      for (const auto& file : root.files()) count += file.find("/waiter.") != std::string::npos;
      return count;
    };
    for (std::size_t i = 0; i < kCount; ++i) {
      const std::string name = "service" + std::to_string(i);
      publishers.push_back(std::make_unique<Publisher<std::size_t>>(node, name));
      subscribers.push_back(std::make_unique<Subscriber<std::size_t>>(node, name));
      ASSERT_TRUE(set.attach(*subscribers.back(), [&received, i, &port = *subscribers.back()] {
        while (auto sample = port.receive()) {
          EXPECT_EQ(*sample, i);
          ++received;
        }
      })) << set.last_failure().message;
      const bool is_enough_for_futexes = i + 1 <= 127;
      EXPECT_EQ(wake_pipes(), is_enough_for_futexes ? 0 : i + 1);
    }
    // Asleep, each of them wakes it; or the next one is there before it sleeps again.
    std::atomic<bool> waits{true};
    std::thread sleeper([&] {
      while (received < kCount && set.wait(10s) > 0) continue;
      waits = false;
    });
    for (std::size_t i = 0; i < kCount; ++i) {
      ASSERT_TRUE(publishers[i]->publish(i));
      while (received <= i && waits) std::this_thread::yield();
    }
    sleeper.join();
    ASSERT_EQ(received, kCount);
    // All at once.
    received = 0;
    for (std::size_t i = 0; i < kCount; ++i) ASSERT_TRUE(publishers[i]->publish(i));
    EXPECT_EQ(set.wait(10s), kCount);
    EXPECT_EQ(received, kCount);
    // Fewer again.
    subscribers.resize(127);
    EXPECT_EQ(wake_pipes(), 0U);
    ASSERT_TRUE(publishers[126]->publish(126U));
    EXPECT_EQ(set.wait(10s), 1U);
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

// --- Without futex_waitv: Linux before 5.16, and sandboxes

struct RefusedFutexWaitv : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(With, RefusedFutexWaitv, testing::Values(ENOSYS, EPERM),
                         [](const auto& chosen) {
                           return chosen.param == ENOSYS ? "Enosys" : "Eperm";
                         });

TEST_P(RefusedFutexWaitv, MakesASetSleepOnPipes) {
  constexpr int kRounds = 200;
  TemporaryRoot root;
  {
    const Node node("test");
    Publisher<int> publisher(node, "numbers");
    ChildProcess child([&](const ChildProcess::Line& line) {
      if (!refuse_system_call(kFutexWaitv, static_cast<unsigned>(GetParam()))) return 77;
      const Node own("child");
      Subscriber<int> subscriber(own, "numbers");
      WaitSet set;
      int next = 0;
      set.attach(subscriber, [&] {
        while (auto sample = subscriber.receive()) {
          if (*sample != next++) ::_exit(1);
        }
        line.say();
      });
      if (set.wait(1ms) != 0 || set.last_failure().code != Errc::ok) return 2;
      line.say();
      for (int i = 0; i < kRounds; ++i) {
        if (set.wait(10s) != 1) return 3;
      }
      set.attach_interval(1ms, [] { ::raise(SIGINT); });
      return set.run() == Errc::ok ? 0 : 4;
    });
    if (!child.hear()) {
      ASSERT_EQ(child.wait(), 77);
      GTEST_SKIP() << "needs seccomp";
    }
    std::size_t pipes = 0;
    for (const auto& file : root.files()) pipes += file.find("/waiter.") != std::string::npos;
    EXPECT_EQ(pipes, 1U);
    for (int i = 0; i < kRounds; ++i) {
      ASSERT_TRUE(publisher.publish(i));
      ASSERT_TRUE(child.hear());
    }
    EXPECT_EQ(child.wait(), 0);
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST_P(RefusedFutexWaitv, IsToldWhereThereCanBeNoPipesEither) {
  if (kAddressSanitizer) GTEST_SKIP() << "the sanitizers need descriptors, too";
  TemporaryRoot root;
  {
    const Node node("test");
    ChildProcess child([&](const ChildProcess::Line&) {
      const Node own("child");
      Subscriber<int> subscriber(own, "numbers");
      WaitSet set;
      if (!set.attach(subscriber, do_nothing)) return 1;
      if (!refuse_system_call(kFutexWaitv, static_cast<unsigned>(GetParam()))) return 77;
      const rlimit none{.rlim_cur = 0, .rlim_max = 0};
      if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 77;
      if (set.run() != Errc::system) return 2;
      if (set.wait(10s) != 0 || set.last_failure().code != Errc::system) return 3;
      return set.last_failure().message.find("ulimit -n") != std::string::npos ? 0 : 4;
    });
    const int status = child.wait();
    if (status == 77) GTEST_SKIP() << "needs seccomp";
    EXPECT_EQ(status, 0);
    node.reap();
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(WaitSet, AnAttachmentThatFailsLeavesTheSetAsItWas) {
  if (kAddressSanitizer) GTEST_SKIP() << "the sanitizers need descriptors, too";
  TemporaryRoot root;
  {
    const Node node("test");
    ChildProcess child([&](const ChildProcess::Line&) {
      const Node own("child");
      Publisher<int> publisher(own, "numbers");
      Subscriber<int> subscriber(own, "numbers");
      WaitSet set;
      set.attach(subscriber, [&] { (void)subscriber.receive(); });
      const Pipe pipe;
      rlimit limit{};
      ::getrlimit(RLIMIT_NOFILE, &limit);
      const rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
      if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 77;
      const auto refused = set.attach_fd(pipe.ends[0], do_nothing);
      if (refused || refused.error() != Errc::system || set.size() != 1) return 1;
      if (set.wait(1ms) != 0 || set.last_failure().code != Errc::ok) return 2;
      if (!publisher.publish(1) || set.wait(10s) != 1) return 3;
      ::setrlimit(RLIMIT_NOFILE, &limit);
      if (!set.attach_fd(pipe.ends[0], do_nothing)) return 4;
      pipe.put();
      return set.wait(10s) == 1 ? 0 : 5;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

}  // namespace
}  // namespace sluice
