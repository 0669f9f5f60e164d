// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <optional>
#include <sluice/queue/broadcast_index_queue.hpp>
#include <span>
#include <thread>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kIncarnation = 7;
constexpr std::uint64_t kFirstRequest = 100;
constexpr std::size_t kMostClaims = 8;

// The words of one subscriber, and what the publisher knows of it.
struct Subscriber {
  alignas(kCacheLineBytes) std::array<unsigned char, BroadcastRow::bytes(kMostClaims)> memory{};
  BroadcastRow* row = new (memory.data()) BroadcastRow{};
  BroadcastReader reader;

  explicit Subscriber(std::uint32_t claims) {
    for (std::uint32_t i = 0; i != claims; ++i)
      new (row->claims() + i) std::atomic{std::uint64_t{}};
    row->bind(kIncarnation, kFirstRequest, claims);
  }
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
};

// A publisher and its subscribers, in memory of their own. The publisher takes the slots 0, 1, 2, …
class Topic {
 public:
  Topic(std::uint32_t capacity, std::uint32_t slots)
      : ring(capacity), writer({&head, ring.data(), help.data(), capacity}) {
    writer.add_slots(slots);
  }
  Topic(const Topic&) = delete;
  Topic& operator=(const Topic&) = delete;

  Subscriber& join(std::uint32_t claims, std::uint64_t depth = 0, std::uint64_t cursor = 0) {
    const auto seat = static_cast<std::uint32_t>(subscribers.size());
    Subscriber& added = subscribers.emplace_back(claims);
    if (depth == 0) depth = ring.size();
    added.reader = BroadcastReader({&head, ring.data(), &help[seat], added.row, writer.capacity()},
                                   cursor, depth);
    readers.push_back({added.row, claims, seat, depth, cursor, kFirstRequest, kNoSlot});
    return added;
  }
  void reclaim() {
    writer.reclaim([this] { return std::optional(std::span(readers)); });
  }
  // Reclaims only when it must, as a publisher does.
  std::uint32_t loan() {
    if (writer.free_slots() == 0) reclaim();
    return writer.free_slots() == 0 ? kNoSlot : writer.take_free();
  }
  std::uint32_t publish() {
    const std::uint32_t slot = loan();
    if (slot != kNoSlot) writer.publish(slot);
    return slot;
  }
  void publish(std::uint32_t count) {
    for (std::uint32_t i = 0; i != count; ++i) ASSERT_NE(publish(), kNoSlot);
  }
  // The free slots, which are taken and given back.
  std::vector<std::uint32_t> free_slots() {
    std::vector<std::uint32_t> slots;
    while (writer.free_slots() != 0) slots.push_back(writer.take_free());
    std::for_each(slots.rbegin(), slots.rend(), [this](auto slot) { writer.give_back(slot); });
    std::sort(slots.begin(), slots.end());
    return slots;
  }
  bool is_free(std::uint32_t slot) {
    const auto slots = free_slots();
    return std::find(slots.begin(), slots.end(), slot) != slots.end();
  }

  BroadcastHead head{};
  std::vector<std::atomic<std::uint64_t>> ring;
  std::array<BroadcastHelp, 4> help{};
  std::deque<Subscriber> subscribers;
  std::vector<BroadcastWriter::Reader> readers;
  BroadcastWriter writer;
};

using Taken = BroadcastReader::Taken;
using Want = BroadcastReader::Want;

void expect_taken(const Taken& taken, std::uint64_t position, std::uint32_t slot) {
  EXPECT_EQ(taken.position, position);
  EXPECT_EQ(taken.slot, slot);
}
void expect_nothing(const Taken& taken) { EXPECT_EQ(taken.slot, kNoSlot); }

TEST(SampleHandle, HoldsAPositionAndASlot) {
  for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{1} << 39}) {
    for (const std::uint32_t slot : {0u, 1u, kMaxSlots - 1}) {
      const std::uint64_t entry = SampleHandle::pack(position, slot);
      EXPECT_EQ(SampleHandle::slot(entry), slot);
      EXPECT_EQ(SampleHandle::tag(entry), SampleHandle::tag_of(position));
      EXPECT_NE(SampleHandle::tag(entry), 0u);
    }
  }
}

TEST(BroadcastIndexQueue, NothingComesBeforeSomethingIsPublished) {
  Topic topic(4, 6);
  Subscriber& subscriber = topic.join(1);
  EXPECT_FALSE(subscriber.reader.has_new());
  expect_nothing(subscriber.reader.take(0));
  EXPECT_EQ(subscriber.reader.cursor(), 0u);
}

TEST(BroadcastIndexQueue, EverySubscriberReceivesEverySampleInOrder) {
  Topic topic(4, 12);
  Subscriber& one = topic.join(1);
  Subscriber& other = topic.join(1);
  std::vector<std::uint32_t> slots;
  for (int i = 0; i != 4; ++i) slots.push_back(topic.publish());
  for (Subscriber* subscriber : {&one, &other}) {
    for (std::uint32_t position = 0; position != 4; ++position) {
      EXPECT_TRUE(subscriber->reader.has_new());
      expect_taken(subscriber->reader.take(0), position, slots[position]);
      subscriber->reader.release(0);
    }
    EXPECT_FALSE(subscriber->reader.has_new());
    expect_nothing(subscriber->reader.take(0));
    EXPECT_EQ(subscriber->reader.lost(), 0u);
  }
}

TEST(BroadcastIndexQueue, ASlowReaderLosesTheOldestFirst) {
  Topic topic(4, 20);
  Subscriber& subscriber = topic.join(1);
  topic.publish(7);
  EXPECT_EQ(subscriber.reader.take(0).position, 3u);
  EXPECT_EQ(subscriber.reader.lost(), 3u);
  subscriber.reader.release(0);
  EXPECT_EQ(subscriber.reader.take(0).position, 4u);
  EXPECT_EQ(subscriber.reader.lost(), 3u);
}

TEST(BroadcastIndexQueue, AReaderOfLittleDepthLosesWhatIsStillInTheRing) {
  Topic topic(4, 20);
  Subscriber& subscriber = topic.join(1, 2);
  topic.publish(4);
  EXPECT_EQ(subscriber.reader.take(0).position, 2u);
  EXPECT_EQ(subscriber.reader.lost(), 2u);
}

TEST(BroadcastIndexQueue, WhoWantsTheNewestLosesNothingByPassingOverTheRest) {
  Topic topic(4, 20);
  Subscriber& subscriber = topic.join(1);
  topic.publish(6);
  EXPECT_EQ(subscriber.reader.take(0, Want::newest).position, 5u);
  EXPECT_EQ(subscriber.reader.lost(), 0u);
  subscriber.reader.release(0);
  expect_nothing(subscriber.reader.take(0, Want::newest));
}

TEST(BroadcastIndexQueue, TheCurrentSampleCanBeTakenAgainAndAgain) {
  Topic topic(2, 8);
  Subscriber& subscriber = topic.join(2);
  expect_nothing(subscriber.reader.take(0, Want::current));
  topic.publish(3);
  expect_taken(subscriber.reader.take(0, Want::current), 2, 2);
  expect_taken(subscriber.reader.take(1, Want::current), 2, 2);
  EXPECT_FALSE(subscriber.reader.has_new());
  expect_nothing(subscriber.reader.take(0));
  subscriber.reader.release(0);
  subscriber.reader.release(1);
  topic.publish(1);
  EXPECT_TRUE(subscriber.reader.has_new());
  expect_taken(subscriber.reader.take(0, Want::current), 3, 3);
  EXPECT_EQ(subscriber.reader.lost(), 0u);
}

TEST(BroadcastIndexQueue, ACurrentSampleThatIsHeldIsNotReusedThoughItWasTakenTwice) {
  Topic topic(2, 8);
  Subscriber& subscriber = topic.join(2);
  topic.publish(1);
  expect_taken(subscriber.reader.take(0, Want::current), 0, 0);
  expect_taken(subscriber.reader.take(1, Want::current), 0, 0);
  subscriber.reader.release(0);
  topic.publish(2);
  topic.reclaim();
  EXPECT_FALSE(topic.is_free(0));
  subscriber.reader.release(1);
  topic.reclaim();
  EXPECT_TRUE(topic.is_free(0));
}

TEST(BroadcastIndexQueue, TheCurrentSampleIsThereWhereThePublisherDiedBeforeItMovedTheHead) {
  Topic topic(1, 4);
  Subscriber& subscriber = topic.join(1);
  topic.publish(1);
  topic.ring[0] = SampleHandle::pack(1, 1);  // published, as the ring says; `head` is still 1
  for (int i = 0; i != 3; ++i) {
    expect_taken(subscriber.reader.take(0, Want::current), 1, 1);
    subscriber.reader.release(0);
  }
}

TEST(BroadcastIndexQueue, TheCurrentSampleIsTakenWithHelpWhereItIsTheOneBeforeTheCursor) {
  Topic topic(8, 10);
  Subscriber& subscriber = topic.join(1, 8, 20);
  for (std::uint64_t i = 0; i != topic.ring.size(); ++i) {
    topic.ring[i] = SampleHandle::pack(1000 + i, 9);
  }
  topic.head.head = 20;
  topic.help[0].request = kFirstRequest + 1;
  topic.help[0].entry = SampleHandle::pack(19, 5);
  expect_taken(subscriber.reader.take(0, Want::current), 19, 5);
  EXPECT_EQ(subscriber.reader.cursor(), 20u);
}

TEST(BroadcastIndexQueue, ALateJoinerStartsAtItsCursor) {
  Topic topic(4, 20);
  topic.publish(4);
  Subscriber& subscriber = topic.join(1, 4, 3);
  EXPECT_EQ(subscriber.reader.take(0).position, 3u);
  EXPECT_EQ(subscriber.reader.lost(), 0u);
}

TEST(BroadcastIndexQueue, ASlotThatWasGivenBackIsTakenNext) {
  Topic topic(2, 4);
  const std::uint32_t slot = topic.loan();
  topic.writer.give_back(slot);
  EXPECT_EQ(topic.loan(), slot);
  EXPECT_EQ(topic.writer.published(), 0u);
}

TEST(BroadcastIndexQueue, NewSlotsCanBeTaken) {
  Topic topic(1, 1);
  EXPECT_EQ(topic.loan(), 0u);
  EXPECT_EQ(topic.loan(), kNoSlot);
  topic.writer.add_slots(2);
  EXPECT_EQ(topic.head.slots, 3u);
  EXPECT_EQ(topic.loan(), 1u);
  EXPECT_EQ(topic.loan(), 2u);
}

TEST(BroadcastIndexQueue, ASlotInTheRingIsNotReclaimed) {
  Topic topic(2, 4);
  topic.publish(2);
  topic.reclaim();
  EXPECT_EQ(topic.free_slots(), (std::vector<std::uint32_t>{2, 3}));
  topic.publish(1);
  topic.reclaim();
  EXPECT_EQ(topic.free_slots(), (std::vector<std::uint32_t>{0, 3}));
}

TEST(BroadcastIndexQueue, ARetiredSlotIsNotReusedWhileItIsClaimed) {
  Topic topic(1, 4);
  Subscriber& subscriber = topic.join(1);
  const std::uint32_t slot = topic.publish();
  expect_taken(subscriber.reader.take(0), 0, slot);
  for (int i = 0; i != 10; ++i) EXPECT_NE(topic.publish(), slot);
  topic.reclaim();
  EXPECT_FALSE(topic.is_free(slot));
  subscriber.reader.release(0);
  topic.reclaim();
  EXPECT_TRUE(topic.is_free(slot));
}

TEST(BroadcastIndexQueue, ClaimsAreReleasedInAnyOrder) {
  std::array<std::uint32_t, 3> order{0, 1, 2};
  do {
    Topic topic(4, 8);
    Subscriber& subscriber = topic.join(3);
    std::array<std::uint32_t, 3> slots{};
    for (std::uint32_t& slot : slots) slot = topic.publish();
    for (std::uint32_t claim = 0; claim != 3; ++claim) {
      expect_taken(subscriber.reader.take(claim), claim, slots[claim]);
    }
    topic.publish(5);  // now the three are retired
    EXPECT_TRUE(topic.free_slots().empty());
    for (std::size_t released = 0; released != 3; ++released) {
      subscriber.reader.release(order[released]);
      topic.reclaim();
      for (std::size_t i = 0; i != 3; ++i) {
        EXPECT_EQ(topic.is_free(slots[order[i]]), i <= released);
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BroadcastIndexQueue, TwoClaimsOfOneSlotHoldItUntilBothAreReleased) {
  Topic topic(1, 4);
  Subscriber& one = topic.join(1);
  Subscriber& other = topic.join(1);
  const std::uint32_t slot = topic.publish();
  expect_taken(one.reader.take(0), 0, slot);
  expect_taken(other.reader.take(0), 0, slot);
  topic.publish(1);
  one.reader.release(0);
  topic.reclaim();
  EXPECT_FALSE(topic.is_free(slot));
  other.reader.release(0);
  topic.reclaim();
  EXPECT_TRUE(topic.is_free(slot));
}

TEST(BroadcastIndexQueue, NothingIsFreedWhileTheReadersAreNotKnown) {
  Topic topic(1, 3);
  topic.publish(3);
  topic.writer.reclaim([]() -> std::optional<std::span<BroadcastWriter::Reader>> { return {}; });
  EXPECT_EQ(topic.writer.free_slots(), 0u);
  topic.reclaim();
  EXPECT_EQ(topic.free_slots(), (std::vector<std::uint32_t>{0, 1}));
}

TEST(BroadcastIndexQueue, ASubscriberThatIsGoneClaimsNothing) {
  Topic topic(1, 3);
  Subscriber& subscriber = topic.join(1);
  const std::uint32_t slot = topic.publish();
  expect_taken(subscriber.reader.take(0), 0, slot);
  topic.publish(1);
  topic.readers[0].row = nullptr;
  topic.reclaim();
  EXPECT_TRUE(topic.is_free(slot));
}

TEST(BroadcastIndexQueue, ARequestPinsTheNewestSampleUntilItIsAnswered) {
  Topic topic(1, 5);
  Subscriber& subscriber = topic.join(1);
  topic.publish(2);
  subscriber.row->request = kFirstRequest + 1;
  const std::uint32_t slot = topic.publish();
  topic.reclaim();
  EXPECT_EQ(topic.help[0].request, kFirstRequest + 1);
  EXPECT_EQ(topic.help[0].entry, SampleHandle::pack(2, slot));

  topic.publish(1);
  topic.reclaim();
  EXPECT_FALSE(topic.is_free(slot));
  EXPECT_EQ(topic.help[0].entry, SampleHandle::pack(2, slot)) << "answered once only";

  subscriber.row->claims()[0] = slot + 1;
  subscriber.row->answered = kFirstRequest + 1;
  topic.reclaim();
  EXPECT_FALSE(topic.is_free(slot)) << "the claim takes the place of the pin";
  subscriber.reader.release(0);
  topic.reclaim();
  EXPECT_TRUE(topic.is_free(slot));
}

TEST(BroadcastIndexQueue, ThereIsNoHelpBeforeTheFirstSample) {
  Topic topic(1, 2);
  Subscriber& subscriber = topic.join(1);
  subscriber.row->request = kFirstRequest + 1;
  topic.reclaim();
  EXPECT_EQ(topic.help[0].request, 0u);
  topic.publish(1);
  topic.reclaim();
  EXPECT_EQ(topic.help[0].request, kFirstRequest + 1);
}

// What a reader finds whom a fast publisher overtakes at every try: no entry is the one it wants.
struct Overtaken : Topic {
  static constexpr std::uint64_t kHead = 20;

  explicit Overtaken(std::uint32_t claims) : Topic(8, 10) {
    subscriber = &join(claims);
    for (std::uint64_t i = 0; i != ring.size(); ++i) ring[i] = SampleHandle::pack(1000 + i, 9);
    head.head = kHead;
  }
  Subscriber* subscriber;
};

TEST(BroadcastIndexQueue, AReaderThatIsAlwaysOvertakenGivesUpWithAllLostAndNothingClaimed) {
  Overtaken topic(1);
  expect_nothing(topic.subscriber->reader.take(0));
  EXPECT_EQ(topic.subscriber->reader.lost(), Overtaken::kHead);
  EXPECT_EQ(topic.subscriber->reader.cursor(), Overtaken::kHead);
  EXPECT_EQ(topic.subscriber->row->claims()[0], 0u);
  EXPECT_EQ(topic.subscriber->row->request, kFirstRequest + 1) << "it asked for help";
  EXPECT_EQ(topic.subscriber->row->answered, kFirstRequest + 1) << "and needs it no more";
}

TEST(BroadcastIndexQueue, AReaderThatIsAlwaysOvertakenTakesWhatItIsHelpedWith) {
  Overtaken topic(2);
  topic.help[0].request = kFirstRequest + 1;
  topic.help[0].entry = SampleHandle::pack(19, 5);
  expect_taken(topic.subscriber->reader.take(1), 19, 5);
  EXPECT_EQ(topic.subscriber->row->claims()[1], 5u + 1);
  EXPECT_EQ(topic.subscriber->row->answered, kFirstRequest + 1);
  EXPECT_EQ(topic.subscriber->reader.lost(), 19u);
  EXPECT_EQ(topic.subscriber->reader.cursor(), 20u);
}

TEST(BroadcastIndexQueue, AnAnswerToAnotherRequestIsNotTaken) {
  Overtaken topic(1);
  topic.help[0].request = kFirstRequest;
  topic.help[0].entry = SampleHandle::pack(19, 5);
  expect_nothing(topic.subscriber->reader.take(0));
}

TEST(BroadcastIndexQueue, ARowBoundToANewPublisherHoldsNothingOfTheOld) {
  Topic topic(2, 6);
  Subscriber& subscriber = topic.join(2);
  topic.publish(2);
  static_cast<void>(subscriber.reader.take(0));
  static_cast<void>(subscriber.reader.take(1));
  subscriber.row->request = kFirstRequest + 1;
  EXPECT_EQ(subscriber.row->publisher, kIncarnation);

  subscriber.row->bind(kIncarnation + 1, 500, 2);
  EXPECT_EQ(subscriber.row->publisher, kIncarnation + 1);
  EXPECT_EQ(subscriber.row->cursor, BroadcastRow::kUnset);
  EXPECT_EQ(subscriber.row->request, 500u);
  EXPECT_EQ(subscriber.row->answered, 500u);
  for (int claim = 0; claim != 2; ++claim) EXPECT_EQ(subscriber.row->claims()[claim], 0u);
}

TEST(BroadcastIndexQueue, LosslessDeliveryEndsWhereTheSlowestReaderWouldBeLapped) {
  Topic topic(4, 20);
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), UINT64_MAX);
  Subscriber& shallow = topic.join(1, 2);
  Subscriber& deep = topic.join(1, 100);
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 2u);
  topic.publish(2);
  static_cast<void>(shallow.reader.take(0));
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 3u);
  shallow.reader.release(0);
  static_cast<void>(shallow.reader.take(0));
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 4u) << "no depth goes beyond the capacity";
  static_cast<void>(deep.reader.take(0));
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 4u);
}

TEST(BroadcastIndexQueue, ALosslessReaderThatHasNoCursorYetIsAssumedAtOne) {
  Topic topic(4, 20);
  topic.publish(3);
  Subscriber& subscriber = topic.join(1, 4, 3);
  subscriber.row->cursor = BroadcastRow::kUnset;
  topic.readers[0].assumed_cursor = 1;
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 5u);
  topic.readers[0].row = nullptr;
  EXPECT_EQ(topic.writer.lap_limit(topic.readers), 5u);
}

TEST(BroadcastIndexQueue, PositionsMayPassWhatAHandleCanHold) {
  constexpr std::uint64_t kFirst = (std::uint64_t{1} << 40) - 3;
  Topic topic(8, 10);
  Subscriber& subscriber = topic.join(1, 8, kFirst);
  for (std::uint32_t i = 0; i != 6; ++i) {
    topic.ring[(kFirst + i) % 8] = SampleHandle::pack(kFirst + i, (i + 8) % 10);
  }
  topic.head.head = kFirst + 6;
  for (std::uint32_t i = 0; i != 6; ++i) {
    // The entry of position 2^40 - 1 in slot 0 is that of one that was never written, and as good.
    expect_taken(subscriber.reader.take(0), kFirst + i, (i + 8) % 10);
    subscriber.reader.release(0);
  }
  EXPECT_EQ(subscriber.reader.lost(), 0u);
}

// Words that no honest publisher writes. A reader hands out a slot that is out of range as it is,
// so that the caller can tell; it never uses one itself, and a call always ends.

TEST(BroadcastIndexQueue, ASlotOutOfRangeIsReportedAndCanBeReleased) {
  Topic topic(2, 4);
  Subscriber& subscriber = topic.join(1);
  topic.publish(1);
  topic.ring[0] = SampleHandle::pack(0, kMaxSlots);
  const Taken taken = subscriber.reader.take(0);
  EXPECT_EQ(taken.slot, kMaxSlots);
  EXPECT_GE(taken.slot, topic.writer.slots());
  topic.reclaim();
  subscriber.reader.release(0);
  EXPECT_EQ(subscriber.row->claims()[0], 0u);
}

TEST(BroadcastIndexQueue, NoContentOfThePublishersWordsHangsAReader) {
  const std::uint64_t odd_words[] = {0,
                                     1,
                                     SampleHandle::pack(0, 0),
                                     SampleHandle::pack(5, kMaxSlots),
                                     std::uint64_t{1} << 40,
                                     std::uint64_t{1} << 63,
                                     ~std::uint64_t{0} - 1,
                                     ~std::uint64_t{0}};
  for (const std::uint64_t head : odd_words) {
    for (const std::uint64_t entry : odd_words) {
      for (const std::uint64_t help : odd_words) {
        Topic topic(2, 4);
        Subscriber& subscriber = topic.join(1);
        topic.head.head = head;
        for (auto& cell : topic.ring) cell = entry;
        topic.help[0].request = kFirstRequest + 1;
        topic.help[0].entry = help;
        std::uint64_t cursor = 0;
        for (const Want want : {Want::oldest, Want::oldest, Want::newest}) {
          const Taken taken = subscriber.reader.take(0, want);
          EXPECT_TRUE(taken.slot == kNoSlot || taken.slot <= kMaxSlots);
          if (taken.slot != kNoSlot) {
            EXPECT_EQ(subscriber.row->claims()[0], std::uint64_t{taken.slot} + 1);
          }
          EXPECT_GE(subscriber.reader.cursor(), cursor) << "never backwards";
          cursor = subscriber.reader.cursor();
          subscriber.reader.release(0);
        }
        const Taken taken = subscriber.reader.take(0, Want::current);
        EXPECT_EQ(subscriber.row->claims()[0],
                  taken.slot == kNoSlot ? 0 : std::uint64_t{taken.slot} + 1);
      }
    }
  }
}

TEST(BroadcastIndexQueue, AHeadWithoutAnEntryIsNothingNew) {
  Topic topic(4, 8);
  Subscriber& subscriber = topic.join(1);
  topic.publish(2);
  topic.head.head = 3;
  for (std::uint64_t position = 0; position != 2; ++position) {
    EXPECT_TRUE(subscriber.reader.has_new());
    expect_taken(subscriber.reader.take(0), position, static_cast<std::uint32_t>(position));
    subscriber.reader.release(0);
  }
  EXPECT_FALSE(subscriber.reader.has_new());
  expect_nothing(subscriber.reader.take(0));
  topic.publish(1);  // it goes on as if nothing had been
  EXPECT_TRUE(subscriber.reader.has_new());
  expect_taken(subscriber.reader.take(0), 2, 2);
}

// Who waits as long as there is nothing new does not spin: what is new is taken, or gone after a
// few calls.
TEST(BroadcastIndexQueue, WhatIsNewIsTakenOrPassedOverWhateverThePublisherWrites) {
  constexpr std::uint32_t kCapacity = 256;
  const std::uint64_t heads[] = {0,
                                 1,
                                 3,
                                 100,
                                 kCapacity,
                                 300,
                                 5000,
                                 std::uint64_t{1} << 41,
                                 ~std::uint64_t{0} - 1,
                                 ~std::uint64_t{0}};
  const std::uint64_t first_positions[] = {0,
                                           1,
                                           50,
                                           kCapacity,
                                           5000,
                                           (std::uint64_t{1} << 39) - 1,
                                           std::uint64_t{1} << 40,
                                           ~std::uint64_t{0}};
  for (const Want want : {Want::oldest, Want::newest}) {
    for (const std::uint64_t head : heads) {
      for (const std::uint64_t first : first_positions) {
        for (const std::uint64_t cursor : {std::uint64_t{0}, std::uint64_t{2}, head}) {
          Topic topic(kCapacity, 8);
          Subscriber& subscriber = topic.join(1, kCapacity / 2, cursor);
          topic.head.head = head;
          topic.head.slots = 0;
          for (std::uint64_t i = 0; i != kCapacity; ++i)
            topic.ring[i] = SampleHandle::pack(first + i, 1);
          std::uint32_t calls = 0;
          for (; subscriber.reader.has_new() && calls <= kCapacity; ++calls) {
            static_cast<void>(subscriber.reader.take(0, want));
            subscriber.reader.release(0);
          }
          EXPECT_LE(calls, kCapacity)
              << "head " << head << ", entries from " << first << " on, cursor " << cursor;
        }
      }
    }
  }
}

TEST(BroadcastIndexQueue, AHeadThatWentBackwardsTakesNothingAway) {
  Topic topic(2, 6);
  Subscriber& subscriber = topic.join(1);
  topic.publish(2);
  static_cast<void>(subscriber.reader.take(0));
  topic.head.head = 0;
  EXPECT_FALSE(subscriber.reader.has_new());
  subscriber.reader.release(0);
  expect_taken(subscriber.reader.take(0), 1, 1);  // the ring says that it is there
  expect_nothing(subscriber.reader.take(0));
  EXPECT_EQ(subscriber.reader.cursor(), 2u);
}

TEST(BroadcastIndexQueue, AClaimThatASubscriberMadeUpHoldsNothing) {
  Topic topic(1, 3);
  Subscriber& subscriber = topic.join(2);
  topic.publish(3);
  subscriber.row->claims()[0] = ~std::uint64_t{0};
  subscriber.row->claims()[1] = 3 + 1;
  topic.reclaim();
  EXPECT_EQ(topic.writer.free_slots(), 2u);
}

// The payload that a slot stands for is plain memory, so that ThreadSanitizer sees whether the
// orders suffice.
class Race {
 public:
  static constexpr std::uint32_t kSubscribers = 2;

  Race(std::uint32_t capacity, std::uint32_t claims)
      : topic_(capacity, capacity + 1 + kSubscribers * (claims + 1)),
        payloads_(topic_.writer.slots()) {
    for (std::uint32_t i = 0; i != kSubscribers; ++i) topic_.join(claims);
  }

  // Publishes until each subscriber has received `samples`.
  void run(std::uint64_t samples) {
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i != kSubscribers; ++i) {
      threads.emplace_back([this, i, samples] { receive(i, samples); });
    }
    while (busy_.load(std::memory_order_relaxed) != 0) publish();
    for (auto& thread : threads) thread.join();
    topic_.reclaim();
    EXPECT_EQ(topic_.writer.free_slots() + topic_.writer.capacity(), topic_.writer.slots());
  }

 private:
  void publish() {
    const std::uint32_t slot = topic_.loan();
    ASSERT_NE(slot, kNoSlot);
    const std::uint64_t position = topic_.writer.published();
    payloads_[slot] = {position, ~position};
    topic_.writer.publish(slot);
  }
  // Holds as many samples as there are claims, and gives back the oldest one first.
  void receive(std::uint32_t index, std::uint64_t samples) {
    BroadcastReader& reader = topic_.subscribers[index].reader;
    std::vector<Taken> held(topic_.readers[index].claims);
    std::uint64_t next = 0;
    for (std::uint64_t received = 0; received < samples;) {
      const auto claim = static_cast<std::uint32_t>(received % held.size());
      give_back(reader, claim, held[claim]);
      held[claim] = reader.take(claim);
      if (held[claim].slot == kNoSlot) {
        std::this_thread::yield();
        continue;
      }
      EXPECT_GE(held[claim].position, next);
      next = held[claim].position + 1;
      EXPECT_EQ(++received + reader.lost(), next);
    }
    for (std::uint32_t claim = 0; claim != held.size(); ++claim) {
      give_back(reader, claim, held[claim]);
    }
    --busy_;
  }
  void give_back(BroadcastReader& reader, std::uint32_t claim, Taken& taken) {
    if (taken.slot == kNoSlot) return;
    EXPECT_EQ(payloads_[taken.slot][0], taken.position);
    EXPECT_EQ(payloads_[taken.slot][1], ~taken.position);
    taken = {};
    reader.release(claim);
  }

  Topic topic_;
  std::vector<std::array<std::uint64_t, 2>> payloads_;
  std::atomic<std::uint32_t> busy_{kSubscribers};
};

TEST(BroadcastIndexQueue, ThreadsReadNoPayloadThatIsWritten) { Race(4, 2).run(50'000); }
TEST(BroadcastIndexQueue, ThreadsThatAreOvertakenAllTheTimeReadNoPayloadThatIsWritten) {
  Race(1, 1).run(20'000);
}

}  // namespace
}  // namespace sluice
