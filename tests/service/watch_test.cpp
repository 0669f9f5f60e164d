// SPDX-License-Identifier: Apache-2.0
//
// Watches tell who comes, leaves and dies, once and in turn.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sluice/platform/lock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/sanitizers.hpp>
#include <support/system_calls.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Texts = std::vector<std::string>;

std::string text_of(const PortChange& change) {
  return std::string(to_string(change.change)) + " " + change.port.kind + "." +
         std::to_string(change.port.seat);
}
std::string text_of(const ServiceChange& change) {
  return std::string(to_string(change.change)) + " " + change.service.pattern + " " +
         change.service.name;
}
template <typename Changes>
Texts texts_of(const Changes& changes) {
  Texts texts;
  for (const auto& change : changes) texts.push_back(text_of(change));
  return texts;
}

/// The next `count` changes; fewer, if they do not come within a minute.
template <typename Watch>
auto next(Watch& watch, std::size_t count) {
  auto all = watch.receive();
  const auto end = Clock::now() + 60s;
  while (all.size() < count && Clock::now() < end) {
    for (auto& change : watch.wait(1s)) all.push_back(std::move(change));
  }
  return all;
}
template <typename Watch>
Texts next_texts(Watch& watch, std::size_t count) {
  return texts_of(next(watch, count));
}

/// A port of any kind.
using AnyPort = std::shared_ptr<void>;
template <typename Port>
AnyPort make(const Node& node) {
  return std::make_shared<Port>(node, "service");
}
struct Kind {
  std::string name;
  AnyPort (*make)(const Node& node);
};
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all{
      {"client", make<Client<int, int>>},    {"listener", make<Listener>},
      {"notifier", make<Notifier>},          {"producer", make<Producer<int>>},
      {"publisher", make<Publisher<int>>},   {"server", make<Server<int, int>>},
      {"subscriber", make<Subscriber<int>>}, {"worker", make<Worker<int>>}};
  return all;
}

struct Watches : testing::Test {
  TemporaryRoot root;
  Node node{"watcher"};
  Node other{"other"};
};

struct ServiceWatches : Watches {
  /// With a slash at its end.
  [[nodiscard]] std::string directory_of_publisher() const {
    const std::string name = "publisher.0";
    for (const auto& file : root.files()) {
      if (!file.ends_with("/" + name)) continue;
      return root.path() + "/" + file.substr(0, file.size() - name.size());
    }
    return {};
  }

  ServiceWatch watch{node, "service"};
};

struct DomainWatches : Watches {
  DomainWatch watch{node};
};

TEST_F(ServiceWatches, EveryKindOfPortComesAndLeaves) {
  for (const Kind& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    EXPECT_EQ(watch.receive().size(), 0U);
    AnyPort port = kind.make(other);
    const auto came = next(watch, 1);
    ASSERT_EQ(texts_of(came), Texts{"came " + kind.name + ".0"});
    EXPECT_EQ(came[0].port.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(came[0].port.node, other.id());
    EXPECT_EQ(came[0].port.node_name, "other");
    EXPECT_TRUE(came[0].port.alive);
    const auto found = services();
    ASSERT_EQ(found.size(), 1U);
    ASSERT_EQ(found[0].ports.size(), 1U);
    EXPECT_EQ(came[0].port.incarnation, found[0].ports[0].incarnation);

    port.reset();
    const auto left = next(watch, 1);
    ASSERT_EQ(texts_of(left), Texts{"left " + kind.name + ".0"});
    EXPECT_EQ(left[0].port.incarnation, came[0].port.incarnation);
    EXPECT_EQ(left[0].port.node_name, "other");
    EXPECT_FALSE(left[0].port.alive);
    EXPECT_EQ(watch.last_failure().code, Errc::ok);
  }
}

/// A child that has one port of each kind, and is killed.
struct Victim {
  Victim()
      : child([](const ChildProcess::Line& line) {
          const Node own("victim");
          std::vector<AnyPort> ports;
          for (const Kind& kind : kinds()) ports.push_back(kind.make(own));
          line.say();
          line.hear();
          return 0;
        }) {
    EXPECT_TRUE(child.hear());
  }
  ChildProcess child;
};

Texts of_every_kind(const std::string& change) {
  Texts texts;
  for (const Kind& kind : kinds()) texts.push_back(change + " " + kind.name + ".0");
  return texts;
}

Texts sorted(Texts texts) {
  std::sort(texts.begin(), texts.end());
  return texts;
}

TEST_F(ServiceWatches, EveryKindOfPortDies) {
  Victim victim;
  EXPECT_EQ(next_texts(watch, kinds().size()), of_every_kind("came"));
  victim.child.kill();
  EXPECT_EQ(sorted(next_texts(watch, kinds().size())), of_every_kind("died"));
  EXPECT_EQ(watch.receive().size(), 0U);
  EXPECT_GT(node.reap(), 0U);
  EXPECT_EQ(watch.receive().size(), 0U) << "told already";
}

TEST_F(ServiceWatches, WhoWasRemovedBeforeTheLookHasDiedAllTheSame) {
  Victim victim;
  EXPECT_EQ(watch.receive().size(), kinds().size());
  victim.child.kill();
  EXPECT_GT(node.reap(), 0U);
  EXPECT_EQ(sorted(next_texts(watch, kinds().size())), of_every_kind("died"));
}

/// Who removes a dead one's file locks it, and so makes it seem to live.
TEST_F(ServiceWatches, WhoDiedDoesNotComeAgainWhileItsFileIsRemoved) {
  Victim victim;
  EXPECT_EQ(watch.receive().size(), kinds().size());
  victim.child.kill();
  EXPECT_EQ(next(watch, kinds().size()).size(), kinds().size());
  EXPECT_EQ(watch.receive().size(), 0U);
  const auto directory = open_directory_at_path(directory_of_publisher());
  ASSERT_TRUE(directory);
  auto file = open_file(*directory, "publisher.0", true);
  ASSERT_TRUE(file);
  ASSERT_TRUE(*try_lock(*file, LockKind::exclusive));
  for (int look = 0; look < 3; ++look) EXPECT_EQ(texts_of(watch.receive()), Texts());
  file->close();
  EXPECT_EQ(texts_of(watch.receive()), Texts());
}

/// Its name goes before its lock, and the kernel tells of the name.
TEST_F(ServiceWatches, WhoSaysThatItLeavesHasLeftThoughItsLockIsThere) {
  const Publisher<int> publisher(other, "service");
  EXPECT_EQ(watch.receive().size(), 1U);
  const auto directory = open_directory_at_path(directory_of_publisher());
  ASSERT_TRUE(directory);
  const auto file = open_file(*directory, "publisher.0", true);
  ASSERT_TRUE(file);
  const std::uint32_t has_left = 1;
  ASSERT_EQ(::pwrite(file->fd(), &has_left, sizeof has_left, offsetof(FileHeader, has_left)),
            sizeof has_left);
  EXPECT_EQ(texts_of(watch.receive()), Texts{"left publisher.0"});
  EXPECT_EQ(texts_of(watch.receive()), Texts());
}

TEST_F(Watches, TheFirstLookTellsWhoIsThereAndNotWhoIsDead) {
  const Publisher<int> publisher(other, "service");
  const Subscriber<int> elsewhere(other, "elsewhere");
  Victim victim;
  victim.child.kill();
  ServiceWatch watch(node, "service");
  EXPECT_EQ(texts_of(watch.receive()), Texts{"came publisher.0"});
  EXPECT_GT(node.reap(), 0U);
  const Subscriber<int> subscriber(other, "service");
  EXPECT_EQ(next_texts(watch, 1), Texts{"came subscriber.0"}) << "in the place of a dead one";
}

TEST_F(ServiceWatches, WhoseFileStaysForOthersHasLeft) {
  Subscriber<int> subscriber(other, "service");
  EXPECT_EQ(subscriber.publishers(), 0U);
  std::optional<Publisher<int>> publisher(std::in_place, other, "service");
  EXPECT_EQ(next_texts(watch, 2), (Texts{"came publisher.0", "came subscriber.0"}));
  ASSERT_TRUE(publisher->publish(7));
  publisher.reset();
  EXPECT_EQ(next_texts(watch, 1), Texts{"left publisher.0"});
  const auto sample = subscriber.wait(60s);
  ASSERT_TRUE(sample);
  EXPECT_EQ(*sample, 7);
  EXPECT_EQ(watch.receive().size(), 0U);
}

TEST_F(ServiceWatches, WhoCameAndLeftBetweenTwoLooksIsNotToldAndWhoTookItsSeatIs) {
  std::optional<Publisher<int>> publisher(std::in_place, other, "service");
  const auto first = next(watch, 1);
  publisher.reset();
  publisher.emplace(other, "service");
  publisher.reset();
  publisher.emplace(other, "service");
  const auto changes = next(watch, 2);
  EXPECT_EQ(texts_of(changes), (Texts{"left publisher.0", "came publisher.0"}));
  EXPECT_EQ(changes[0].port.incarnation, first[0].port.incarnation);
  EXPECT_EQ(changes[1].port.incarnation, publisher->id());
}

/// `is_ready` does not look unless the kernel said that there is something.
TEST_F(ServiceWatches, TheKernelTellsOfComingAndLeaving) {
  EXPECT_EQ(watch.receive().size(), 0U);
  Attachable& waitable = watch.waitable();
  EXPECT_FALSE(waitable.is_ready());
  const auto expect_told = [&](const std::string& what) {
    EXPECT_TRUE(waitable.is_ready());
    EXPECT_EQ(texts_of(watch.receive()), Texts{what});
    EXPECT_FALSE(waitable.is_ready());
  };
  for (int round = 0; round < 2; ++round) {
    for (const Kind& kind : kinds()) {
      SCOPED_TRACE(kind.name);
      AnyPort first = kind.make(other);
      expect_told("came " + kind.name + ".0");
      AnyPort second = kind.make(other);
      expect_told("came " + kind.name + ".1");
      first.reset();
      expect_told("left " + kind.name + ".0");
      second.reset();  // and with it the service
      expect_told("left " + kind.name + ".1");
    }
  }
}

TEST_F(Watches, AWatchWaitsForItsTimeAndNoLonger) {
  ServiceWatch ports(node, "service");
  DomainWatch domain(node);
  for (const auto time : {0ms, -5ms, 1ms, 150ms}) {
    auto begin = Clock::now();
    EXPECT_EQ(ports.wait(time).size(), 0U);
    EXPECT_GE(Clock::now() - begin, time);
    begin = Clock::now();
    EXPECT_EQ(domain.wait(time).size(), 0U);
    EXPECT_GE(Clock::now() - begin, time);
  }
  EXPECT_EQ(ports.last_failure().code, Errc::ok);
  const auto begin = Clock::now();
  std::thread thread([&] {
    std::this_thread::sleep_for(20ms);
    const Publisher<int> publisher(other, "service");
    std::this_thread::sleep_for(300ms);
  });
  EXPECT_EQ(texts_of(ports.wait(1h)), Texts{"came publisher.0"});
  EXPECT_EQ(texts_of(ports.wait(1h)), Texts{"left publisher.0"});
  thread.join();
  EXPECT_LT(Clock::now() - begin, 60s);
}

TEST_F(Watches, AWatchLeavesNothingBehind) {
  const auto before = root.entries();
  {
    ServiceWatch ports(node, "service");
    DomainWatch domain(node);
    EXPECT_EQ(ports.receive().size() + domain.receive().size(), 0U);
    EXPECT_EQ(root.entries(), before);
  }
  EXPECT_EQ(root.entries(), before);
}

/// The changes that a wait set's callbacks have received.
struct InAWaitSet : ServiceWatches {
  InAWaitSet() {
    attachment = set.attach(watch, [this] {
      for (const auto& change : watch.receive()) told.push_back(text_of(change));
    });
    EXPECT_TRUE(attachment);
  }
  void run_until(std::size_t count) {
    const auto end = Clock::now() + 60s;
    while (told.size() < count && Clock::now() < end) set.wait(1s);
  }

  WaitSet set;
  WaitSet::Attachment attachment;
  Texts told;
};

TEST_F(InAWaitSet, ChangesAreToldBesideASubscriber) {
  Subscriber<int> numbers(other, "numbers");
  int received = 0;
  ASSERT_TRUE(set.attach(numbers, [&] {
    while (numbers.receive()) ++received;
  }));
  EXPECT_EQ(set.wait(0s), 0U);
  std::optional<Publisher<int>> publisher(std::in_place, other, "service");
  EXPECT_EQ(set.wait(60s), 1U);
  EXPECT_EQ(told, Texts{"came publisher.0"});
  Publisher<int> sender(other, "numbers");
  ASSERT_TRUE(sender.publish(1));
  EXPECT_EQ(set.wait(60s), 1U);
  EXPECT_EQ(received, 1);
  publisher.reset();
  ASSERT_TRUE(sender.publish(1));
  run_until(2);
  EXPECT_EQ(told, (Texts{"came publisher.0", "left publisher.0"}));
  EXPECT_EQ(received, 2);
  EXPECT_EQ(set.wait(0s), 0U);
}

TEST_F(InAWaitSet, ASleeperIsWoken) {
  std::optional<Server<int, int>> stay;
  std::thread thread([&] {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(2ms);
      const Publisher<int> publisher(other, "service");
      std::this_thread::sleep_for(2ms);
      const Subscriber<int> subscriber(other, "service");
    }
    stay.emplace(other, "service");
  });
  const auto end = Clock::now() + 60s;
  while (std::count(told.begin(), told.end(), "came server.0") == 0 && Clock::now() < end) {
    set.wait(60s);
  }
  thread.join();
  EXPECT_LT(Clock::now(), end);
  EXPECT_EQ(told.back(), "came server.0");
}

TEST_F(InAWaitSet, TheDeathOfAPortIsTold) {
  Victim victim;
  run_until(kinds().size());
  EXPECT_EQ(sorted(told), of_every_kind("came"));
  told.clear();
  victim.child.kill();
  run_until(kinds().size());
  EXPECT_EQ(sorted(told), of_every_kind("died"));
}

TEST_F(InAWaitSet, ItIsAttachedTwiceDetachedAndDestroyed) {
  int late = 0;
  auto deadline = set.attach_deadline(watch, 1ms, [&] { ++late; });
  ASSERT_TRUE(deadline);
  EXPECT_EQ(set.size(), 2U);
  while (late == 0) set.wait(60s);
  const Publisher<int> publisher(other, "service");
  run_until(1);
  EXPECT_TRUE(set.detach(attachment));
  const Subscriber<int> subscriber(other, "service");
  EXPECT_TRUE(watch.waitable().is_ready());
  EXPECT_TRUE(set.detach(deadline));
  EXPECT_EQ(set.wait(5ms), 0U);
  {
    ServiceWatch short_lived(node, "service");
    ASSERT_TRUE(set.attach(short_lived, [] {}));
    ServiceWatch moved = std::move(short_lived);
    EXPECT_EQ(set.wait(0s), 1U) << "still attached";
  }
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(set.wait(0s), 0U);
}

TEST_F(InAWaitSet, ItIsAttachedAgain) {
  std::array<int, 2> silent{};
  ASSERT_EQ(::pipe(silent.data()), 0);
  ASSERT_TRUE(set.attach_fd(silent[0], [] {}));
  EXPECT_TRUE(set.detach(attachment));
  EXPECT_TRUE(set.attach(watch, [] {})) << set.last_failure().message;
  const Publisher<int> publisher(other, "service");
  EXPECT_EQ(set.wait(60s), 1U);
  set = WaitSet();
  for (const int end : silent) ::close(end);
}

/// The shortest time of several in which `sleep()` has noticed a port that comes 5 ms later. Who
/// only looks every 100 ms cannot be as quick, since each sleep begins with a look.
Clock::duration shortest(const Node& node, const std::function<void()>& sleep) {
  auto time = Clock::duration::max();
  for (int attempt = 0; attempt < 50 && time > 30ms; ++attempt) {
    std::optional<Listener> listener;
    Clock::time_point made;
    std::thread thread([&] {
      std::this_thread::sleep_for(5ms);
      listener.emplace(node, "service");
      made = Clock::now();
    });
    sleep();
    const auto noticed = Clock::now();
    thread.join();
    time = std::min<Clock::duration>(time, noticed - made);
  }
  return time;
}

TEST_F(ServiceWatches, ASleeperIsWokenAsSoonAsSomebodyComes) {
  EXPECT_LT(shortest(other,
                     [&] {
                       watch.receive();
                       EXPECT_EQ(texts_of(watch.wait(60s)), Texts{"came listener.0"});
                     }),
            30ms);
  EXPECT_LT(shortest(other,
                     [&] {
                       watch.receive();
                       WaitSet set;  // its first look is as far away as can be
                       EXPECT_TRUE(set.attach(watch, [&] { watch.receive(); }));
                       EXPECT_EQ(set.wait(60s), 1U);
                     }),
            30ms);
}

TEST_F(ServiceWatches, ADescriptorIsReadableUntilReceiveHasFoundAll) {
  const auto is_readable = [&](int timeout_ms) {
    pollfd one{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, timeout_ms) == 1;
  };
  ASSERT_GE(watch.fd(), 0) << watch.last_failure().message;
  EXPECT_EQ(watch.fd(), watch.fd());
  const Publisher<int> publisher(other, "service");
  EXPECT_TRUE(is_readable(60'000));
  EXPECT_EQ(watch.receive().size(), 1U);
  // Its time to look may come between the two calls, but not always.
  bool was_settled = false;
  for (int i = 0; i < 1000 && !was_settled; ++i) {
    EXPECT_EQ(watch.receive().size(), 0U);
    was_settled = !is_readable(0);
  }
  EXPECT_TRUE(was_settled);
  EXPECT_TRUE(is_readable(60'000)) << "time to look who is alive";
}

/// Each one who came is told of once, and leaves once, and nobody else is told of.
TEST_F(ServiceWatches, AThousandQuickComingsAndGoings) {
  const int rounds = kThreadSanitizer ? 100 : 1000;
  std::atomic<bool> is_over{false};
  std::optional<Notifier> last;
  std::thread comer([&] {
    for (int i = 0; i < rounds; ++i) {
      const Listener listener(other, "service");
      if (i % 3 == 0) const Notifier notifier(other, "service");
      if (i % 7 == 0) std::this_thread::yield();
    }
    last.emplace(other, "service");
    is_over = true;
  });
  std::map<std::uint64_t, std::string> state;  // by incarnation
  std::set<std::string> present;
  std::size_t alive = 0;
  const auto end = Clock::now() + 100s;
  while ((!is_over || alive != 1) && Clock::now() < end) {
    for (const auto& [change, port] : watch.wait(1s)) {
      // One at a time has a seat.
      EXPECT_EQ(present.insert(port.kind).second, change == Change::came);
      if (change != Change::came) present.erase(port.kind);
      std::string& before = state[port.incarnation];
      EXPECT_EQ(before, change == Change::came ? "" : "came") << port.kind;
      EXPECT_NE(change, Change::died) << port.kind;
      before = to_string(change);
      change == Change::came ? ++alive : --alive;
    }
  }
  comer.join();
  EXPECT_EQ(alive, 1U);
  EXPECT_EQ(state[last->id()], "came");
  EXPECT_EQ(watch.receive().size(), 0U);
}

TEST_F(ServiceWatches, AQueueOfTheKernelThatRunsOverLosesNothing) {
  std::optional<Publisher<int>> first(std::in_place, other, "service");
  EXPECT_EQ(watch.receive().size(), 1U);
  const std::string directory = directory_of_publisher();
  for (int i = 0; i < 20'000; ++i) {  // the kernel keeps 16,384 by default
    const std::string path = directory + "other";
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::rmdir(path.c_str()), 0);
  }
  const Subscriber<int> subscriber(other, "service");
  first.reset();
  EXPECT_TRUE(watch.waitable().is_ready());
  EXPECT_EQ(next_texts(watch, 2), (Texts{"left publisher.0", "came subscriber.0"}));
}

TEST_F(ServiceWatches, TheServiceMayBeRemovedAndMadeAgain) {
  const auto remove_services = [&] {
    for (const std::string& entry : root.entries()) {
      if (entry.ends_with("/services")) std::filesystem::remove_all(root.path() + "/" + entry);
    }
  };
  std::optional<Publisher<int>> publisher(std::in_place, other, "service");
  EXPECT_EQ(next_texts(watch, 1), Texts{"came publisher.0"});
  for (int round = 0; round < 3; ++round) {
    round < 2 ? remove_services() : (void)std::filesystem::remove_all(root.path());
    EXPECT_EQ(watch.receive().size(), 0U) << "it lives";
    std::filesystem::create_directories(root.path());
    std::optional<Publisher<int>> second(std::in_place, other, "service");
    EXPECT_EQ(next_texts(watch, 1), Texts{"came publisher.0"});
    publisher.reset();
    EXPECT_EQ(next_texts(watch, 1), Texts{"left publisher.0"});
    publisher = std::move(second);
  }
}

/// Runs `body` where the kernel refuses `call` with `error`.
int without(unsigned call, unsigned error, const std::function<bool()>& body) {
  ChildProcess child(
      [&](const ChildProcess::Line&) { return refuse_system_call(call, error) && body() ? 0 : 1; });
  return child.wait();
}

TEST_F(Watches, WhereTheKernelDoesNotTellAWatchLooksForItself) {
  if (kThreadSanitizer) GTEST_SKIP() << "a forked child starts a thread";
  const std::pair<unsigned, unsigned> refusals[] = {{SYS_inotify_init1, EMFILE},
                                                    {SYS_inotify_add_watch, ENOSPC}};
  const std::string words[] = {"fs.inotify.max_user_instances", "fs.inotify.max_user_watches"};
  for (int i = 0; i < 2; ++i) {
    const auto [call, error] = refusals[i];
    EXPECT_EQ(without(call, error,
                      [&] {
                        int logged = 0;
                        set_log_handler([&](const Failure& cause) {
                          if (cause.message.find(words[i]) != std::string::npos) ++logged;
                        });
                        const Node own("own");
                        ServiceWatch watch(own, "service");
                        EXPECT_EQ(watch.receive().size(), 0U);
                        EXPECT_EQ(watch.last_failure().code, Errc::system);
                        EXPECT_NE(watch.last_failure().message.find(words[i]), std::string::npos)
                            << watch.last_failure().message;
                        std::optional<Publisher<int>> publisher(std::in_place, own, "service");
                        EXPECT_EQ(next_texts(watch, 1), Texts{"came publisher.0"});
                        Texts told;
                        WaitSet set;
                        EXPECT_TRUE(set.attach(watch, [&] {
                          for (const auto& change : watch.receive())
                            told.push_back(text_of(change));
                        }));
                        publisher.reset();
                        EXPECT_EQ(set.wait(60s), 1U);
                        EXPECT_EQ(told, Texts{"left publisher.0"});
                        EXPECT_GE(watch.fd(), 0);
                        EXPECT_LE(logged, 6) << "once for each directory";
                        EXPECT_GE(logged, 1);
                        return !testing::Test::HasFailure();
                      }),
              0);
  }
}

TEST_F(ServiceWatches, FilesThatAreNoGoodArePassedOverAndToldOnce) {
  std::optional<Publisher<int>> publisher(std::in_place, other, "service");
  EXPECT_EQ(watch.receive().size(), 1U);
  const std::string directory = directory_of_publisher();
  std::ofstream(directory + "publisher.1") << "nonsense";
  std::ofstream(directory + "publisher.1x") << "another's";
  std::filesystem::create_symlink(directory + "publisher.0", directory + "publisher.2");
  std::filesystem::create_directory(directory + "subscriber.0");
  ASSERT_EQ(::mkfifo((directory + "subscriber.1").c_str(), 0600), 0);
  std::filesystem::copy_file(directory + "publisher.0", directory + "subscriber.2");

  std::atomic<int> logged{0};
  set_log_handler([&](const Failure&) { ++logged; });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(texts_of(watch.receive()), Texts());
  EXPECT_EQ(logged, 5);
  EXPECT_EQ(watch.last_failure().code, Errc::corrupted);
  set_log_handler({});

  std::filesystem::remove(directory + "publisher.1");
  const Publisher<int> second(other, "service");
  EXPECT_EQ(next_texts(watch, 1), Texts{"came publisher.1"});
  publisher.reset();
  EXPECT_EQ(next_texts(watch, 1), Texts{"left publisher.0"});
}

TEST_F(Watches, WhatAWatchCannotBeMadeWith) {
  EXPECT_EQ(ServiceWatch::create(node, "two words").error(), Errc::invalid_name);
  EXPECT_EQ(ServiceWatch::create(node, "").error(), Errc::invalid_name);
  Node gone{"gone"};
  const Node taken = std::move(gone);
  EXPECT_EQ(ServiceWatch::create(gone, "service").error(), Errc::closed);
  EXPECT_EQ(DomainWatch::create(gone).error(), Errc::closed);
}

TEST_F(Watches, OneThatWasMovedFromIsClosed) {
  ServiceWatch first(node, "service");
  ServiceWatch second = std::move(first);
  EXPECT_EQ(first.receive().size() + first.wait(1h).size(), 0U);
  EXPECT_EQ(first.fd(), -1);
  EXPECT_EQ(first.last_failure().code, Errc::closed);
  WaitSet set;
  EXPECT_EQ(set.attach(first, [] {}).error(), Errc::closed);
  const Publisher<int> publisher(other, "service");
  EXPECT_EQ(next_texts(second, 1), Texts{"came publisher.0"});
  first = std::move(second);
  EXPECT_EQ(first.receive().size(), 0U);
  EXPECT_EQ(first.last_failure().code, Errc::ok);
}

TEST_F(ServiceWatches, AForkedChildIsRefusedAndItsParentIsNot) {
  EXPECT_GE(watch.fd(), 0);
  ChildProcess child([&](const ChildProcess::Line&) {
    if (watch.wait(1h).size() != 0 || watch.last_failure().code != Errc::forked) return 1;
    if (watch.fd() != -1 || ServiceWatch::create(node, "service").error() != Errc::forked) return 2;
    if (DomainWatch::create(node).error() != Errc::forked) return 3;
    WaitSet set;
    if (set.attach(watch, [] {}).error() != Errc::forked) return 4;
    const ServiceWatch taken = std::move(watch);
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  const Publisher<int> publisher(other, "service");
  EXPECT_TRUE(watch.waitable().is_ready());
}

TEST_F(DomainWatches, ServicesOfEveryPatternComeAndLeave) {
  const std::pair<const char*, const char*> patterns[] = {{"client", "request-response"},
                                                          {"listener", "event"},
                                                          {"producer", "work-queue"},
                                                          {"subscriber", "publish-subscribe"}};
  for (const auto& [name, pattern] : patterns) {
    SCOPED_TRACE(pattern);
    EXPECT_EQ(watch.receive().size(), 0U);
    const auto kind = std::ranges::find(kinds(), name, &Kind::name);
    AnyPort port = kind->make(other);
    EXPECT_TRUE(watch.waitable().is_ready()) << "the kernel tells";
    const auto came = watch.receive();
    ASSERT_EQ(texts_of(came), Texts{"came " + std::string(pattern) + " service"});
    EXPECT_EQ(came[0].service.schema, services()[0].schema);
    EXPECT_EQ(came[0].service.response_schema, services()[0].response_schema);
    AnyPort second = kind->make(other);
    EXPECT_EQ(watch.receive().size(), 0U) << "known";
    port.reset();
    EXPECT_EQ(watch.receive().size(), 0U) << "not the last one";
    second.reset();
    EXPECT_EQ(texts_of(watch.receive()), Texts{"left " + std::string(pattern) + " service"});
  }
}

TEST_F(DomainWatches, AServiceEndsWithItsLastPort) {
  std::optional<Publisher<int>> publisher(std::in_place, other, "a");
  const Subscriber<int> subscriber(other, "b");
  EXPECT_EQ(texts_of(watch.receive()),
            (Texts{"came publish-subscribe a", "came publish-subscribe b"}));
  publisher.reset();
  EXPECT_TRUE(watch.waitable().is_ready()) << "the kernel tells";
  const auto left = watch.receive();
  ASSERT_EQ(texts_of(left), Texts{"left publish-subscribe a"});
  EXPECT_EQ(left[0].service.schema, schema_of<int>());
  publisher.emplace(other, "a");
  publisher.reset();
  EXPECT_EQ(watch.receive().size(), 0U) << "came and went";
  publisher.emplace(other, "a");
  EXPECT_EQ(texts_of(watch.receive()), Texts{"came publish-subscribe a"});
  publisher.reset();
  const Publisher<double> again(other, "a");
  EXPECT_EQ(texts_of(watch.receive()),
            (Texts{"left publish-subscribe a", "came publish-subscribe a"}));
}

TEST_F(DomainWatches, AServiceWhoseLastPortDiesHasLeft) {
  Texts came;
  Texts left;
  for (const Pattern pattern : kPatterns) {
    came.push_back("came " + std::string(to_string(pattern)) + " service");
    left.push_back("left " + std::string(to_string(pattern)) + " service");
  }
  for (const bool is_reaped : {false, true}) {
    Victim victim;
    EXPECT_EQ(sorted(next_texts(watch, came.size())), sorted(came));
    victim.child.kill();
    if (is_reaped) node.reap();
    EXPECT_EQ(sorted(next_texts(watch, left.size())), sorted(left));
    node.reap();
    EXPECT_EQ(watch.receive().size(), 0U);
  }
}

TEST_F(DomainWatches, AServiceIsToldInAWaitSet) {
  Texts told;
  WaitSet set;
  ASSERT_TRUE(set.attach(watch, [&] {
    for (const auto& change : watch.receive()) told.push_back(text_of(change));
  }));
  std::thread thread([&] {
    std::this_thread::sleep_for(20ms);
    const Listener listener(other, "door");
    std::this_thread::sleep_for(200ms);
  });
  const auto end = Clock::now() + 60s;
  while (told.size() < 2 && Clock::now() < end) set.wait(1s);
  thread.join();
  EXPECT_EQ(told, (Texts{"came event door", "left event door"}));
}

TEST_F(DomainWatches, AThousandQuickComingsAndGoings) {
  const int rounds = kThreadSanitizer ? 100 : 1000;
  std::atomic<bool> is_over{false};
  std::optional<Listener> last;
  std::thread comer([&] {
    for (int i = 0; i < rounds; ++i) {
      const Listener listener(other, i % 2 == 0 ? "even" : "odd");
    }
    last.emplace(other, "last");
    is_over = true;
  });
  std::map<std::string, bool> is_there;
  const auto end = Clock::now() + 100s;
  while (Clock::now() < end) {
    for (const auto& [change, service] : watch.wait(100ms)) {
      EXPECT_EQ(is_there[service.name], change == Change::left) << service.name;
      is_there[service.name] = change == Change::came;
    }
    if (is_over && is_there["last"] && !is_there["even"] && !is_there["odd"]) break;
  }
  comer.join();
  EXPECT_LT(Clock::now(), end);
  EXPECT_EQ(watch.receive().size(), 0U);
}

}  // namespace
}  // namespace sluice
