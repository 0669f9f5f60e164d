// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/queue/mpmc_index_queue.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using Words = MpmcIndexQueue::Words;

// The shared words, in memory of their own.
class Memory {
 public:
  explicit Memory(std::size_t capacity)
      : memory_(::operator new (Words::bytes(capacity) + sizeof(std::uint64_t),
                                std::align_val_t{kCacheLineBytes})),
        words(*Words::create(memory_, capacity)),
        queue(words, capacity) {
    // Whoever writes beyond the last cell changes this.
    guard_ = new (static_cast<char*>(memory_) + Words::bytes(capacity))
        std::atomic<std::uint64_t>{kGuard};
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    EXPECT_EQ(guard_->load(), kGuard);
    ::operator delete (memory_, std::align_val_t{kCacheLineBytes});
  }

 private:
  static constexpr std::uint64_t kGuard = 0xdeadbeefdeadbeef;

  void* memory_;
  std::atomic<std::uint64_t>* guard_;

 public:
  Words& words;
  MpmcIndexQueue queue;
};

TEST(MpmcIndexQueue, ANewQueueIsEmpty) {
  Memory memory(4);
  EXPECT_TRUE(memory.queue.empty());
  EXPECT_FALSE(memory.queue.full());
  EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
}

TEST(MpmcIndexQueue, ZeroedMemoryIsAnEmptyQueue) {
  alignas(kCacheLineBytes) unsigned char zeroes[Words::bytes(2)] = {};
  MpmcIndexQueue queue(*reinterpret_cast<Words*>(zeroes), 2);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
  EXPECT_TRUE(queue.try_push(5));
  EXPECT_EQ(queue.try_pop(), 5u);
}

TEST(MpmcIndexQueue, ValuesComeOutInTheOrderTheyWentIn) {
  Memory memory(4);
  for (std::uint32_t value : {7u, 0u, 0xffffffffu}) EXPECT_TRUE(memory.queue.try_push(value));
  EXPECT_EQ(memory.queue.size(), 3u);
  for (std::uint32_t value : {7u, 0u, 0xffffffffu}) EXPECT_EQ(memory.queue.try_pop(), value);
  EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
}

TEST(MpmcIndexQueue, AFullQueueRefusesTheNextPush) {
  Memory memory(2);
  EXPECT_TRUE(memory.queue.try_push(1));
  EXPECT_TRUE(memory.queue.try_push(2));
  EXPECT_TRUE(memory.queue.full());
  EXPECT_FALSE(memory.queue.try_push(3));
  EXPECT_EQ(memory.queue.try_pop(), 1u);
  EXPECT_TRUE(memory.queue.try_push(3));
  EXPECT_EQ(memory.queue.try_pop(), 2u);
  EXPECT_EQ(memory.queue.try_pop(), 3u);
}

TEST(MpmcIndexQueue, ACapacityOfOneHoldsOneLapAfterLap) {
  Memory memory(1);
  for (std::uint32_t value = 0; value != 10; ++value) {
    EXPECT_TRUE(memory.queue.try_push(value));
    EXPECT_FALSE(memory.queue.try_push(99));
    EXPECT_EQ(memory.queue.try_pop(), value);
    EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
  }
}

// Positions and turns just before the turn, and then the position, starts again from zero.
TEST(MpmcIndexQueue, TurnsAndPositionsMayPassTheLargestNumber) {
  for (const std::uint64_t start : {(std::uint64_t{1} << 32) - 2, ~std::uint64_t{0} - 1}) {
    Memory memory(2);
    memory.words.tail = start;
    memory.words.head = start;
    const auto lap = static_cast<std::uint32_t>(start / 2);
    memory.words.cells()[0] = std::uint64_t{2 * lap} << 32;
    memory.words.cells()[1] = std::uint64_t{2 * lap} << 32;
    for (std::uint32_t round = 0; round != 5; ++round) {
      EXPECT_TRUE(memory.queue.try_push(round));
      EXPECT_TRUE(memory.queue.try_push(round + 100));
      EXPECT_FALSE(memory.queue.try_push(0));
      EXPECT_EQ(memory.queue.size(), 2u);
      EXPECT_EQ(memory.queue.try_pop(), round);
      EXPECT_EQ(memory.queue.try_pop(), round + 100);
      EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
    }
  }
}

TEST(MpmcIndexQueue, APushKilledBeforeItMovedTheTailOnHasHappened) {
  for (const std::size_t capacity : {1u, 2u}) {
    Memory memory(capacity);
    EXPECT_TRUE(memory.queue.try_push(1));
    memory.words.tail = 0;  // what a push killed after its compare-and-swap leaves behind
    EXPECT_EQ(memory.queue.try_push(2), capacity == 2);
    EXPECT_EQ(memory.queue.try_pop(), 1u);
    EXPECT_EQ(memory.queue.try_pop(), capacity == 2 ? std::optional(2u) : std::nullopt);
    EXPECT_TRUE(memory.queue.empty());
  }
}

TEST(MpmcIndexQueue, APopKilledBeforeItMovedTheHeadOnHasHappened) {
  for (const std::size_t capacity : {1u, 2u}) {
    Memory memory(capacity);
    EXPECT_TRUE(memory.queue.try_push(1));
    EXPECT_EQ(memory.queue.try_pop(), 1u);
    memory.words.head = 0;  // what a pop killed after its compare-and-swap leaves behind
    EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
    for (std::uint32_t i = 0; i != capacity; ++i) EXPECT_TRUE(memory.queue.try_push(i));
    memory.words.head = 0;
    for (std::uint32_t i = 0; i != capacity; ++i) EXPECT_EQ(memory.queue.try_pop(), i);
  }
}

TEST(MpmcIndexQueue, ATailAndAHeadLeftBehindTogetherAreMovedOn) {
  Memory memory(1);
  EXPECT_TRUE(memory.queue.try_push(1));
  EXPECT_EQ(memory.queue.try_pop(), 1u);
  memory.words.tail = 0;
  memory.words.head = 0;
  EXPECT_TRUE(memory.queue.try_push(2));
  memory.words.tail = 1;
  EXPECT_EQ(memory.queue.try_pop(), 2u);
  EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
}

// Whatever the words hold, a call ends and stays inside the cells: the guard is checked by
// `Memory`.
TEST(MpmcIndexQueue, NoContentOfTheWordsHangsACallOrLeadsOutOfBounds) {
  const std::uint64_t odd_words[] = {0,
                                     1,
                                     2,
                                     3,
                                     5,
                                     1000,
                                     std::uint64_t{1} << 32,
                                     std::uint64_t{7} << 32,
                                     std::uint64_t{1} << 62,
                                     std::uint64_t{1} << 63,
                                     ~std::uint64_t{0}};
  for (const std::uint64_t tail : odd_words) {
    for (const std::uint64_t head : odd_words) {
      for (const std::uint64_t cell : odd_words) {
        Memory memory(2);
        memory.words.tail = tail;
        memory.words.head = head;
        memory.words.cells()[0] = cell;
        memory.words.cells()[1] = cell;
        for (int i = 0; i != 4; ++i) static_cast<void>(memory.queue.try_push(1));
        for (int i = 0; i != 4; ++i) static_cast<void>(memory.queue.try_pop());
        EXPECT_LE(memory.queue.size(), 2u);
      }
    }
  }
}

// Each value is pushed once, by one of the producers, and must be popped once; and what comes from
// one producer must reach one consumer in order. The payload that a value stands for is plain
// memory, so that ThreadSanitizer sees whether the orders suffice.
void every_value_arrives_once(std::size_t capacity, std::uint32_t producers,
                              std::uint32_t consumers, std::uint32_t values_each) {
  Memory memory(capacity);
  std::vector<std::uint32_t> payloads(std::size_t{producers} * values_each);
  std::atomic<std::uint32_t> left{producers * values_each};
  std::vector<std::vector<std::uint32_t>> popped(consumers);
  std::vector<std::thread> threads;
  for (std::uint32_t p = 0; p != producers; ++p) {
    threads.emplace_back([&, p] {
      for (std::uint32_t i = 0; i != values_each; ++i) {
        const std::uint32_t value = p * values_each + i;
        payloads[value] = ~value;
        while (!memory.queue.try_push(value)) std::this_thread::yield();
      }
    });
  }
  for (std::uint32_t c = 0; c != consumers; ++c) {
    threads.emplace_back([&, c] {
      while (left.load(std::memory_order_relaxed) != 0) {
        if (const auto value = memory.queue.try_pop()) {
          EXPECT_EQ(payloads[*value], ~*value);
          popped[c].push_back(*value);
          left.fetch_sub(1, std::memory_order_relaxed);
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();

  std::vector<std::uint32_t> all;
  for (const auto& values : popped) {
    std::vector<std::uint32_t> next(producers);
    for (const std::uint32_t value : values) {
      EXPECT_GE(value % values_each, next[value / values_each]) << "out of order";
      next[value / values_each] = value % values_each + 1;
    }
    all.insert(all.end(), values.begin(), values.end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), payloads.size());
  for (std::uint32_t i = 0; i != all.size(); ++i) ASSERT_EQ(all[i], i);
  EXPECT_EQ(memory.queue.try_pop(), std::nullopt);
}

TEST(MpmcIndexQueue, ThreadsLoseNothingAndRepeatNothing) {
  every_value_arrives_once(8, 2, 2, 50'000);
}
TEST(MpmcIndexQueue, ThreadsShareACapacityOfOne) { every_value_arrives_once(1, 2, 2, 10'000); }
TEST(MpmcIndexQueue, ManyThreadsShareACapacityOfTwo) { every_value_arrives_once(2, 4, 4, 5'000); }

}  // namespace
}  // namespace sluice
