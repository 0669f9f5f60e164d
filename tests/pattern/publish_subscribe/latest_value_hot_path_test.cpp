// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading the latest value, and handing over slices, make no system call and allocate
// nothing once both sides know each other and the blocks of the slices are there.
#include <gtest/gtest.h>

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
constexpr std::uint32_t kDepth = 64;
/// All slots that a publisher with one subscriber has, and more.
constexpr std::uint64_t kWarmUp = 2 * (kDepth + 64);
constexpr std::size_t kLongest = 361;

struct Numbers {
  std::uint64_t first, second;
};

/// The length of the n-th slice: the longest at first, so that every slot has a block for it.
std::size_t length_of(std::uint64_t n) { return n <= kWarmUp ? kLongest : n % (kLongest + 1); }

/// Runs both in processes of their own. They `leave`, since destructors make system calls.
template <typename Send, typename Receive>
void expect_no_system_call(Send&& send, Receive&& receive) {
  TemporaryRoot root;
  const SharedPage<Progress> progress;
  {
    ChildProcess receiver([&](const ChildProcess::Line&) -> int {
      receive(*progress);
      return 9;
    });
    ChildProcess sender([&](const ChildProcess::Line&) -> int {
      send(*progress);
      return 9;
    });
    expect_that_both_succeed(sender, receiver);
  }
  { Node node("reaper"); }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(HotPath, WritingAndReadingTheLatestValueMakesNoSystemCall) {
  expect_no_system_call(
      [](Progress& progress) {
        Node node("writer");
        Writer<Numbers> writer(node, "state");
        if (!writer.write(Numbers{0, ~std::uint64_t{0}})) leave(1);
        while (!progress.connected.load(std::memory_order_acquire)) {
        }
        while (writer.readers() == 0) {
        }
        forbid_system_calls();
        for (std::uint64_t i = 1; i <= kSamples; ++i) {
          if (i % 2 == 0) {
            writer.write(writer.loan(i, ~i));
          } else if (!writer.write(Numbers{i, ~i})) {
            leave(2);
          }
        }
        leave(0);
      },
      [](Progress& progress) {
        Node node("reader");
        Reader<Numbers> reader(node, "state");
        for (std::uint64_t last = 0; last < kSamples;) {
          (void)reader.updated();
          const auto value = reader.read();
          if (!value) continue;
          if (value->first < last || value->second != ~value->first) leave(3);
          last = value->first;
          if (progress.connected.load(std::memory_order_relaxed)) continue;
          forbid_system_calls();
          progress.connected.store(true, std::memory_order_release);
        }
        leave(0);
      });
}

TEST(HotPath, SlicesMakeNoSystemCall) {
  expect_no_system_call(
      [](Progress& progress) {
        Node node("sender");
        Publisher<std::uint64_t[]> publisher(node, "slices", {.depth = kDepth});
        while (publisher.subscribers() == 0) {
        }
        for (std::uint64_t i = 1; i <= kSamples; ++i) {
          while (i > progress.received.load(std::memory_order_acquire) + kDepth) {
          }
          if (i == kWarmUp + 1) {
            while (progress.received.load(std::memory_order_acquire) < kWarmUp) {
            }
            forbid_system_calls();
          }
          auto loan = publisher.loan(length_of(i));
          if (!loan) leave(1);
          for (std::uint64_t& element : loan) element = i;
          publisher.publish(std::move(loan));
        }
        leave(0);
      },
      [](Progress& progress) {
        Node node("receiver");
        Subscriber<std::uint64_t[]> subscriber(node, "slices");
        for (std::uint64_t next = 1; next <= kSamples;) {
          auto sample = subscriber.receive();
          if (!sample) continue;
          if (sample.size() != length_of(next)) leave(2);
          for (const std::uint64_t element : sample) {
            if (element != next) leave(3);
          }
          sample.reset();
          if (next == kWarmUp) forbid_system_calls();
          progress.received.store(next++, std::memory_order_release);
        }
        leave(subscriber.lost() == 0 ? 0 : 4);
      });
}

TEST(HotPath, WritingAndReadingTheLatestValueAllocatesNothing) {
  TemporaryRoot root;
  Node node("test");
  Writer<Numbers> writer(node, "state");
  Reader<Numbers> reader(node, "state");
  ASSERT_TRUE(writer.write(Numbers{0, 0}));
  ASSERT_TRUE(reader.read());
  const std::uint64_t before = allocations;
  for (std::uint64_t i = 1; i <= kSamples; ++i) {
    writer.write(writer.loan(i, ~i));
    if (!reader.updated() || reader.read()->first != i || reader.updated()) break;
  }
  expect_no_allocation_since(before);
  EXPECT_EQ(reader.read()->first, kSamples);
}

TEST(HotPath, SlicesAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Publisher<std::uint64_t[]> publisher(node, "slices", {.depth = kDepth});
  Subscriber<std::uint64_t[]> subscriber(node, "slices");
  std::uint64_t before = 0;
  std::uint64_t received = 0;
  for (std::uint64_t i = 1; i <= kSamples; ++i) {
    if (i == kWarmUp + 1) before = allocations;
    publisher.publish(publisher.loan(length_of(i)));
    if (subscriber.receive().size() != length_of(i)) break;
    received = i;
  }
  expect_no_allocation_since(before);
  EXPECT_EQ(received, kSamples);
}

}  // namespace
}  // namespace sluice
