// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/spsc_index_queue.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Word = std::atomic<std::uint64_t>;

std::uint64_t entry(std::uint64_t position, std::uint32_t index) {
  return TaggedEntry::pack(position, index);
}

// The words of both halves, each in the middle of something larger.
class Halves {
 public:
  explicit Halves(std::size_t capacity)
      : capacity_(capacity), words_(capacity + 2), entries(words_.data() + 1), head(head_[1]) {
    // Whoever reads or writes beside the entries or the head meets these.
    for (Word* const guard : guards()) *guard = kGuard;
  }
  Halves(const Halves&) = delete;
  Halves& operator=(const Halves&) = delete;
  ~Halves() {
    for (Word* const guard : guards()) EXPECT_EQ(*guard, kGuard);
  }

  void start_afresh() {
    for (std::size_t i = 0; i != capacity_; ++i) entries[i] = 0;
    head = 0;
  }
  [[nodiscard]] SpscIndexQueue::Producer producer() { return {entries, head, capacity_}; }
  [[nodiscard]] SpscIndexQueue::Consumer consumer() { return {head, entries, capacity_}; }

 private:
  static constexpr std::uint64_t kGuard = 0xdeadbeefdeadbeef;

  [[nodiscard]] std::array<Word*, 4> guards() {
    return {&words_.front(), &words_.back(), &head_.front(), &head_.back()};
  }

  std::size_t capacity_;
  std::vector<Word> words_;
  alignas(kCacheLineBytes) std::array<Word, 3> head_{};

 public:
  Word* entries;
  Word& head;
};

TEST(SpscIndexQueue, ZeroedMemoryIsAnEmptyQueue) {
  Halves halves(4);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.empty());
  EXPECT_TRUE(consumer.empty());
  EXPECT_FALSE(producer.full());
  EXPECT_EQ(producer.position(), 0u);
  EXPECT_EQ(producer.consumed(), 0u);
  EXPECT_EQ(consumer.front(), std::nullopt);
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
  EXPECT_FALSE(producer.broken());
  EXPECT_FALSE(consumer.broken());
}

TEST(SpscIndexQueue, BothEndsKnowTheCapacity) {
  Halves halves(4);
  EXPECT_EQ(halves.producer().capacity(), 4u);
  EXPECT_EQ(halves.consumer().capacity(), 4u);
}

TEST(SpscIndexQueue, IndicesComeOutInTheOrderTheyWentIn) {
  Halves halves(4);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (const std::uint32_t index : {7u, 0u, 9u}) EXPECT_TRUE(producer.try_push(index));
  EXPECT_EQ(producer.size(), 3u);
  EXPECT_FALSE(consumer.empty());
  for (const std::uint32_t index : {7u, 0u, 9u}) EXPECT_EQ(consumer.try_pop(), index);
  EXPECT_EQ(consumer.try_pop(), std::nullopt);
  EXPECT_TRUE(producer.empty());
  EXPECT_TRUE(consumer.empty());
}

TEST(SpscIndexQueue, AnEntryHoldsItsPositionAndItsIndex) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (const std::uint32_t index : {7u, 8u}) EXPECT_TRUE(producer.try_push(index));
  EXPECT_EQ(consumer.try_pop(), 7u);
  EXPECT_TRUE(producer.try_push(9));
  EXPECT_EQ(halves.entries[0], entry(2, 9));
  EXPECT_EQ(halves.entries[1], entry(1, 8));
  EXPECT_EQ(halves.head, 1u);
}

TEST(SpscIndexQueue, AFullQueueRefusesTheNextPush) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_TRUE(producer.try_push(2));
  EXPECT_TRUE(producer.full());
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
  for (std::uint32_t index = 0; index != 5; ++index) {
    EXPECT_TRUE(producer.try_push(index));
    EXPECT_FALSE(producer.try_push(99));
    EXPECT_EQ(consumer.try_pop(), index);
    EXPECT_EQ(consumer.try_pop(), std::nullopt);
  }
}

TEST(SpscIndexQueue, AllTwentyFourBitsOfAnIndexArrive) {
  Halves halves(1);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (const std::uint32_t index : {0u, 1u, 0xaaaaaau, TaggedEntry::kMaxIndex}) {
    EXPECT_TRUE(producer.try_push(index));
    EXPECT_EQ(consumer.try_pop(), index);
  }
}

TEST(SpscIndexQueue, TheFrontStaysUntilItIsPopped) {
  Halves halves(1);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(5));
  EXPECT_EQ(consumer.front(), 5u);
  EXPECT_EQ(consumer.front(), 5u);
  EXPECT_FALSE(consumer.empty());
  EXPECT_EQ(producer.consumed(), 0u);
  EXPECT_FALSE(producer.try_push(6)) << "its entry is still the consumer's";
  consumer.pop();
  EXPECT_EQ(consumer.front(), std::nullopt);
  EXPECT_EQ(producer.consumed(), 1u);
  EXPECT_TRUE(producer.try_push(6));
}

TEST(SpscIndexQueue, TheProducerCountsWhatItPushedAndWhatWasConsumed) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  for (std::uint64_t round = 0; round != 5; ++round) {
    EXPECT_EQ(producer.position(), round);
    EXPECT_TRUE(producer.try_push(3));
    EXPECT_EQ(producer.position(), round + 1);
    EXPECT_EQ(producer.consumed(), round);
    EXPECT_EQ(consumer.try_pop(), 3u);
    EXPECT_EQ(producer.consumed(), round + 1);
  }
}

TEST(SpscIndexQueue, ARefusedPushIsNotCounted) {
  Halves halves(1);
  auto producer = halves.producer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_FALSE(producer.try_push(2));
  EXPECT_EQ(producer.position(), 1u);
}

TEST(SpscIndexQueue, AnEndCanBeMoved) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_EQ(consumer.try_pop(), 1u);
  EXPECT_TRUE(producer.try_push(2));
  auto moved_producer = std::move(producer);
  auto moved_consumer = std::move(consumer);
  EXPECT_EQ(moved_producer.position(), 2u);
  EXPECT_TRUE(moved_producer.try_push(3));
  EXPECT_FALSE(moved_producer.try_push(4));
  EXPECT_EQ(moved_consumer.try_pop(), 2u);
  EXPECT_EQ(moved_consumer.try_pop(), 3u);
}

TEST(SpscIndexQueue, HalvesFullOfZerosStartAfresh) {
  Halves halves(2);
  auto old_producer = halves.producer();
  auto old_consumer = halves.consumer();
  for (const std::uint32_t index : {1u, 2u}) EXPECT_TRUE(old_producer.try_push(index));
  EXPECT_EQ(old_consumer.try_pop(), 1u);
  halves.start_afresh();
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.empty());
  EXPECT_TRUE(consumer.empty());
  for (const std::uint32_t index : {3u, 4u}) EXPECT_TRUE(producer.try_push(index));
  EXPECT_EQ(consumer.try_pop(), 3u);
  EXPECT_EQ(consumer.try_pop(), 4u);
}

// Once broken, an end stays so, whatever its peer does to make up for it.
void expect_nothing_goes_in_any_more(SpscIndexQueue::Producer& producer, Word& head) {
  EXPECT_TRUE(producer.broken());
  EXPECT_TRUE(producer.full());
  const std::uint64_t position = producer.position();
  const std::uint64_t consumed = producer.consumed();
  head = position;
  EXPECT_FALSE(producer.try_push(1));
  EXPECT_EQ(producer.position(), position);
  EXPECT_EQ(producer.consumed(), consumed) << "nothing more is known to be consumed";
  EXPECT_TRUE(producer.broken());
  EXPECT_TRUE(producer.full());
}

TEST(SpscIndexQueue, TheProducerReportsAHeadBeyondWhatItPushed) {
  Halves halves(1);
  auto producer = halves.producer();
  EXPECT_TRUE(producer.try_push(1));
  halves.head = 2;
  EXPECT_EQ(producer.size(), 1u) << "it counts as full";
  EXPECT_FALSE(producer.try_push(2));
  expect_nothing_goes_in_any_more(producer, halves.head);
}

TEST(SpscIndexQueue, TheProducerReportsAHeadThatWentBackwards) {
  Halves halves(2);
  auto producer = halves.producer();
  for (std::uint32_t i = 0; i != 4; ++i) {
    EXPECT_TRUE(producer.try_push(i));
    halves.head = i + 1;
  }
  halves.head = 1;  // less than the 2 that made room for the third push
  EXPECT_FALSE(producer.try_push(4));
  expect_nothing_goes_in_any_more(producer, halves.head);
}

TEST(SpscIndexQueue, AskingWhatWasConsumedFindsABrokenHeadToo) {
  Halves halves(4);
  auto producer = halves.producer();
  for (std::uint32_t i = 0; i != 2; ++i) EXPECT_TRUE(producer.try_push(i));
  halves.head = 1;
  EXPECT_EQ(producer.consumed(), 1u);
  halves.head = 3;
  EXPECT_EQ(producer.consumed(), 1u);
  expect_nothing_goes_in_any_more(producer, halves.head);
}

TEST(SpscIndexQueue, WhatWasConsumedNeverGoesBackwards) {
  Halves halves(4);
  auto producer = halves.producer();
  for (std::uint32_t i = 0; i != 3; ++i) EXPECT_TRUE(producer.try_push(i));
  halves.head = 2;
  EXPECT_EQ(producer.consumed(), 2u);
  halves.head = 1;
  EXPECT_EQ(producer.consumed(), 2u);
  expect_nothing_goes_in_any_more(producer, halves.head);
}

// `broken` is an entry that an honest producer cannot have written at the consumer's position.
void expect_broken(Halves& halves, SpscIndexQueue::Consumer& consumer, Word& place,
                   std::uint64_t broken) {
  place = broken;
  EXPECT_TRUE(consumer.empty());
  const std::uint64_t head = halves.head;
  EXPECT_EQ(consumer.front(), std::nullopt);
  EXPECT_TRUE(consumer.broken());
  place = entry(head, 1);
  EXPECT_EQ(consumer.try_pop(), std::nullopt) << "a broken queue stays broken";
  EXPECT_TRUE(consumer.empty());
  EXPECT_TRUE(consumer.broken());
  EXPECT_EQ(halves.head, head);
}

TEST(SpscIndexQueue, TheConsumerReportsAnEntryOfTheNextLap) {
  Halves halves(2);
  auto consumer = halves.consumer();
  expect_broken(halves, consumer, halves.entries[0], entry(2, 1));
}

TEST(SpscIndexQueue, TheConsumerReportsAnEntryOfAnotherPlace) {
  Halves halves(2);
  auto consumer = halves.consumer();
  expect_broken(halves, consumer, halves.entries[0], entry(1, 1));
}

TEST(SpscIndexQueue, InTheFirstLapTheConsumerReportsAnyOtherEntryThanZero) {
  // What a lap before the first would have left, and an index without a position.
  for (const std::uint64_t broken : {entry(std::uint64_t{0} - 2, 1), std::uint64_t{1}}) {
    Halves halves(2);
    auto consumer = halves.consumer();
    expect_broken(halves, consumer, halves.entries[0], broken);
  }
}

TEST(SpscIndexQueue, LaterTheConsumerReportsAnEntryOlderThanTheLapBefore) {
  for (const std::uint64_t broken : {std::uint64_t{0}, entry(0, 1), entry(1, 1), entry(3, 1)}) {
    Halves halves(2);
    auto producer = halves.producer();
    auto consumer = halves.consumer();
    for (std::uint32_t i = 0; i != 4; ++i) {
      EXPECT_TRUE(producer.try_push(i));
      EXPECT_EQ(consumer.try_pop(), i);
    }
    EXPECT_EQ(consumer.front(), std::nullopt);
    EXPECT_FALSE(consumer.broken()) << "position 2 is still there";
    expect_broken(halves, consumer, halves.entries[0], broken);
  }
}

TEST(SpscIndexQueue, AFrontThatIsTakenBackIsReported) {
  Halves halves(2);
  auto producer = halves.producer();
  auto consumer = halves.consumer();
  EXPECT_TRUE(producer.try_push(1));
  EXPECT_EQ(consumer.front(), 1u);
  expect_broken(halves, consumer, halves.entries[0], entry(2, 1));
}

TEST(SpscIndexQueue, TheIndexOfABrokenProducerIsHandedOutAsItIs) {
  Halves halves(2);
  auto consumer = halves.consumer();
  halves.entries[0] = entry(0, TaggedEntry::kMaxIndex);
  EXPECT_EQ(consumer.try_pop(), TaggedEntry::kMaxIndex);
  EXPECT_FALSE(consumer.broken());
}

// Every head that a peer may claim is either refused or what it says, and nothing beside the
// entries is touched: the guards are checked by `Halves`, everything else by the sanitizers.
TEST(SpscIndexQueue, NoHeadOfAPeerLeadsOutOfBounds) {
  for (std::uint64_t head = 0; head != 200; ++head) {
    for (const std::uint64_t claimed : {head, ~head, head << 56}) {
      Halves halves(2);
      auto producer = halves.producer();
      for (std::uint32_t i = 0; i != 2; ++i) EXPECT_TRUE(producer.try_push(i));
      halves.head = claimed;
      for (std::uint64_t i = 0; i != 5; ++i) {
        EXPECT_EQ(producer.try_push(1), claimed <= 2 && i < claimed);
      }
      EXPECT_EQ(producer.broken(), claimed > 2);
      EXPECT_EQ(producer.consumed(), claimed > 2 ? 0 : claimed);
    }
  }
}

TEST(SpscIndexQueue, NoEntryOfAPeerLeadsOutOfBounds) {
  for (std::uint64_t word = 0; word != 200; ++word) {
    for (const std::uint64_t claimed : {word, ~word, word << 24, word << 56}) {
      Halves halves(2);
      auto consumer = halves.consumer();
      halves.entries[0] = claimed;
      halves.entries[1] = claimed;
      std::uint64_t popped = 0;
      for (int i = 0; i != 5; ++i) popped += consumer.try_pop().has_value();
      // At most one of the two entries is of the position that it stands at.
      EXPECT_EQ(popped, TaggedEntry::tag(claimed) == 1 ? 1u : 0u);
      EXPECT_EQ(consumer.broken(), claimed != 0);
      EXPECT_EQ(halves.head, popped);
    }
  }
}

void everything_arrives(std::size_t capacity, std::uint32_t count) {
  Halves halves(capacity);
  std::thread pushing([&] {
    auto producer = halves.producer();
    for (std::uint32_t i = 0; i != count; ++i) {
      while (!producer.try_push(i)) std::this_thread::yield();
    }
  });
  auto consumer = halves.consumer();
  for (std::uint32_t i = 0; i != count;) {
    if (const auto index = consumer.try_pop()) {
      EXPECT_EQ(*index, i);
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
  std::vector<std::uint32_t> free_slots{0, 1, 2, 3};
  std::uint64_t answered = 0;
  for (std::uint64_t sent = 0; answered != kRounds;) {
    if (sent != kRounds && !free_slots.empty()) {
      const std::uint32_t slot = free_slots.back();
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

// The consumer keeps what it popped for a while: a claim, stored before the pop, says so.
TEST(SpscIndexQueue, AClaimedPayloadIsKeptBehindThePop) {
  constexpr std::uint32_t kSlots = 3;
  constexpr std::uint64_t kRounds = 50'000;
  Halves halves(2);
  Word claim{0};
  std::array<std::uint64_t, kSlots> payloads{};
  std::thread reading([&] {
    auto consumer = halves.consumer();
    for (std::uint64_t i = 0; i != kRounds;) {
      const auto slot = consumer.front();
      if (!slot) {
        std::this_thread::yield();
        continue;
      }
      claim.store(*slot + 1, std::memory_order_release);
      consumer.pop();
      EXPECT_EQ(payloads[*slot], i++);
      claim.store(0, std::memory_order_release);
    }
  });
  auto producer = halves.producer();
  std::array<std::uint64_t, kSlots> free_from{};  // what must be consumed before it is free
  for (std::uint64_t i = 0; i != kRounds;) {
    bool pushed = false;
    for (std::uint32_t slot = 0; slot != kSlots && !pushed; ++slot) {
      if (producer.consumed() < free_from[slot]) continue;
      if (claim.load(std::memory_order_acquire) == slot + 1 || producer.full()) continue;
      payloads[slot] = i;
      EXPECT_TRUE(producer.try_push(slot));
      free_from[slot] = producer.position();
      pushed = true;
      ++i;
    }
    if (!pushed) std::this_thread::yield();
  }
  reading.join();
}

}  // namespace
}  // namespace sluice
