// SPDX-License-Identifier: Apache-2.0
//
// Ports that join only a service that exists, or only as its first.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <sluice/platform/lock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/failure.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpenOrCreate = OpenMode::open_or_create;
constexpr auto kOpenOnly = OpenMode::open_only;
constexpr auto kCreateOnly = OpenMode::create_only;
constexpr uid_t kStranger = 4711;

/// A port that was made and is gone again, or why it was not.
template <typename P>
Failure outcome(const Result<P>& made) {
  return made ? Failure{} : made.failure();
}

struct PortCase {
  const char* name;
  std::function<Failure(const Node&, OpenMode)> make;
};

std::vector<PortCase> all_ports() {
  const auto port = [](const char* name, auto create) {
    return PortCase{
        name, [create](const Node& node, OpenMode mode) { return outcome(create(node, mode)); }};
  };
  using Node_ = const Node&;
  return {
      port("publisher",
           [](Node_ n, OpenMode m) { return Publisher<int>::create(n, "topic", {.mode = m}); }),
      port("subscriber",
           [](Node_ n, OpenMode m) { return Subscriber<int>::create(n, "topic", {.mode = m}); }),
      port("publisher",
           [](Node_ n, OpenMode m) { return Writer<int>::create(n, "topic", {.mode = m}); }),
      port("subscriber",
           [](Node_ n, OpenMode m) { return Reader<int>::create(n, "topic", {.mode = m}); }),
      port("client",
           [](Node_ n, OpenMode m) { return Client<int, int>::create(n, "topic", {.mode = m}); }),
      port("server",
           [](Node_ n, OpenMode m) { return Server<int, int>::create(n, "topic", {.mode = m}); }),
      port("notifier",
           [](Node_ n, OpenMode m) { return Notifier::create(n, "topic", {.mode = m}); }),
      port("listener",
           [](Node_ n, OpenMode m) { return Listener::create(n, "topic", {.mode = m}); }),
      port("producer",
           [](Node_ n, OpenMode m) { return Producer<int>::create(n, "topic", {.mode = m}); }),
      port("worker",
           [](Node_ n, OpenMode m) { return Worker<int>::create(n, "topic", {.mode = m}); }),
  };
}

struct OpenModes : testing::Test {
  /// A process that was in the service leaves its files as one that was killed does.
  static void leave_a_dead_one(const NodeOptions& options = {}) {
    ChildProcess child([&](const ChildProcess::Line&) {
      const auto* const dead = new Node("dead", options);
      const auto* const publisher = new Publisher<int>(*dead, "topic");
      return publisher->id() != 0 ? 0 : 1;  // _exit: nothing is destroyed
    });
    ASSERT_EQ(child.wait(), 0);
  }
  /// The file `service` of the only service.
  [[nodiscard]] std::string service_file() const {
    for (const std::string& file : root.files()) {
      if (file.ends_with("/service")) return root.path() + "/" + file;
    }
    return {};
  }
  static Failure publisher(const Node& node, OpenMode mode) {
    return outcome(Publisher<int>::create(node, "topic", {.mode = mode}));
  }

  TemporaryRoot root;
  Node node{"here"};
};

TEST_F(OpenModes, WhereThereIsNoServiceNoPortOpensOne) {
  const auto before = root.entries();
  for (const PortCase& port : all_ports()) {
    EXPECT_TRUE(says(port.make(node, kOpenOnly), Errc::not_found,
                     {"service 'topic'", "does not exist", root.path(), "open_or_create"}))
        << port.name;
    EXPECT_EQ(root.entries(), before) << port.name << " has made something";
  }
}

TEST_F(OpenModes, WhereThereIsNoneEachPortCreatesIt) {
  for (const PortCase& port : all_ports()) {
    EXPECT_EQ(port.make(node, kCreateOnly).message, "") << port.name;
    EXPECT_EQ(port.make(node, kOpenOrCreate).message, "") << port.name;
  }
}

TEST_F(OpenModes, WhereThereIsOneEachPortOpensItAndNoneCreatesIt) {
  Publisher<int> publisher(node, "topic", {.mode = kCreateOnly});
  const Server<int, int> server(node, "topic", {.mode = kCreateOnly});
  const Listener listener(node, "topic", {.mode = kCreateOnly});
  const Worker<int> worker(node, "topic", {.mode = kCreateOnly});
  for (const PortCase& port : all_ports()) {
    EXPECT_EQ(port.make(node, kOpenOnly).message, "") << port.name;
    EXPECT_TRUE(says(port.make(node, kCreateOnly), Errc::already_exists,
                     {"service 'topic'", " 0 of node 'here' (process ", std::to_string(::getpid()),
                      "open_or_create"}))
        << port.name;
  }
  Subscriber<int> subscriber(node, "topic", {.mode = kOpenOnly});
  ASSERT_TRUE(publisher.publish(7));
  EXPECT_EQ(*subscriber.receive(), 7);
}

TEST_F(OpenModes, AFewOfThoseWhoAreThereAreNamed) {
  std::vector<Subscriber<int>> there;
  for (int i = 0; i < 5; ++i) there.emplace_back(node, "topic");
  EXPECT_TRUE(says(publisher(node, kCreateOnly), Errc::already_exists,
                   {"subscriber 0 of", "subscriber 2 of", "and 2 more"}));
}

TEST_F(OpenModes, WhatTheDeadHaveLeftIsNoService) {
  leave_a_dead_one();
  ASSERT_FALSE(service_file().empty());
  EXPECT_EQ(publisher(node, kOpenOnly).code, Errc::not_found);
  EXPECT_TRUE(service_file().empty()) << "removed on the way";
  leave_a_dead_one();
  EXPECT_EQ(publisher(node, kCreateOnly).message, "");
}

TEST_F(OpenModes, WhoRemovesWhatTheDeadHaveLeftIsNotInTheService) {
  for (const OpenMode mode : {kOpenOnly, kCreateOnly}) {
    leave_a_dead_one();
    File remover(::open(service_file().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(try_lock(remover, LockKind::exclusive).value());
    auto joined = std::async(std::launch::async, [&] { return publisher(node, mode); });
    EXPECT_EQ(joined.wait_for(200ms), std::future_status::timeout) << "it waits for the remover";
    remover.close();  // killed before it has removed anything
    EXPECT_EQ(joined.get().code, mode == kOpenOnly ? Errc::not_found : Errc::ok);
  }
}

TEST_F(OpenModes, WhatAnotherUsersDeadHaveLeftIsNoServiceEither) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user takes root";
  ::chmod(root.path().c_str(), 01777);
  const NodeOptions world{.access = Access::world};
  leave_a_dead_one(world);
  ChildProcess child([&](const ChildProcess::Line&) {
    if (::setgid(kStranger) != 0 || ::setuid(kStranger) != 0) return 1;
    const auto own = Node::create("own", world);
    if (!own) return 77;  // the directories above are closed to other users
    if (!says(publisher(*own, kOpenOnly), Errc::not_found, {"does not exist"})) return 2;
    const Failure first = publisher(*own, kCreateOnly);
    if (!says(first, Errc::no_permission, {"another user left", "/service"})) return 3;
    return publisher(*own, kOpenOrCreate).code == Errc::ok ? 0 : 4;
  });
  const int status = child.wait();
  if (status == 77) GTEST_SKIP() << "the directories above are closed to other users";
  EXPECT_EQ(status, 0);
}

TEST_F(OpenModes, OfManyProcessesThatCreateItAtOnceOneDoes) {
  constexpr int kProcesses = 8;
  constexpr int kRounds = 100;
  std::vector<ChildProcess> racers;
  for (int i = 0; i < kProcesses; ++i) {
    racers.emplace_back([](const ChildProcess::Line& line) {
      const Node own("racer");
      while (line.hear()) {
        const auto port = Publisher<int>::create(own, "topic", {.mode = kCreateOnly});
        line.say(static_cast<std::uint64_t>(port.error()));
        line.hear();  // it stays until all have tried
      }
      return 0;
    });
  }
  const auto tell_all = [&] {
    for (const ChildProcess& racer : racers) racer.say();
  };
  for (int round = 0; round < kRounds; ++round) {
    if (round % 2 == 0) leave_a_dead_one();
    tell_all();
    int winners = 0;
    int late = 0;
    for (const ChildProcess& racer : racers) {
      std::uint64_t error = 0;
      ASSERT_TRUE(racer.hear(&error));
      winners += error == static_cast<std::uint64_t>(Errc::ok) ? 1 : 0;
      late += error == static_cast<std::uint64_t>(Errc::already_exists) ? 1 : 0;
    }
    EXPECT_EQ(winners, 1) << "round " << round;
    EXPECT_EQ(late, kProcesses - 1) << "round " << round;
    tell_all();
    // The last one that left has removed it, before any of the next round.
    while (!services().empty()) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace sluice
