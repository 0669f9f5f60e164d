// SPDX-License-Identifier: Apache-2.0
//
// Loan, publish, receive and release make no system call and allocate nothing. How many
// instructions they take is for tests/cost to say.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/hot_path.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kSamples = 100'000;
constexpr std::uint32_t kDepth = 1024;  // so much that busy machines switch seldom

struct Numbers {
  std::uint64_t first, second;
};

template <typename Exchange>
void publish_in_step(Publisher<Numbers>& publisher, Progress& progress, Exchange&& exchange) {
  for (std::uint64_t i = 1; i <= kSamples; ++i) {
    while (i > progress.received.load(std::memory_order_acquire) + kDepth) {
    }
    if (!exchange(publisher, i)) leave(10);
  }
}

template <typename Exchange>
void expect_no_system_call(Exchange&& exchange) {
  TemporaryRoot root;
  const SharedPage<Progress> progress;
  {
    ChildProcess receiver([&](const ChildProcess::Line&) -> int {
      Node node("receiver");
      Subscriber<Numbers> subscriber(node, "numbers");
      for (std::uint64_t next = 0; next <= kSamples;) {
        auto sample = subscriber.receive();
        if (!sample) continue;
        if (sample->first != next || sample->second != ~next || sample.sequence() != next) leave(1);
        sample.reset();
        if (next == 0) forbid_system_calls();
        progress->received.store(++next - 1, std::memory_order_release);
        progress->connected.store(true, std::memory_order_release);
      }
      leave(subscriber.lost() == 0 ? 0 : 2);
    });
    ChildProcess sender([&](const ChildProcess::Line&) -> int {
      Node node("sender");
      Publisher<Numbers> publisher(node, "numbers", {.history = 1, .depth = kDepth});
      if (!exchange(publisher, 0)) leave(3);
      while (!progress->connected.load(std::memory_order_acquire)) {
      }
      // Both sides know each other; the last look at who has come is behind them.
      while (publisher.subscribers() == 0) {
      }
      forbid_system_calls();
      publish_in_step(publisher, *progress, exchange);
      leave(0);
    });
    expect_that_both_succeed(sender, receiver);
  }
  { Node node("reaper"); }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(HotPath, LoanPublishReceiveAndReleaseMakeNoSystemCall) {
  expect_no_system_call([](Publisher<Numbers>& publisher, std::uint64_t i) {
    auto loan = publisher.loan();
    if (!loan) return false;
    *loan = {i, ~i};
    return publisher.publish(std::move(loan)) == i;
  });
}

TEST(HotPath, PublishingACopyMakesNoSystemCall) {
  expect_no_system_call([](Publisher<Numbers>& publisher, std::uint64_t i) {
    return static_cast<bool>(publisher.publish(Numbers{i, ~i}));
  });
}

TEST(HotPath, AnySystemCallWouldBeNoticed) {
  ChildProcess child([](const ChildProcess::Line&) -> int {
    forbid_system_calls();
    ::syscall(SYS_getpid);
    leave(0);
  });
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
}

TEST(HotPath, LoanPublishReceiveAndReleaseAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Publisher<Numbers> publisher(node, "numbers");
  Subscriber<Numbers> subscriber(node, "numbers");
  ASSERT_TRUE(publisher.publish(Numbers{0, 0}));
  ASSERT_TRUE(subscriber.receive());
  const std::uint64_t before = allocations;
  for (std::uint64_t i = 1; i <= kSamples; ++i) {
    publisher.publish(publisher.loan(i, ~i));
    const auto sample = subscriber.receive();
    if (!sample || sample->first != i) break;
  }
  expect_no_allocation_since(before);
}

TEST(HotPath, RefusalsThatRepeatAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Publisher<Numbers> publisher(node, "numbers", {.max_loans = 1});
  Subscriber<Numbers> subscriber(node, "numbers", {.max_borrowed = 1});
  ASSERT_TRUE(publisher.publish(Numbers{0, 0}));
  const auto sample = subscriber.receive();
  const auto loan = publisher.loan();
  ASSERT_TRUE(sample && loan);
  const auto expect_refused = [&] {
    EXPECT_EQ(publisher.loan().error(), Errc::too_many_loans);
    EXPECT_EQ(publisher.publish(Numbers{1, 1}).error(), Errc::too_many_loans);
    EXPECT_EQ(subscriber.receive().error(), Errc::too_many_borrowed);
  };
  expect_refused();
  const std::uint64_t before = allocations;
  for (int i = 0; i < 1000; ++i) expect_refused();
  expect_no_allocation_since(before);
  EXPECT_NE(publisher.last_failure().message.find("max_loans"), std::string::npos);
}

TEST(HotPath, NoRoomAllocatesNothingBetweenTwoLooks) {
  TemporaryRoot root;
  Node node("test");
  Publisher<Numbers> publisher(node, "numbers", {.depth = 1, .delivery = Delivery::lossless});
  const Subscriber<Numbers> subscriber(node, "numbers");
  while (publisher.publish(Numbers{0, 0})) {
  }
  // A look, every 50 ms, makes system calls and allocates.
  int that_allocated = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t before = allocations;
    EXPECT_EQ(publisher.loan().error(), Errc::would_block);
    EXPECT_EQ(publisher.publish(Numbers{0, 0}).error(), Errc::would_block);
    that_allocated += allocations != before ? 1 : 0;
  }
  EXPECT_LT(that_allocated, 100);
}

}  // namespace
}  // namespace sluice
