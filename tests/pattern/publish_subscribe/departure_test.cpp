// SPDX-License-Identifier: Apache-2.0
//
// What was sent to a subscriber that was there arrives, whatever became of the publisher.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/service/departure.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Departure : testing::Test {
  /// What a publisher that came and went has sent; `values` of them.
  void send(int first, int values, const PublisherOptions& options = {}) {
    Publisher<int> publisher(node, "topic", options);
    EXPECT_EQ(publisher.subscribers(), subscribers);
    for (int i = 0; i < values; ++i) EXPECT_TRUE(publisher.publish(first + i));
  }
  [[nodiscard]] std::size_t files_of(const std::string& kind) const {
    std::size_t count = 0;
    for (const std::string& name : root.files()) count += name.find(kind) != std::string::npos;
    return count;
  }
  std::vector<int> drain(Subscriber<int>& subscriber) {
    std::vector<int> values;
    while (const auto sample = subscriber.receive()) values.push_back(*sample);
    return values;
  }

  TemporaryRoot root;
  Node node{"test"};
  std::uint32_t subscribers = 1;
};

TEST_F(Departure, APublisherThatLeavesBeforeTheNextLookIsHeard) {
  for (const Delivery delivery : {Delivery::latest, Delivery::lossless}) {
    Subscriber<int> subscriber(node, "topic");
    send(1, 3, {.delivery = delivery});
    EXPECT_EQ(drain(subscriber), (std::vector{1, 2, 3}));
    EXPECT_EQ(subscriber.lost(), 0U);
  }
}

TEST_F(Departure, OneThatWaitsIsWokenByWhatWasLeft) {
  Subscriber<int> subscriber(node, "topic");
  send(7, 1);
  const auto sample = subscriber.wait(10s);
  ASSERT_TRUE(sample);
  EXPECT_EQ(*sample, 7);
}

TEST_F(Departure, EachOfManyShortLivedOnesIsHeard) {
  Subscriber<int> subscriber(node, "topic");
  for (int i = 0; i < 50; ++i) send(i, 1);
  std::vector<int> values = drain(subscriber);
  std::sort(values.begin(), values.end());
  ASSERT_EQ(values.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(subscriber.lost(), 0U);
}

TEST_F(Departure, OneThatIsKilledIsHeard) {
  Subscriber<int> subscriber(node, "topic");
  {
    ChildProcess child([](const ChildProcess::Line& line) {
      const Node own("short-lived");
      Publisher<int> publisher(own, "topic");
      publisher.publish(5);
      line.say();
      ::pause();
      return 0;
    });
    ASSERT_TRUE(child.hear());
    child.kill();
  }
  // Somebody else comes by first, and leaves the file alone.
  Subscriber<int> late(node, "topic");
  EXPECT_EQ(late.publishers(), 0U);
  EXPECT_EQ(drain(subscriber), std::vector{5});
  EXPECT_TRUE(drain(late).empty());
}

TEST_F(Departure, EverySubscriberThatWasThereGetsIt) {
  Subscriber<int> first(node, "topic");
  Subscriber<int> second(node, "topic");
  subscribers = 2;
  send(1, 2);
  EXPECT_EQ(drain(first), (std::vector{1, 2}));
  EXPECT_EQ(files_of("/publisher."), 1U);
  EXPECT_EQ(drain(second), (std::vector{1, 2}));
  EXPECT_EQ(files_of("/publisher."), 0U);
  EXPECT_TRUE(drain(first).empty());
}

TEST_F(Departure, WhoComesLaterGetsNothingOfIt) {
  Subscriber<int> early(node, "topic");
  send(1, 2, {.history = 2});
  Subscriber<int> late(node, "topic");
  EXPECT_TRUE(drain(late).empty());
  EXPECT_EQ(drain(early), (std::vector{1, 2}));
}

TEST_F(Departure, TheFileGoesAtOnceWhereNobodyWaitsForIt) {
  Subscriber<int> subscriber(node, "topic");
  {
    Publisher<int> publisher(node, "topic");
    publisher.publish(1);
    EXPECT_EQ(*subscriber.receive(), 1);
    publisher.publish(2);
  }
  EXPECT_EQ(files_of("/publisher."), 0U);
  EXPECT_EQ(drain(subscriber), std::vector{2});
}

TEST_F(Departure, TheFileGoesWithTheLastWhoWaitedForIt) {
  const Publisher<int> stays(node, "topic");
  {
    const Subscriber<int> subscriber(node, "topic");
    send(1, 1);
    EXPECT_EQ(files_of("/publisher."), 2U);
  }
  EXPECT_EQ(files_of("/publisher."), 1U);
}

TEST_F(Departure, ItIsNotShownAsDead) {
  const Subscriber<int> subscriber(node, "topic");
  send(1, 1);
  ASSERT_EQ(services().size(), 1U);
  const std::vector<ServiceInfo> found = services();
  for (const PortInfo& port : found[0].ports) EXPECT_TRUE(port.alive) << port.kind;
  EXPECT_EQ(services()[0].ports.size(), 1U);
}

TEST_F(Departure, WhatASubscriberDoesNotFindInTimeIsLostAndCounted) {
  Subscriber<int> subscriber(node, "topic");
  constexpr int kMore = 10;
  for (int i = 0; i < static_cast<int>(kMaxDeparted) + kMore; ++i) send(10 * i, 2);
  EXPECT_LE(files_of("/publisher."), kMaxDeparted);
  EXPECT_EQ(drain(subscriber).size(), 2 * kMaxDeparted);
  EXPECT_EQ(subscriber.lost(), 2U * kMore);
}

TEST_F(Departure, ItIsCountedInBytesToo) {
  using Image = std::array<std::byte, std::size_t{4} << 20>;
  Subscriber<Image> subscriber(node, "images");
  constexpr std::uint64_t kImages = 20;
  for (std::uint64_t i = 0; i < kImages; ++i) {
    Publisher<Image> publisher(node, "images", {.depth = 4, .max_loans = 1});
    auto image = publisher.loan();
    ASSERT_TRUE(image) << publisher.last_failure().message;
    publisher.publish(std::move(image));
  }
  std::uint64_t received = 0;
  while (subscriber.receive()) ++received;
  EXPECT_GT(received, 0U);
  EXPECT_LT(received, kImages);
  EXPECT_EQ(received + subscriber.lost(), kImages);
}

}  // namespace
}  // namespace sluice
