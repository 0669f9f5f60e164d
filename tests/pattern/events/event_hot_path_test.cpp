// SPDX-License-Identifier: Apache-2.0
//
// Events to listeners of which none sleeps make no system call and allocate nothing.
#include <gtest/gtest.h>

#include <cstdint>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <support/hot_path.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kBatches = 50;
constexpr std::uint64_t kBatch = 200;  // different events, of which none is taken for another
constexpr std::uint64_t kEvents = kBatches * kBatch;

EventId nth_id(std::uint64_t i) { return EventId{static_cast<std::uint8_t>(i)}; }

/// Counts the events of each batch; what is not of it ends the test.
int receive_all(Listener& listener, Progress& progress) {
  for (std::uint64_t received = 0; received < kEvents;) {
    const std::uint64_t first = received / kBatch * kBatch;
    for (const EventId id : listener.receive()) {
      if (static_cast<std::uint8_t>(id.value - first) >= kBatch) {
        progress.received.store(UINT64_MAX, std::memory_order_release);
        return 1;
      }
      if (received++ != 0) continue;
      // It may have come after the look at who has come, which is then still to be done.
      if (listener.notifiers() != 1) return 4;
      forbid_system_calls();
    }
    progress.received.store(received, std::memory_order_release);
  }
  return 0;
}

int notify_all(Notifier& notifier, Progress& progress) {
  for (std::uint64_t i = 0; i < kEvents; ++i) {
    if (notifier.notify(nth_id(i)) != 1) return 2;
    // After the first both know each other: the last look at who has come is behind them.
    if (i != 0 && (i + 1) % kBatch != 0) continue;
    while (progress.received.load(std::memory_order_acquire) < i + 1) {
    }
    if (progress.received.load(std::memory_order_acquire) > i + 1) return 3;
    if (i == 0) forbid_system_calls();
  }
  return 0;
}

TEST(HotPath, EventsWithoutSleepersMakeNoSystemCall) {
  TemporaryRoot root;
  const SharedPage<Progress> progress;
  {
    ChildProcess receiver([&](const ChildProcess::Line&) -> int {
      Node node("receiver");
      Listener listener(node, "door");
      leave(receive_all(listener, *progress));
    });
    ChildProcess sender([&](const ChildProcess::Line&) -> int {
      Node node("sender");
      Notifier notifier(node, "door");
      while (notifier.listeners() == 0) {
      }
      leave(notify_all(notifier, *progress));
    });
    expect_that_both_succeed(sender, receiver);
  }
  { Node node("reaper"); }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(HotPath, EventsAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Notifier notifier(node, "door");
  Listener listener(node, "door");
  ASSERT_EQ(notifier.notify(nth_id(0)), 1U);
  ASSERT_TRUE(listener.receive());
  const std::uint64_t before = allocations;
  for (std::uint64_t i = 1; i <= kEvents; ++i) {
    notifier.notify(nth_id(i));
    const EventSet events = listener.receive();
    if (events.size() != 1 || *events.begin() != nth_id(i)) break;
  }
  expect_no_allocation_since(before);
}

}  // namespace
}  // namespace sluice
