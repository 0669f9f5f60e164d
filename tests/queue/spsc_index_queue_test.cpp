// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/queue/spsc_index_queue.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using ProducerHalf = SpscIndexQueue::ProducerHalf;
using ConsumerHalf = SpscIndexQueue::ConsumerHalf;

// The words of both halves, in memory of their own.
class Halves {
 public:
  explicit Halves(std::size_t capacity)
      : memory_(::operator new (ProducerHalf::bytes(capacity) + kCacheLineBytes,
                                std::align_val_t{kCacheLineBytes})),
        capacity_(capacity),
        written(*ProducerHalf::create(memory_, capacity)) {
    // Whoever reads or writes beyond the last entry meets this.
    guard_ = new (static_cast<char*>(memory_) + ProducerHalf::bytes(capacity))
        std::atomic<std::uint64_t>{kGuard};
  }
  Halves(const Halves&) = delete;
  Halves& operator=(const Halves&) = delete;
  ~Halves() {
    EXPECT_EQ(guard_->load(), kGuard);
    ::operator delete (memory_, std::align_val_t{kCacheLineBytes});
  }

  [[nodiscard]] SpscIndexQueue::Producer producer() { return {written, read, capacity_}; }
  [[nodiscard]] SpscIndexQueue::Consumer consumer() { return {read, written, capacity_}; }

 private:
  static constexpr std::uint64_t kGuard = 0xdeadbeefdeadbeef;

  void* memory_;
  std::size_t capacity_;
  std::atomic<std::uint64_t>* guard_;

 public:
  ProducerHalf& written;
  ConsumerHalf read;
};

TEST(SpscIndexQueue, ANewQueueIsEmptyAtBothEnds) {
  Halves halves(4);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.empty());
  EXPECT_TRUE(consumer.empty());
  EXPECT_FALSE(producer.full());
  EXPECT_FALSE(consumer.full());
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
  EXPECT_FALSE(consumer.broken());
}

TEST(SpscIndexQueue, ValuesComeOutInTheOrderTheyWentIn) {
  Halves halves(4);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (std::uint64_t value : {7u, 0u, 9u}) EXPECT_TRUE(producer.try_push(value));
  EXPECT_EQ(producer.size(), 3u);
  EXPECT_EQ(consumer.size(), 3u);
  for (std::uint64_t value : {7u, 0u, 9u}) EXPECT_EQ(consumer.try_pop(), value);
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
}

TEST(SpscIndexQueue, AFullQueueRefusesTheNextPush) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_TRUE(producer.try_push(2));
  EXPECT_TRUE(producer.full());
  EXPECT_TRUE(consumer.full());
  EXPECT_FALSE(producer.try_push(3));
  EXPECT_EQ(consumer.try_pop(), 1u);
  EXPECT_TRUE(producer.try_push(3));
  EXPECT_EQ(consumer.try_pop(), 2u);
  EXPECT_EQ(consumer.try_pop(), 3u);
  EXPECT_FALSE(producer.broken());
}

TEST(SpscIndexQueue, ACapacityOfOneHoldsOne) {
  Halves halves(1);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (std::uint64_t value = 0; value != 5; ++value) {
    EXPECT_TRUE(producer.try_push(value));
    EXPECT_FALSE(producer.try_push(99));
    EXPECT_EQ(consumer.try_pop(), value);
    EXPECT_EQ(consumer.try_pop(), std::nullopt);
  }
}

TEST(SpscIndexQueue, AllSixtyFourBitsOfAValueArrive) {
  Halves halves(1);
  EXPECT_TRUE(halves.producer().try_push(~std::uint64_t{0}));
  EXPECT_EQ(halves.consumer().try_pop(), ~std::uint64_t{0});
}

TEST(SpscIndexQueue, ThePositionsMayPassTheLargestNumber) {
  Halves halves(4);
  const std::uint64_t last = ~std::uint64_t{0} - 1;
  halves.written.tail = last;
  halves.read.head = last;
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (std::uint64_t round = 0; round != 4; ++round) {
    for (std::uint64_t i = 0; i != 4; ++i) EXPECT_TRUE(producer.try_push(10 * round + i));
    EXPECT_FALSE(producer.try_push(0));
    EXPECT_EQ(producer.size(), 4u);
    for (std::uint64_t i = 0; i != 4; ++i) EXPECT_EQ(consumer.try_pop(), 10 * round + i);
    EXPECT_EQ(consumer.try_pop(), std::nullopt);
  }
  EXPECT_FALSE(producer.broken());
  EXPECT_FALSE(consumer.broken());
}

TEST(SpscIndexQueue, ASecondEndGoesOnWhereTheFirstOneStopped) {
  Halves halves(4);
  EXPECT_TRUE(halves.producer().try_push(1));
  EXPECT_TRUE(halves.producer().try_push(2));
  EXPECT_EQ(halves.consumer().try_pop(), 1u);
  EXPECT_EQ(halves.consumer().try_pop(), 2u);
  EXPECT_EQ(halves.consumer().try_pop(), std::nullopt);
}

TEST(SpscIndexQueue, CreatingTheHalvesAgainStartsAfresh) {
  Halves halves(2);
  auto old_producer = halves.producer();
  EXPECT_TRUE(old_producer.try_push(1));
  ProducerHalf::create(&halves.written, 2);
  ConsumerHalf::create(&halves.read);
  EXPECT_TRUE(halves.consumer().empty());
  EXPECT_TRUE(halves.producer().empty());
}

TEST(SpscIndexQueue, TheConsumerReportsATailTooFarAhead) {
  Halves halves(2);
  auto consumer = halves.consumer();
  halves.written.tail = 3;
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
  EXPECT_TRUE(consumer.broken());
  halves.written.tail = 1;
  EXPECT_EQ(consumer.try_pop(), std::nullopt) << "a broken queue stays broken";
  EXPECT_TRUE(consumer.empty());
}

TEST(SpscIndexQueue, TheConsumerReportsATailThatWentBackwards) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_EQ(consumer.try_pop(), 1u);
  halves.written.tail = 0;
  EXPECT_EQ(consumer.size(), 0u);
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
  EXPECT_TRUE(consumer.broken());
}

TEST(SpscIndexQueue, TheProducerReportsAHeadBeyondItsTail) {
  Halves halves(2);
  auto producer = halves.producer();
  halves.read.head = 1;
  EXPECT_EQ(producer.size(), 2u);
  EXPECT_FALSE(producer.try_push(1));
  EXPECT_TRUE(producer.broken());
  halves.read.head = 0;
  EXPECT_FALSE(producer.try_push(1)) << "a broken queue stays broken";
  EXPECT_TRUE(producer.full());
}

TEST(SpscIndexQueue, TheProducerReportsAHeadThatWentBackwards) {
  Halves halves(2);
  auto producer = halves.producer();
  for (std::uint64_t i = 0; i != 4; ++i) {
    EXPECT_TRUE(producer.try_push(i));
    halves.read.head = i + 1;
  }
  halves.read.head = 1;  // less than the 2 that made room for the third push
  EXPECT_FALSE(producer.try_push(4));
  EXPECT_TRUE(producer.broken());
}

// Every position that a peer may claim is either refused or stays inside the entries: the guard
// behind them is checked by `Halves`, everything else by the sanitizers.
TEST(SpscIndexQueue, NoPositionOfAPeerLeadsOutOfBounds) {
  for (std::uint64_t position = 0; position != 200; ++position) {
    for (const std::uint64_t claimed : {position, ~position, position << 56}) {
      Halves halves(2);
      auto producer = halves.producer();
      auto consumer = halves.consumer();
      halves.written.tail = claimed;
      for (int i = 0; i != 5; ++i) {
        EXPECT_TRUE(!consumer.try_pop() || claimed <= 2);
      }
      halves.read.head = claimed;
      for (int i = 0; i != 5; ++i) static_cast<void>(producer.try_push(1));
      EXPECT_EQ(consumer.broken(), claimed > 2);
    }
  }
}

void everything_arrives(std::size_t capacity, std::uint64_t count) {
  Halves halves(capacity);
  std::thread pushing([&] {
    auto producer = halves.producer();
    for (std::uint64_t i = 0; i != count; ++i) {
      while (!producer.try_push(i)) std::this_thread::yield();
    }
  });
  auto consumer = halves.consumer();
  for (std::uint64_t i = 0; i != count;) {
    if (const auto value = consumer.try_pop()) {
      ASSERT_EQ(*value, i);
      ++i;
    } else {
      std::this_thread::yield();
    }
  }
  pushing.join();
  EXPECT_TRUE(consumer.empty());
  EXPECT_FALSE(consumer.broken());
}

TEST(SpscIndexQueue, TwoThreadsLoseNothingAndRepeatNothing) { everything_arrives(8, 200'000); }
TEST(SpscIndexQueue, TwoThreadsShareACapacityOfOne) { everything_arrives(1, 20'000); }

// Two queues in a circle, as in a lane: handles go one way, come back the other, and each of them
// hands over a payload in plain memory, so that ThreadSanitizer sees whether the orders suffice.
TEST(SpscIndexQueue, APayloadBelongsToWhoeverHoldsItsIndex) {
  constexpr std::size_t kSlots = 4;
  constexpr std::uint64_t kRounds = 50'000;
  Halves there(kSlots);
  Halves back(kSlots);
  std::vector<std::uint64_t> payloads(kSlots);
  std::thread working([&] {
    auto requests = there.consumer();
    auto returns = back.producer();
    for (std::uint64_t i = 0; i != kRounds;) {
      if (const auto slot = requests.try_pop()) {
        EXPECT_EQ(payloads[*slot], i);
        payloads[*slot] = ~i;
        EXPECT_TRUE(returns.try_push(*slot));
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  auto requests = there.producer();
  auto returns = back.consumer();
  std::vector<std::uint64_t> free_slots{0, 1, 2, 3};
  std::uint64_t answered = 0;
  for (std::uint64_t sent = 0; answered != kRounds;) {
    if (sent != kRounds && !free_slots.empty()) {
      const std::uint64_t slot = free_slots.back();
      free_slots.pop_back();
      payloads[slot] = sent++;
      EXPECT_TRUE(requests.try_push(slot));
    } else if (const auto slot = returns.try_pop()) {
      EXPECT_EQ(payloads[*slot], ~answered);
      free_slots.push_back(*slot);
      ++answered;
    } else {
      std::this_thread::yield();
    }
  }
  working.join();
}

}  // namespace
}  // namespace sluice
