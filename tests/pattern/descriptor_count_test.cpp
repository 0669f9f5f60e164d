// SPDX-License-Identifier: Apache-2.0
//
// How many descriptors ports keep open, as docs/reference.md says, and that ports of one node that
// share what they keep come and go without harm to each other.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

struct DescriptorCount : testing::Test {
  /// How many more are open while the port that `make(node)` returns lives.
  template <typename Make>
  std::size_t of(Make&& make) {
    const std::size_t before = open_descriptors();
    const auto port = make(node);
    const std::size_t count = open_descriptors() - before;
    return count;
  }

  TemporaryRoot root;
  Node node{"test"};
};

TEST_F(DescriptorCount, APortOfAnyKindIsThree) {
  EXPECT_EQ(of([](Node& at) { return Publisher<int>(at, "topic"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Subscriber<int>(at, "topic"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Writer<int>(at, "value"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Reader<int>(at, "value"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Client<int, int>(at, "service"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Server<int, int>(at, "service"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Notifier(at, "door"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Listener(at, "door"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Producer<int>(at, "jobs"); }), 3U);
  EXPECT_EQ(of([](Node& at) { return Worker<int>(at, "jobs"); }), 3U);
}

TEST_F(DescriptorCount, OneInAServiceInWhichTheNodeIsAlreadyIsOne) {
  const Publisher<int> first(node, "topic");
  EXPECT_EQ(of([](Node& at) { return Publisher<int>(at, "topic"); }), 1U);
  // It is connected with the first.
  EXPECT_EQ(of([](Node& at) { return Subscriber<int>(at, "topic"); }), 2U);
}

TEST_F(DescriptorCount, AHundredTopicsAreSixHundred) {
  const std::size_t before = open_descriptors();
  std::vector<Publisher<int>> publishers;
  std::vector<Subscriber<int>> subscribers;
  for (int i = 0; i < 100; ++i) {
    publishers.emplace_back(node, "topic" + std::to_string(i));
    subscribers.emplace_back(node, "topic" + std::to_string(i));
    EXPECT_EQ(publishers.back().subscribers(), 1U);
    publishers.back().publish(i);
    EXPECT_EQ(*subscribers.back().receive(), i);
  }
  EXPECT_EQ(open_descriptors() - before, 600U);
  publishers.clear();
  subscribers.clear();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(DescriptorCount, TheLastPortOfANodeLeavesTheService) {
  auto publisher = std::make_unique<Publisher<int>>(node, "topic");
  auto subscriber = std::make_unique<Subscriber<int>>(node, "topic");
  const auto is_there = [] { return !services().empty(); };
  publisher.reset();
  EXPECT_TRUE(is_there());
  subscriber.reset();
  EXPECT_FALSE(is_there());
  // Afterwards it is made anew, of another type too.
  const Publisher<double> other(node, "topic");
  EXPECT_TRUE(is_there());
}

TEST_F(DescriptorCount, AnotherProcessFindsTheServiceWhoeverOfTheNodeHasLeft) {
  auto first = std::make_unique<Publisher<int>>(node, "topic");
  Publisher<int> second(node, "topic");
  first.reset();
  ChildProcess child([](const ChildProcess::Line& line) {
    Node other("other");
    Subscriber<int> subscriber(other, "topic");
    line.say(subscriber.publishers());
    const auto sample = subscriber.wait(10s);
    return sample && *sample == 7 ? 0 : 1;
  });
  std::uint64_t publishers = 0;
  ASSERT_TRUE(child.hear(&publishers));
  EXPECT_EQ(publishers, 1U);
  ASSERT_TRUE(second.wait_for_subscribers(1, 10s));
  EXPECT_TRUE(second.publish(7));
  EXPECT_EQ(child.wait(), 0);
}

// Ports of one node join and leave one service on several threads: each is in it, and sees the
// others.
TEST_F(DescriptorCount, ThreadsOfOneNodeJoinAndLeaveTogether) {
  constexpr int kThreads = 4;
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> ready{0};
    std::atomic<int> met{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        Publisher<int> publisher(node, "topic");
        Subscriber<int> subscriber(node, "topic");
        EXPECT_TRUE(publisher.wait_for_subscribers(kThreads, 10s))
            << publisher.last_failure().message;
        EXPECT_TRUE(subscriber.wait_for_publishers(kThreads, 10s))
            << subscriber.last_failure().message;
        ++met;
        while (met < kThreads) std::this_thread::yield();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_TRUE(services().empty());
}

}  // namespace
}  // namespace sluice
