// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kProcesses = 100;

/// 30 s, unless SLUICE_TEST_SECONDS says otherwise.
std::chrono::seconds duration() {
  const char* seconds = std::getenv("SLUICE_TEST_SECONDS");
  return std::chrono::seconds(seconds == nullptr ? 30 : std::atoi(seconds));
}

/// Creates or joins the service, sends or receives, and leaves, again and again. Reports how often.
int come_and_go(int number, Clock::time_point end, const ChildProcess::Line& line) {
  std::uint64_t rounds = 0;
  for (; Clock::now() < end; ++rounds) {
    auto node = Node::create(std::to_string(number));
    if (!node) {
      std::fprintf(stderr, "%s\n", node.failure().message.c_str());
      return 1;
    }
    if ((static_cast<std::uint64_t>(number) + rounds) % 2 == 0) {
      auto publisher = Publisher<std::uint64_t>::create(*node, "rush", {.history = 1});
      if (!publisher || !publisher->publish(rounds)) {
        std::fprintf(stderr, "%s\n",
                     (publisher ? publisher->last_failure() : publisher.failure()).message.c_str());
        return 2;
      }
    } else {
      auto subscriber = Subscriber<std::uint64_t>::create(*node, "rush");
      if (!subscriber) {
        std::fprintf(stderr, "%s\n", subscriber.failure().message.c_str());
        return 3;
      }
      if (subscriber->receive().error() != Errc::ok) return 4;
    }
  }
  line.say(rounds);
  return 0;
}

TEST(HundredProcesses, EachGetsInAndNothingIsLeft) {
  TemporaryRoot root;
  const auto end = Clock::now() + duration();
  std::vector<std::unique_ptr<ChildProcess>> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(std::make_unique<ChildProcess>(
        [i, end](const ChildProcess::Line& line) { return come_and_go(i, end, line); }));
  }
  std::uint64_t total = 0;
  for (auto& child : children) {
    std::uint64_t rounds = 0;
    EXPECT_TRUE(child->hear(&rounds));
    EXPECT_GT(rounds, 0U);
    total += rounds;
    EXPECT_EQ(child->wait(), 0);
  }
  RecordProperty("rounds", std::to_string(total));
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(HundredProcesses, WhatTheKilledOnesLeaveIsRemovedByTheNext) {
  TemporaryRoot root;
  const auto end = Clock::now() + 1h;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<ChildProcess>> children;
    for (int i = 0; i < 20; ++i) {
      children.push_back(std::make_unique<ChildProcess>(
          [i, end](const ChildProcess::Line& line) { return come_and_go(i, end, line); }));
    }
    // Whenever enough has happened for each to be somewhere else.
    while (nodes().size() < 3) {
    }
    children.clear();  // killed
    { Node node("next"); }
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }
}

}  // namespace
}  // namespace sluice
