// SPDX-License-Identifier: Apache-2.0
//
// Notifiers and listeners of one process on several threads. In a build with the thread sanitizer
// all of them share one mapping of each file, so that it sees every race.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <sluice/sluice.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kRounds = 2000;

/// What a notifier leaves for the listener. Plain words: the event orders them.
struct Desk {
  std::array<std::uint64_t, 4> words{};
  std::atomic<std::uint64_t> taken{0};
};

void leave_and_notify(Notifier& notifier, Desk& desk, EventId id) {
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    desk.words.fill(round);
    notifier.notify(id);
    while (desk.taken.load(std::memory_order_acquire) != round) std::this_thread::yield();
  }
}

TEST(EventThreads, WhatWasDoneBeforeAnEventIsSeenAfterIt) {
  TemporaryRoot root;
  {
    Node node("test");
    std::array<Desk, 3> desks;
    Listener listener(node, "desks");
    std::vector<std::thread> notifiers;
    for (std::uint8_t i = 0; i < desks.size(); ++i) {
      notifiers.emplace_back([&, i] {
        Notifier notifier(node, "desks");
        // Two in one word of the mailbox, one in another.
        leave_and_notify(notifier, desks[i], EventId{static_cast<std::uint8_t>(i * 50)});
      });
    }
    std::uint64_t received = 0;
    while (received < desks.size() * kRounds) {
      const EventSet events = listener.wait(10s);
      ASSERT_TRUE(events) << "an event was lost";
      for (const EventId id : events) {
        Desk& desk = desks[id.value / 50];
        const std::uint64_t round = desk.taken.load(std::memory_order_relaxed) + 1;
        for (const std::uint64_t word : desk.words) ASSERT_EQ(word, round);
        desk.taken.store(round, std::memory_order_release);
        ++received;
      }
    }
    for (auto& notifier : notifiers) notifier.join();
    EXPECT_FALSE(listener.receive());
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(EventThreads, SleepersAreWoken) {
  TemporaryRoot root;
  Node node("test");
  Notifier notifier(node, "door");
  std::atomic<std::uint64_t> seen{0};
  std::thread sleeper([&] {
    Listener listener(node, "door");
    for (std::uint64_t i = 1; i <= 500; ++i) {
      seen = i;
      const EventSet events = listener.wait(10s);
      ASSERT_TRUE(events.contains(EventId{static_cast<std::uint8_t>(i)}));
    }
  });
  while (notifier.listeners() == 0) {
  }
  for (std::uint64_t i = 1; i <= 500; ++i) {
    while (seen < i) {
    }
    ASSERT_EQ(notifier.notify(EventId{static_cast<std::uint8_t>(i)}), 1U);
  }
  sleeper.join();
}

TEST(EventThreads, PortsAreMadeAndDestroyedOnSeveralThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 30; ++i) {
          if (t % 2 == 0) {
            Notifier notifier(node, "door", {.on_join = EventId{1}, .on_leave = EventId{2}});
            notifier.notify(EventId{3});
          } else {
            Listener listener(node, "door");
            const EventSet events = listener.wait(1ms);
            ASSERT_LE(events.size(), 3U);
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

}  // namespace
}  // namespace sluice
