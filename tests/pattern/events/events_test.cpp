// SPDX-License-Identifier: Apache-2.0
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <sluice/service/reaping.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/sanitizers.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Values = std::vector<int>;

static_assert(std::forward_iterator<EventSet::Iterator>);

Values values_of(const EventSet& events) {
  Values values;
  for (const EventId id : events) values.push_back(id.value);
  return values;
}

struct Events : testing::Test {
  ~Events() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

/// A notifier in a process of its own that says so when it is there, and ends when it is told.
ChildProcess notifier_elsewhere(const NotifierOptions& options) {
  ChildProcess child([&](const ChildProcess::Line& line) {
    Node own("child");
    const Notifier notifier(own, "door", options);
    line.say();
    line.hear();
    return 0;
  });
  EXPECT_TRUE(child.hear());
  return child;
}

TEST_F(Events, AnEventArrives) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  EXPECT_EQ(notifier.notify(EventId{3}), 1U);
  EXPECT_EQ(values_of(listener.receive()), Values{3});
  EXPECT_EQ(notifier.last_failure().code, Errc::ok);
  EXPECT_EQ(listener.last_failure().code, Errc::ok);
}

TEST_F(Events, NothingThereIsAnEmptySet) {
  Listener listener(*node, "door");
  const EventSet none = listener.receive();
  EXPECT_FALSE(none);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0U);
  EXPECT_EQ(none.begin(), none.end());
  EXPECT_EQ(none, EventSet());
}

TEST_F(Events, ASetIsIteratedInAscendingOrder) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  for (const int value : {255, 64, 0, 63, 128, 7, 127, 192}) {
    notifier.notify(EventId{static_cast<std::uint8_t>(value)});
  }
  const EventSet events = listener.receive();
  EXPECT_EQ(values_of(events), (Values{0, 7, 63, 64, 127, 128, 192, 255}));
  EXPECT_EQ(events.size(), 8U);
  EXPECT_TRUE(events);
  EXPECT_TRUE(events.contains(EventId{64}));
  EXPECT_FALSE(events.contains(EventId{65}));
  auto it = events.begin();
  EXPECT_EQ(*it++, EventId{0});
  EXPECT_EQ(*it, EventId{7});
}

TEST_F(Events, Each256IsAnEventOfItsOwn) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  Values all;
  for (int value = 0; value < 256; ++value) {
    const EventId id{static_cast<std::uint8_t>(value)};
    notifier.notify(id);
    EXPECT_EQ(values_of(listener.receive()), Values{value});
    all.push_back(value);
  }
  for (const int value : all) notifier.notify(EventId{static_cast<std::uint8_t>(value)});
  const EventSet events = listener.receive();
  EXPECT_EQ(values_of(events), all);
  EXPECT_EQ(events.size(), 256U);
}

TEST_F(Events, WhatComesAgainBeforeItIsTakenIsOneEvent) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  for (int i = 0; i < 1000; ++i) notifier.notify(EventId{9});
  EXPECT_EQ(values_of(listener.receive()), Values{9});
  EXPECT_FALSE(listener.receive());
  notifier.notify(EventId{9});
  EXPECT_EQ(values_of(listener.receive()), Values{9}) << "it was taken before";
}

TEST_F(Events, WaitingEndsWithItsTime) {
  Listener listener(*node, "door");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(listener.wait(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_FALSE(listener.wait(0ms));
  EXPECT_FALSE(listener.wait(-1ms));
  Notifier notifier(*node, "door");
  notifier.notify(EventId{1});
  EXPECT_TRUE(listener.wait(0ms)) << "there was one";
}

TEST_F(Events, WaitingGoesOnForLongerThanOneSleep) {
  Listener listener(*node, "door");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(listener.wait(250ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 250ms);
}

TEST_F(Events, ASleeperIsWokenAndNoEventIsMissing) {
  constexpr int kRounds = 3000;
  Notifier notifier(*node, "door");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Listener listener(own, "door");
    line.say();
    for (int i = 0; i < kRounds; ++i) {
      if (values_of(listener.wait(10s)) != Values{i % 256}) return 1;
      line.say();
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < kRounds; ++i) {
    EXPECT_EQ(notifier.notify(EventId{static_cast<std::uint8_t>(i)}), 1U);
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Events, AListenerThatComesLaterMissesWhatWasBefore) {
  Notifier notifier(*node, "door");
  EXPECT_EQ(notifier.notify(EventId{1}), 0U) << "nobody is there";
  Listener listener(*node, "door");
  EXPECT_FALSE(listener.receive());
  EXPECT_EQ(notifier.notify(EventId{2}), 1U);
  EXPECT_EQ(values_of(listener.receive()), Values{2});
}

TEST_F(Events, EveryListenerGetsEveryEvent) {
  Notifier notifier(*node, "door");
  std::vector<std::unique_ptr<Listener>> listeners;
  for (std::uint8_t joined = 1; joined <= 70; ++joined) {
    listeners.push_back(std::make_unique<Listener>(*node, "door"));
    EXPECT_EQ(notifier.notify(EventId{joined}), joined);
    for (auto& listener : listeners) {
      ASSERT_EQ(values_of(listener->receive()), Values{joined});
    }
  }
  listeners.resize(3);
  EXPECT_EQ(notifier.notify(EventId{0}), 3U);
  EXPECT_EQ(notifier.listeners(), 3U);
  for (auto& listener : listeners) EXPECT_EQ(values_of(listener->receive()), Values{0});
}

TEST_F(Events, EventsOfSeveralNotifiersMeet) {
  Listener listener(*node, "door");
  std::vector<std::unique_ptr<Notifier>> notifiers;
  for (std::uint8_t value = 10; value < 20; ++value) {
    notifiers.push_back(std::make_unique<Notifier>(*node, "door"));
    notifiers.back()->notify(EventId{value});
    notifiers.back()->notify(EventId{99});
  }
  EXPECT_EQ(values_of(listener.receive()), (Values{10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 99}));
  EXPECT_EQ(listener.notifiers(), 10U);
  notifiers.clear();
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_FALSE(listener.receive());
}

TEST_F(Events, ServicesAreKeptApart) {
  Notifier door(*node, "door");
  Listener window(*node, "window");
  Subscriber<int> same_name(*node, "door");  // another pattern
  EXPECT_EQ(door.notify(EventId{1}), 0U);
  EXPECT_FALSE(window.receive());
}

TEST_F(Events, AListenerThatDiedIsForgotten) {
  Notifier notifier(*node, "door");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    const Listener listener(own, "door");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_EQ(notifier.notify(EventId{1}), 1U);
  child.kill();
  notifier.notify(EventId{2});  // harmless
  EXPECT_EQ(notifier.listeners(), 0U);
  EXPECT_EQ(notifier.notify(EventId{3}), 0U);
  Listener successor(*node, "door");
  EXPECT_FALSE(successor.receive()) << "a mailbox of its own";
  EXPECT_EQ(notifier.notify(EventId{4}), 1U);
  EXPECT_EQ(values_of(successor.receive()), Values{4});
}

TEST_F(Events, JoiningAndLeavingAreToldToThoseWhoAreThere) {
  Listener listener(*node, "door");
  {
    const Notifier notifier(*node, "door", {.on_join = EventId{1}, .on_leave = EventId{2}});
    EXPECT_EQ(values_of(listener.receive()), Values{1});
    Listener late(*node, "door");
    EXPECT_FALSE(late.receive());
  }
  EXPECT_EQ(values_of(listener.receive()), Values{2});
  { const Notifier silent(*node, "door"); }
  EXPECT_FALSE(listener.receive());
}

TEST_F(Events, EventZeroIsAnAutomaticEventAsWell) {
  Listener listener(*node, "door");
  { const Notifier notifier(*node, "door", {.on_join = EventId{0}, .on_leave = EventId{255}}); }
  EXPECT_EQ(values_of(listener.receive()), (Values{0, 255}));
}

TEST_F(Events, ANotifiersDeathIsToldToWhoSleeps) {
  Listener listener(*node, "door");
  auto child =
      notifier_elsewhere({.on_join = EventId{1}, .on_leave = EventId{2}, .on_death = EventId{3}});
  EXPECT_EQ(values_of(listener.wait(10s)), Values{1});
  EXPECT_EQ(listener.notifiers(), 1U);
  child.kill();
  EXPECT_EQ(values_of(listener.wait(10s)), Values{3});
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_FALSE(listener.wait(150ms)) << "it dies once";
}

TEST_F(Events, EveryListenerIsToldOfADeathOnce) {
  std::vector<std::unique_ptr<Listener>> listeners;
  for (int i = 0; i < 5; ++i) listeners.push_back(std::make_unique<Listener>(*node, "door"));
  auto child = notifier_elsewhere({.on_death = EventId{3}});
  child.kill();
  EXPECT_EQ(listeners.front()->notifiers(), 0U) << "whoever looks first tells the others";
  for (auto& listener : listeners) EXPECT_EQ(values_of(listener->receive()), Values{3});
  for (auto& listener : listeners) EXPECT_FALSE(listener->wait(0ms));
}

TEST_F(Events, LeavingInOrderIsNoDeath) {
  Listener listener(*node, "door");
  auto child = notifier_elsewhere({.on_leave = EventId{2}, .on_death = EventId{3}});
  child.say();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(values_of(listener.wait(10s)), Values{2});
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_FALSE(listener.receive());
}

TEST_F(Events, ADeathThatNobodyAskedForIsNotTold) {
  Listener listener(*node, "door");
  auto child = notifier_elsewhere({.on_join = EventId{1}, .on_leave = EventId{2}});
  child.kill();
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_EQ(values_of(listener.receive()), Values{1});
}

TEST_F(Events, ABusyListenerHearsOfADeathToo) {
  Listener listener(*node, "door");
  Notifier busy(*node, "door");
  auto child = notifier_elsewhere({.on_death = EventId{3}});
  EXPECT_FALSE(listener.receive()) << "it has looked who came, and has no reason to look again";
  child.kill();
  const auto end = std::chrono::steady_clock::now() + 10s;
  bool told = false;
  while (!told && std::chrono::steady_clock::now() < end) {
    busy.notify(EventId{1});
    told = listener.wait(10s).contains(EventId{3});
  }
  EXPECT_TRUE(told);
}

TEST_F(Events, WhoeverReapsTellsOfTheDeath) {
  Listener listener(*node, "door");
  auto child = notifier_elsewhere({.on_death = EventId{3}});
  EXPECT_FALSE(listener.receive());
  child.kill();
  EXPECT_FALSE(listener.receive()) << "it does not look";
  EXPECT_GE(node->reap(), 2U) << "node and notifier";
  EXPECT_EQ(values_of(listener.receive()), Values{3});
}

TEST_F(Events, ADeathIsNoticedWhenSomebodyComes) {
  Listener listener(*node, "door");
  auto child = notifier_elsewhere({.on_death = EventId{3}});
  EXPECT_FALSE(listener.receive());
  child.kill();
  const Notifier successor(*node, "door");
  EXPECT_EQ(values_of(listener.receive()), Values{3});
}

TEST_F(Events, AListenerIsWaitedForTogetherWithOthers) {
  const auto created = ListenerPort::create(*node, "door", {});
  ASSERT_TRUE(created);
  ListenerPort& port = **created;
  Waitable& waitable = port;
  struct Watcher final : Waitable::Watcher {
    void on_closed() noexcept override { is_closed = true; }
    bool is_closed = false;
  } watcher;
  waitable.add_watcher(watcher);
  auto child = notifier_elsewhere({.on_join = EventId{1}, .on_death = EventId{3}});
  EXPECT_TRUE(waitable.is_ready());
  EXPECT_EQ(values_of(port.receive()), Values{1});
  EXPECT_FALSE(waitable.is_ready());

  auto pipe = WakePipe::create(waitable.pipes(), waitable.pipe_mode());
  ASSERT_TRUE(pipe);
  Notifier notifier(*node, "door");
  notifier.notify(EventId{2});
  EXPECT_FALSE(pipe->drain()) << "not armed";
  waitable.doorbell().arm(Doorbell::kPipes);
  EXPECT_TRUE(waitable.is_ready()) << "it came before";
  notifier.notify(EventId{2});
  EXPECT_TRUE(pipe->drain());
  EXPECT_EQ(values_of(port.receive()), Values{2});

  child.kill();
  waitable.doorbell().arm(Doorbell::kPipes);
  EXPECT_FALSE(waitable.is_ready());
  waitable.look();
  EXPECT_TRUE(waitable.is_ready());
  EXPECT_TRUE(pipe->drain()) << "rung by itself";
  EXPECT_EQ(values_of(port.receive()), Values{3});
  *pipe = WakePipe();
  EXPECT_FALSE(watcher.is_closed);
  port.close();
  EXPECT_TRUE(watcher.is_closed);
}

TEST_F(Events, PortsCanBeMoved) {
  Notifier first(*node, "door");
  Listener a(*node, "door");
  Listener b(*node, "window");
  Notifier second(std::move(first));
  EXPECT_EQ(second.notify(EventId{1}), 1U);
  b = std::move(a);
  EXPECT_EQ(values_of(b.receive()), Values{1});
}

TEST_F(Events, APortThatWasMovedFromDoesNothingAndSaysSo) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  const Notifier second(std::move(notifier));
  const Listener other(std::move(listener));
  // NOLINTBEGIN(bugprone-use-after-move)
  EXPECT_EQ(notifier.notify(EventId{1}), 0U);
  EXPECT_EQ(notifier.listeners(), 0U);
  EXPECT_EQ(notifier.last_failure().code, Errc::closed);
  EXPECT_FALSE(listener.receive());
  EXPECT_FALSE(listener.wait(10s));
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_EQ(listener.last_failure().code, Errc::closed);
  // NOLINTEND(bugprone-use-after-move)
}

TEST_F(Events, APortThatIsDestroyedLeavesNoFile) {
  const Subscriber<int> other(*node, "numbers");
  const auto before = root.files();
  std::optional<Notifier> notifier(std::in_place, *node, "door");
  const auto with_notifier = root.files();
  { const Listener listener(*node, "door"); }
  EXPECT_EQ(root.files(), with_notifier);
  notifier.reset();
  EXPECT_EQ(root.files(), before);
}

TEST_F(Events, AForkedChildIsRefusedAndItsParentUnharmed) {
  Listener listener(*node, "door");
  Notifier notifier(*node, "door", {.on_leave = EventId{2}, .on_death = EventId{3}});
  ChildProcess child([&](const ChildProcess::Line&) {
    if (notifier.notify(EventId{1}) != 0) return 1;
    if (notifier.last_failure().code != Errc::forked) return 2;
    if (listener.receive() || listener.wait(10s)) return 3;
    if (listener.last_failure().code != Errc::forked) return 4;
    if (notifier.listeners() != 0 || listener.notifiers() != 0) return 5;
    if (Notifier::create(*node, "door").error() != Errc::forked) return 6;
    if (Listener::create(*node, "door").error() != Errc::forked) return 7;
    {
      const Notifier gone(std::move(notifier));
      const Listener gone_too(std::move(listener));
      node.reset();
    }
    Node own("child");
    Notifier fresh(own, "door");
    return fresh.notify(EventId{4}) == 1 ? 0 : 8;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(values_of(listener.receive()), Values{4});
  EXPECT_EQ(listener.notifiers(), 1U);
  EXPECT_EQ(notifier.notify(EventId{5}), 1U);
  EXPECT_EQ(values_of(listener.receive()), Values{5});
}

/// What notifiers hand over besides the events.
struct HandOver {
  std::array<std::atomic<std::uint64_t>, 8> sent{};  // by event
  std::array<std::atomic<std::uint64_t>, 8> seen{};
};

/// Sends its four events in turn; after every other time it waits until the last ones were seen.
int hand_over(const SharedPage<HandOver>& page, std::uint8_t first, std::uint64_t rounds,
              const ChildProcess::Line& line) {
  Node own("child");
  Notifier notifier(own, "door");
  line.say();
  line.hear();
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    for (std::uint8_t id = first; id < first + 4; ++id) {
      page->sent[id].store(round, std::memory_order_relaxed);
      if (notifier.notify(EventId{id}) != 1) return 1;
    }
    for (std::uint8_t id = first; round % 2 == 0 && id < first + 4; ++id) {
      while (page->seen[id].load(std::memory_order_relaxed) != round) ::sched_yield();
    }
  }
  return 0;
}

// Whoever misses an event waits for ever, and so does the other side.
TEST_F(Events, UnderStressNoneIsLost) {
  constexpr std::uint64_t kRounds = 10'000;
  const SharedPage<HandOver> page;
  Listener listener(*node, "door");
  std::vector<std::unique_ptr<ChildProcess>> children;
  for (const std::uint8_t first : {std::uint8_t{0}, std::uint8_t{4}}) {
    children.push_back(std::make_unique<ChildProcess>([&, first](const ChildProcess::Line& line) {
      return hand_over(page, first, kRounds, line);
    }));
    ASSERT_TRUE(children.back()->hear());
  }
  for (auto& child : children) child->say();
  std::array<std::uint64_t, 8> seen{};
  std::uint64_t handed_over = 0;  // events after which something new was there
  while (*std::min_element(seen.begin(), seen.end()) < kRounds) {
    const EventSet events = listener.wait(10s);
    ASSERT_TRUE(events) << "an event was lost";
    for (const EventId id : events) {
      ASSERT_LT(id.value, 8);
      const std::uint64_t now = page->sent[id.value].load(std::memory_order_relaxed);
      ASSERT_GE(now, seen[id.value]);
      if (now > seen[id.value]) ++handed_over;
      seen[id.value] = now;
      page->seen[id.value].store(now, std::memory_order_relaxed);
    }
  }
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  EXPECT_GE(handed_over, 8 * kRounds / 2);
  EXPECT_LE(handed_over, 8 * kRounds);
}

TEST_F(Events, ListenersComeAndGoWhileANotifierRuns) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Notifier notifier(own, "door");
    line.say();
    for (;;) notifier.notify(EventId{1});
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int round = 0; round < 200; ++round) {
    Listener listener(*node, "door");
    for (int i = 0; i < 10; ++i) ASSERT_EQ(values_of(listener.wait(10s)), Values{1});
  }
}

TEST_F(Events, NotifiersComeAndGoWhileAListenerRuns) {
  Listener listener(*node, "door");
  for (int round = 0; round < 200; ++round) {
    Notifier notifier(*node, "door", {.on_join = EventId{1}, .on_leave = EventId{2}});
    notifier.notify(EventId{3});
    ASSERT_EQ(values_of(listener.receive()), (round == 0 ? Values{1, 3} : Values{1, 2, 3}));
  }
}

// --- what is refused, and by whom nobody is harmed -----------------------------------------------

struct RefusalOfEvents : Events {
  /// The only file below the root whose path ends in `name`.
  [[nodiscard]] std::string path_of(const std::string& name) const {
    for (const std::string& file : root.files()) {
      if (file.ends_with(name)) return root.path() + "/" + file;
    }
    return {};
  }
};

void overwrite(const std::string& path, std::size_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_F(RefusalOfEvents, NamesThatAreEmptyTooLongOrOdd) {
  for (const std::string& name : {std::string(), std::string(256, 'x'), std::string("a b")}) {
    const auto notifier = Notifier::create(*node, name);
    const auto listener = Listener::create(*node, name);
    ASSERT_FALSE(notifier);
    ASSERT_FALSE(listener);
    EXPECT_EQ(notifier.error(), Errc::invalid_name);
    EXPECT_EQ(listener.error(), Errc::invalid_name);
    EXPECT_NE(notifier.failure().message.find("service name"), std::string::npos);
  }
}

TEST_F(RefusalOfEvents, WhoCouldNotJoinDoesNotLeave) {
  Listener listener(*node, "door");
  // A listener that cannot be looked at, for reasons that are not its own.
  const auto hindrance =
      std::filesystem::path(path_of("listener.0")).replace_filename("listener.7");
  ASSERT_TRUE(std::filesystem::create_directory(hindrance));
  const auto notifier =
      Notifier::create(*node, "door", {.on_join = EventId{1}, .on_leave = EventId{2}});
  EXPECT_EQ(notifier.error(), Errc::system);
  EXPECT_EQ(values_of(listener.receive()), Values());
  std::filesystem::remove(hindrance);
}

#if defined(__cpp_exceptions)
TEST_F(RefusalOfEvents, ConstructorsThrowWhatCreateReturns) {
  EXPECT_THROW(Notifier(*node, ""), Error);
  try {
    const Listener listener(*node, "a b");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::invalid_name);
  }
}
#endif

TEST_F(RefusalOfEvents, AListenersFileThatIsTruncatedOrScribbledOn) {
  for (const bool truncated : {true, false}) {
    Notifier notifier(*node, "door");
    Listener honest(*node, "door");
    ChildProcess liar([](const ChildProcess::Line& line) {
      Node own("liar");
      const Listener listener(own, "door");
      line.say();
      line.hear();
      return 0;
    });
    ASSERT_TRUE(liar.hear());
    const std::string path = path_of("/listener.1");
    if (truncated) {
      std::filesystem::resize_file(path, sizeof(ListenerFile) - 1);
    } else {
      overwrite(path, 0, "garbage");
    }
    EXPECT_EQ(notifier.notify(EventId{1}), 1U) << "it is found to be none when it is opened";
    EXPECT_EQ(values_of(honest.receive()), Values{1});
    liar.kill();
  }
}

TEST_F(RefusalOfEvents, AFileThatIsNoListenersIsRemoved) {
  Notifier notifier(*node, "door");
  const std::string directory = std::filesystem::path(path_of("/board")).parent_path();
  std::ofstream(directory + "/listener.7") << "garbage";
  EXPECT_EQ(notifier.listeners(), 0U);
  EXPECT_EQ(path_of("/listener.7"), "") << "nobody has locked it";
}

TEST_F(RefusalOfEvents, GarbageInAMailboxIsEventsAndHarmsNobody) {
  Notifier notifier(*node, "door");
  Listener listener(*node, "door");
  Listener other(*node, "door");
  const std::string path = path_of("/listener.0");
  std::mt19937 random(7);  // NOLINT: the same on every run
  for (int round = 0; round < 300; ++round) {
    std::string garbage(sizeof(ListenerFile) - sizeof(FileHeader), '\0');
    for (char& byte : garbage) byte = static_cast<char>(random());
    overwrite(path, sizeof(FileHeader), garbage);
    EXPECT_EQ(notifier.notify(EventId{5}), 2U);
    EXPECT_TRUE(listener.wait(0ms).contains(EventId{5}));
    EXPECT_EQ(values_of(other.receive()), Values{5});
    EXPECT_FALSE(listener.receive());
    EXPECT_FALSE(listener.wait(1us));
  }
}

TEST_F(RefusalOfEvents, GarbageInANotifiersFileHarmsNobody) {
  std::mt19937 random(7);  // NOLINT: the same on every run
  Listener listener(*node, "door");
  for (int round = 0; round < 20; ++round) {
    auto liar = notifier_elsewhere({});
    std::string garbage(sizeof(NotifierFile) - sizeof(FileHeader), '\0');
    for (char& byte : garbage) byte = static_cast<char>(random() % 4);
    overwrite(path_of("/notifier.0"), round % 2 == 0 ? sizeof(FileHeader) : 0, garbage);
    liar.kill();
    EXPECT_EQ(listener.notifiers(), 0U);
    EXPECT_LE(listener.receive().size(), 1U);
    EXPECT_EQ(path_of("/notifier.0"), "");
  }
}

TEST_F(RefusalOfEvents, ADeadNotifierStaysUntilEverybodyCouldBeTold) {
  auto child = notifier_elsewhere({.on_death = EventId{3}});
  Listener listener(*node, "door");
  child.kill();
  const std::string directory = std::filesystem::path(path_of("/notifier.0")).parent_path();
  const auto service = open_directory_at_path(directory);
  ASSERT_TRUE(service);
  // With more and more descriptors to be had: whenever it is removed, the listener has been told.
  rlimit usual{};
  ::getrlimit(RLIMIT_NOFILE, &usual);
  bool removed = false;
  int failed = 0;
  for (rlim_t most = 3; most < 100 && !removed; ++most) {
    const rlimit few{most, usual.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    removed = reap_port(*service, "notifier.0");
    if (!removed) ++failed;
  }
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_TRUE(removed);
  EXPECT_GT(failed, 3);
  EXPECT_EQ(values_of(listener.receive()), Values{3});
}

TEST_F(RefusalOfEvents, WithoutDescriptorsItIsSaidWhoWasNotReached) {
  Listener first(*node, "door");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Notifier notifier(own, "door");
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    const rlimit none{0, usual.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    line.say();
    line.hear();
    const bool reaches_who_is_known = notifier.notify(EventId{1}) == 1;
    const bool says_so =
        notifier.last_failure().code == Errc::system &&
        notifier.last_failure().message.find("ulimit -n") != std::string::npos &&
        notifier.last_failure().message.find("service 'door'") != std::string::npos;
    ::setrlimit(RLIMIT_NOFILE, &usual);
    if (notifier.notify(EventId{2}) != 2 || notifier.last_failure().code != Errc::ok) return 1;
    return reaches_who_is_known && says_so ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  Listener second(*node, "door");
  child.say();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(values_of(first.receive()), (Values{1, 2}));
  EXPECT_EQ(values_of(second.receive()), Values{2});
}

TEST_F(RefusalOfEvents, WithoutAddressSpaceItIsSaidWhoWasNotReached) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need all of it";
  Listener first(*node, "door");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Notifier notifier(own, "door");
    line.say();
    line.hear();
    std::make_unique<std::array<char, 100'000>>().reset();  // enough for a look
    rlimit usual{};
    ::getrlimit(RLIMIT_AS, &usual);
    const rlimit none{4096, usual.rlim_max};
    ::setrlimit(RLIMIT_AS, &none);
    const bool reaches_who_is_known = notifier.notify(EventId{1}) == 1;
    ::setrlimit(RLIMIT_AS, &usual);
    const bool says_so = notifier.last_failure().code == Errc::no_address_space &&
                         notifier.last_failure().message.find("listener.1") != std::string::npos;
    if (notifier.notify(EventId{2}) != 2 || notifier.last_failure().code != Errc::ok) return 1;
    return reaches_who_is_known && says_so ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  Listener second(*node, "door");
  child.say();
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(values_of(first.receive()), (Values{1, 2}));
  EXPECT_EQ(values_of(second.receive()), Values{2});
}

/// Runs `body(line)` as a user without rights.
template <typename Body>
ChildProcess as_somebody_else(Body&& body) {
  return ChildProcess([&](const ChildProcess::Line& line) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 100;
    return body(line);
  });
}

TEST_F(RefusalOfEvents, AUserWhoIsNotInTheGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  ASSERT_EQ(::chmod(root.path().c_str(), 01777), 0);
  Node shared("test", {.access = Access::group});
  Notifier notifier(shared, "door");
  Listener listener(shared, "door");
  EXPECT_EQ(as_somebody_else([](const ChildProcess::Line&) {
              auto own = Node::create("other", {.access = Access::group});
              if (!own) return 1;
              if (Listener::create(*own, "door").error() != Errc::no_permission) return 2;
              return Notifier::create(*own, "door").error() == Errc::no_permission ? 0 : 3;
            }).wait(),
            0);
  EXPECT_EQ(notifier.notify(EventId{1}), 1U);
  EXPECT_EQ(values_of(listener.receive()), Values{1});
}

TEST_F(RefusalOfEvents, UsersShareAWorldThatIsOpenToThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  ASSERT_EQ(::chmod(root.path().c_str(), 01777), 0);
  Node shared("test", {.access = Access::world});
  Listener listener(shared, "door");
  // The second notifier dies while a listener of another user, who may not remove its file, sleeps.
  auto other = as_somebody_else([](const ChildProcess::Line& line) {
    auto own = Node::create("other", {.access = Access::world});
    if (!own) return 1;
    auto notifier = Notifier::create(*own, "door");
    auto own_listener = Listener::create(*own, "door");
    if (!notifier || !own_listener || notifier->notify(EventId{1}) != 2) return 2;
    if (values_of(own_listener->receive()) != Values{1}) return 3;
    line.say();
    if (values_of(own_listener->wait(10s)) != Values{4}) return 4;
    line.say();
    if (values_of(own_listener->wait(10s)) != Values{3}) return 5;
    return own_listener->wait(250ms) ? 6 : 0;
  });
  ASSERT_TRUE(other.hear());
  EXPECT_EQ(values_of(listener.receive()), Values{1});
  ChildProcess victim([](const ChildProcess::Line& line) {
    Node own("victim", {.access = Access::world});
    const Notifier notifier(own, "door", {.on_join = EventId{4}, .on_death = EventId{3}});
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(victim.hear());
  ASSERT_TRUE(other.hear());
  victim.kill();
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(listener.notifiers(), 0U);
  EXPECT_EQ(values_of(listener.receive()), (Values{3, 4})) << "not told twice";
}

}  // namespace
}  // namespace sluice
