// SPDX-License-Identifier: Apache-2.0
//
// Each port can wait until so many of the other side are there.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct WaitingForPeers : testing::Test {
  /// `wait(count, time)` says no while nobody is there, and how many there are; yes for none; and
  /// ends soon after another thread has made one more, with what `make()` returns.
  template <typename Port, typename Wait, typename Make>
  void expect_to_find(const Port& port, const char* peers, Wait&& wait, Make&& make) {
    EXPECT_TRUE(wait(0, 1h)) << peers;
    EXPECT_TRUE(wait(0, 0s)) << peers;
    const auto start = Clock::now();
    const auto nobody = wait(1, 5ms);
    EXPECT_EQ(nobody.error(), Errc::timed_out) << peers;
    EXPECT_GE(Clock::now() - start, 5ms) << peers;
    EXPECT_EQ(nobody.failure().message, "service 'service': after 5 ms there are 0 " +
                                            std::string(peers) + ", 1 are waited for");
    EXPECT_EQ(port.last_failure().message, nobody.failure().message);

    std::optional<decltype(make())> first;
    std::optional<decltype(make())> second;
    std::thread thread([&] {
      std::this_thread::sleep_for(20ms);
      first.emplace(make());
      std::this_thread::sleep_for(20ms);
      second.emplace(make());
    });
    EXPECT_TRUE(wait(2, 60s)) << peers;
    thread.join();
    EXPECT_TRUE(wait(2, 0s)) << peers;
    EXPECT_EQ(wait(3, 0s).error(), Errc::timed_out) << peers;
    first.reset();
    EXPECT_EQ(wait(2, 0s).error(), Errc::timed_out) << peers << ": one has left";
    EXPECT_LT(Clock::now() - start, 30s) << peers;
  }

  TemporaryRoot root;
  Node node{"test"};
  Node other{"other"};
};

TEST_F(WaitingForPeers, APublisherFindsSubscribers) {
  Publisher<int> port{node, "service"};
  expect_to_find(
      port, "subscribers",
      [&](std::uint32_t count, auto time) { return port.wait_for_subscribers(count, time); },
      [&] {
        return Subscriber<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, ASubscriberFindsPublishers) {
  Subscriber<int> port{node, "service"};
  expect_to_find(
      port, "publishers",
      [&](std::uint32_t count, auto time) { return port.wait_for_publishers(count, time); },
      [&] {
        return Publisher<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, AWriterFindsReaders) {
  Writer<int> port{node, "service"};
  // A writer is a publisher, and says so.
  expect_to_find(
      port, "subscribers",
      [&](std::uint32_t count, auto time) { return port.wait_for_readers(count, time); },
      [&] {
        return Reader<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, AReaderFindsWriters) {
  Reader<int> port{node, "service"};
  expect_to_find(
      port, "writers",
      [&](std::uint32_t count, auto time) { return port.wait_for_writers(count, time); },
      [&] {
        return Writer<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, AClientFindsServers) {
  Client<int, int> port{node, "service"};
  expect_to_find(
      port, "servers",
      [&](std::uint32_t count, auto time) { return port.wait_for_servers(count, time); },
      [&] {
        return Server<int, int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, AServerFindsClients) {
  Server<int, int> port{node, "service"};
  expect_to_find(
      port, "clients",
      [&](std::uint32_t count, auto time) { return port.wait_for_clients(count, time); },
      [&] {
        return Client<int, int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, ANotifierFindsListeners) {
  Notifier port{node, "service"};
  expect_to_find(
      port, "listeners",
      [&](std::uint32_t count, auto time) { return port.wait_for_listeners(count, time); },
      [&] {
        return Listener{other, "service"};
      });
}

TEST_F(WaitingForPeers, AListenerFindsNotifiers) {
  Listener port{node, "service"};
  expect_to_find(
      port, "notifiers",
      [&](std::uint32_t count, auto time) { return port.wait_for_notifiers(count, time); },
      [&] {
        return Notifier{other, "service"};
      });
}

TEST_F(WaitingForPeers, AProducerFindsWorkers) {
  Producer<int> port{node, "service"};
  expect_to_find(
      port, "workers",
      [&](std::uint32_t count, auto time) { return port.wait_for_workers(count, time); },
      [&] {
        return Worker<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, AWorkerFindsProducers) {
  Worker<int> port{node, "service"};
  expect_to_find(
      port, "producers",
      [&](std::uint32_t count, auto time) { return port.wait_for_producers(count, time); },
      [&] {
        return Producer<int>{other, "service"};
      });
}

TEST_F(WaitingForPeers, WhatIsPublishedThenReachesThem) {
  ChildProcess child([](const ChildProcess::Line&) {
    Node child_node{"child"};
    Subscriber<int> subscriber{child_node, "service"};
    const auto sample = subscriber.wait(60s);
    return sample && *sample == 7 && subscriber.lost() == 0 ? 0 : 1;
  });
  Publisher<int> publisher{node, "service"};
  ASSERT_TRUE(publisher.wait_for_subscribers(1, 60s));
  publisher.publish(7);
  EXPECT_EQ(child.wait(), 0);
}

/// A subscriber that has come is counted when it has looked; its publisher is woken then, and does
/// not sleep on for 100 ms.
TEST_F(WaitingForPeers, EndsAsSoonAsTheyAreThere) {
  auto shortest = Clock::duration::max();
  for (int attempt = 0; attempt < 20 && shortest > 20ms; ++attempt) {
    Publisher<int> publisher{node, "service"};
    Clock::time_point made;
    std::optional<Subscriber<int>> subscriber;
    std::thread thread([&] {
      std::this_thread::sleep_for(5ms);
      subscriber.emplace(other, "service");
      made = Clock::now();
    });
    EXPECT_TRUE(publisher.wait_for_subscribers(1, 60s));
    const auto found = Clock::now();
    thread.join();
    shortest = std::min<Clock::duration>(shortest, found - made);
  }
  EXPECT_LT(shortest, 20ms);
}

TEST_F(WaitingForPeers, AForkedChildIsRefused) {
  Publisher<int> publisher{node, "service"};
  ChildProcess child([&](const ChildProcess::Line&) {
    return publisher.wait_for_subscribers(0, 60s).error() == Errc::forked ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace sluice
