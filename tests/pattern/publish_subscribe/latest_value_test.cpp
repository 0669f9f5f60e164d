// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct State {
  std::uint64_t count;
  std::uint64_t inverted;
};

/// Values that tell whether they are whole, however large.
struct LargeState {
  std::uint64_t count;
  std::array<std::uint64_t, 8190> middle;
  std::uint64_t count_again;
};

struct LatestValue : testing::Test {
  ~LatestValue() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(LatestValue, NothingIsThereBeforeAnythingWasWritten) {
  Reader<State> reader(*node, "state");
  EXPECT_FALSE(reader.read());
  EXPECT_EQ(reader.read().error(), Errc::ok);
  EXPECT_FALSE(reader.updated());
  Writer<State> writer(*node, "state");
  EXPECT_FALSE(reader.read());
  EXPECT_FALSE(reader.updated());
  EXPECT_EQ(reader.writers(), 1U);
  EXPECT_EQ(writer.readers(), 1U);
}

TEST_F(LatestValue, TheNewestIsReadInPlaceAsOftenAsOneLikes) {
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state");
  writer.write(State{1, 0});
  writer.write(State{2, 0});
  const auto first = reader.read();
  const auto second = reader.read();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->count, 2U);
  EXPECT_EQ(first.get(), second.get()) << "in place";
  EXPECT_EQ(first.publisher(), writer.id());
  EXPECT_EQ(first.sequence(), 1U);
}

TEST_F(LatestValue, UpdatedTellsOfValuesThatWereNotReadYet) {
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state");
  writer.write(State{1, 0});
  EXPECT_TRUE(reader.updated());
  EXPECT_TRUE(reader.updated()) << "asking changes nothing";
  EXPECT_TRUE(reader.read());
  EXPECT_FALSE(reader.updated());
  writer.write(writer.loan(2U, 0U));
  EXPECT_TRUE(reader.updated());
  EXPECT_EQ(reader.read()->count, 2U);
}

TEST_F(LatestValue, AValueThatIsHeldStaysAsItIs) {
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state");
  writer.write(State{1, 0});
  const auto held = reader.read();
  for (std::uint64_t i = 2; i < 1000; ++i) writer.write(State{i, 0});
  EXPECT_EQ(held->count, 1U);
  EXPECT_EQ(reader.read()->count, 999U);
}

TEST_F(LatestValue, MoreThanAgreedCannotBeHeld) {
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state", {.max_borrowed = 1});
  writer.write(State{1, 0});
  auto held = reader.read();
  EXPECT_EQ(reader.read().error(), Errc::too_many_borrowed);
  held.reset();
  EXPECT_TRUE(reader.read());
}

TEST_F(LatestValue, AReaderThatComesLateGetsTheLastValue) {
  Writer<State> writer(*node, "state");
  for (std::uint64_t i = 1; i <= 10; ++i) writer.write(State{i, 0});
  Reader<State> reader(*node, "state");
  EXPECT_TRUE(reader.updated());
  EXPECT_EQ(reader.read()->count, 10U);
}

TEST_F(LatestValue, AnyPublisherWillDoWithoutHistoryToo) {
  Publisher<State> publisher(*node, "state", {.history = 0, .depth = 1});
  publisher.publish(State{1, 0});
  Reader<State> reader(*node, "state");
  EXPECT_EQ(reader.read()->count, 1U);
  EXPECT_EQ(reader.read()->count, 1U);
  publisher.publish(State{2, 0});
  EXPECT_EQ(reader.read()->count, 2U);
}

TEST_F(LatestValue, ASubscriberGetsEveryValueThatIsWritten) {
  Writer<State> writer(*node, "state");
  Subscriber<State> subscriber(*node, "state");
  for (std::uint64_t i = 1; i <= 3; ++i) {
    writer.write(State{i, 0});
    EXPECT_EQ(subscriber.receive()->count, i);
  }
}

TEST_F(LatestValue, WaitSleepsUntilThereIsAValueThatWasNotReadYet) {
  Reader<State> reader(*node, "state");
  EXPECT_EQ(reader.wait(1ms).error(), Errc::timed_out);
  Writer<State> writer(*node, "state");
  writer.write(State{1, 0});
  EXPECT_EQ(reader.wait(10s)->count, 1U);
  EXPECT_EQ(reader.wait(1ms).error(), Errc::timed_out) << "the value is there, and was read";
  EXPECT_EQ(reader.read()->count, 1U);
  ChildProcess child([&](const ChildProcess::Line& line) {
    const Node own("child");
    Writer<State> other(own, "state");
    line.hear();
    other.write(State{2, 0});
    line.hear();
    return 0;
  });
  child.say();
  const auto value = reader.wait(10s);
  ASSERT_TRUE(value);
  EXPECT_EQ(value->count, 2U);
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(LatestValue, TheLastValueOfADeadWriterStaysUntilAnotherOneWrites) {
  Reader<State> reader(*node, "state");
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("victim");
    Writer<State> writer(own, "state");
    writer.write(State{1, 0});
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_EQ(reader.read()->count, 1U);
  child.kill();
  EXPECT_EQ(reader.writers(), 0U);
  for (int i = 0; i < 3; ++i) {
    const auto value = reader.read();
    ASSERT_TRUE(value);
    EXPECT_EQ(value->count, 1U);
  }
  EXPECT_FALSE(reader.updated());
  Writer<State> successor(*node, "state");
  EXPECT_EQ(reader.read()->count, 1U) << "nothing newer yet";
  successor.write(State{2, 0});
  EXPECT_TRUE(reader.updated());
  EXPECT_EQ(reader.read()->count, 2U);
  EXPECT_EQ(reader.read().publisher(), successor.id());
  EXPECT_EQ(reader.writers(), 1U);
}

TEST_F(LatestValue, TheLastValueOfAWriterThatDiedUnreadIsRead) {
  Reader<State> reader(*node, "state");
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("victim");
    Writer<State> writer(own, "state");
    line.say();
    line.hear();
    writer.write(State{7, 0});
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_EQ(reader.writers(), 1U);
  child.say();
  ASSERT_TRUE(child.hear());
  child.kill();
  EXPECT_EQ(reader.writers(), 0U);
  EXPECT_EQ(reader.read()->count, 7U);
  EXPECT_EQ(reader.read()->count, 7U);
}

TEST_F(LatestValue, WritersThatComeAndGoLeaveNothingInTheReader) {
  Reader<State> reader(*node, "state");
  for (std::uint64_t i = 1; i <= 200; ++i) {
    Writer<State> writer(*node, "state");
    writer.write(State{i, 0});
    ASSERT_EQ(reader.read()->count, i);
  }
  EXPECT_EQ(reader.read()->count, 200U);
  EXPECT_EQ(reader.writers(), 0U);
}

TEST_F(LatestValue, ManyReadersSeeWholeValuesThatOnlyGetNewer) {
  constexpr std::uint64_t kValues = 20'000;
  std::vector<ChildProcess> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([](const ChildProcess::Line& line) {
      const Node own("reader");
      Reader<LargeState> reader(own, "state");
      line.say();
      for (std::uint64_t last = 0; last < kValues;) {
        const auto value = reader.read();
        if (!value) {
          if (value.error() != Errc::ok) return 1;
          continue;
        }
        if (value->count < last || value->count != value->count_again) return 2;
        if (value->middle.front() != ~value->count || value->middle.back() != ~value->count) {
          return 3;
        }
        last = value->count;
      }
      return 0;
    });
  }
  for (auto& reader : readers) ASSERT_TRUE(reader.hear());
  Writer<LargeState> writer(*node, "state");
  for (std::uint64_t i = 1; i <= kValues; ++i) {
    auto value = writer.loan();
    ASSERT_TRUE(value) << writer.last_failure().message;
    value->count = i;
    value->middle.front() = ~i;
    value->middle.back() = ~i;
    value->count_again = i;
    writer.write(std::move(value));
  }
  for (auto& reader : readers) EXPECT_EQ(reader.wait(), 0);
}

TEST_F(LatestValue, ValuesOfAnyLengthAreWrittenAsSlices) {
  Writer<char[]> writer(*node, "text");
  Reader<char[]> reader(*node, "text");
  for (const std::string text :
       {"short", "", "and one that is a good deal longer than the first"}) {
    writer.write(text);
    const auto value = reader.read();
    ASSERT_TRUE(value);
    EXPECT_EQ(std::string(value.begin(), value.end()), text);
  }
}

TEST_F(LatestValue, AForkedChildIsRefused) {
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state");
  writer.write(State{1, 0});
  ChildProcess child([&](const ChildProcess::Line&) {
    if (reader.read().error() != Errc::forked) return 1;
    if (reader.wait(1ms).error() != Errc::forked) return 2;
    if (reader.updated()) return 3;
    return writer.write(State{2, 0}).error() == Errc::forked ? 0 : 4;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(reader.read()->count, 1U);
}

/// Where samples come from several publishers, the one that was published last is read.
struct Order : LatestValue {
  /// Writers, or publishers of which each had been alone for a while.
  Publisher<State>& publisher(std::size_t i) {
    while (publishers.size() <= i) publishers.emplace_back(*node, "state");
    return publishers[i];
  }
  void publish(std::size_t i, std::uint64_t count) {
    EXPECT_TRUE(publisher(i).publish(State{count, 0}));
  }

  std::vector<Publisher<State>> publishers;
};

TEST_F(Order, TheLastOfTwoIsReadWhicheverThatIs) {
  for (const bool comes_before : {true, false}) {
    for (const std::size_t last : {0U, 1U}) {
      Writer<State> writers[] = {Writer<State>(*node, "state"), Writer<State>(*node, "state")};
      std::unique_ptr<Reader<State>> reader;
      if (comes_before) reader = std::make_unique<Reader<State>>(*node, "state");
      for (const std::size_t i : {1 - last, last}) EXPECT_TRUE(writers[i].write(State{i, 0}));
      if (!comes_before) reader = std::make_unique<Reader<State>>(*node, "state");
      EXPECT_EQ(reader->read()->count, last);
      EXPECT_FALSE(reader->updated());
      EXPECT_EQ(reader->read()->count, last) << "and stays";
      EXPECT_TRUE(writers[1 - last].write(State{7, 0}));
      EXPECT_EQ(reader->read()->count, 7U);
    }
  }
}

TEST_F(Order, EveryOrderOfThreePublishersIsKept) {
  std::array<std::size_t, 3> order{0, 1, 2};
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < order.size(); ++i) publish(i, count++);
  Reader<State> early(*node, "state");
  Subscriber<State> subscriber(*node, "state");
  do {
    for (const std::size_t i : order) publish(i, count++);
    Reader<State> late(*node, "state");
    EXPECT_EQ(early.read()->count, count - 1);
    EXPECT_EQ(late.read()->count, count - 1);
    EXPECT_EQ(subscriber.latest()->count, count - 1);
    EXPECT_FALSE(subscriber.latest()) << "older ones are passed over";
    EXPECT_EQ(early.read()->count, count - 1);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(Order, WhatWasPublishedAloneIsOlder) {
  publish(0, 1);
  publish(1, 2);
  for (int i = 0; i < 3; ++i) {
    Reader<State> reader(*node, "state");
    EXPECT_EQ(reader.read()->count, 2U);
    EXPECT_EQ(reader.read()->count, 2U);
  }
  publish(0, 3);
  EXPECT_EQ(Reader<State>(*node, "state").read()->count, 3U);
}

TEST_F(Order, ALoanFromBeforeTheOtherCameIsPublishedWhenItIs) {
  Reader<State> reader(*node, "state");
  auto loan = publisher(0).loan(3U, 0U);
  publish(1, 2);
  publisher(0).publish(std::move(loan));
  EXPECT_EQ(reader.read()->count, 3U);
}

TEST_F(Order, OneThatComesWhenAllOthersAreGoneIsNewerThanThey) {
  Reader<State> reader(*node, "state");
  Subscriber<State> subscriber(*node, "state");
  publish(0, 1);
  publish(1, 2);
  EXPECT_EQ(reader.read()->count, 2U);
  EXPECT_EQ(subscriber.latest()->count, 2U);
  publishers.clear();
  EXPECT_EQ(reader.read()->count, 2U);
  EXPECT_FALSE(subscriber.latest());
  for (std::uint64_t i = 3; i < 6; ++i) {
    publish(0, i);
    EXPECT_EQ(reader.read()->count, i);
    EXPECT_EQ(subscriber.latest()->count, i);
  }
}

TEST_F(Order, OnlyWhatIsReturnedIsHeld) {
  Reader<State> reader(*node, "state", {.max_borrowed = 1});
  for (std::uint64_t i = 0; i < 1000; ++i) {
    publish(0, 2 * i);
    publish(1, 2 * i + 1);
    publish(2, 2 * i + 2);
    EXPECT_EQ(reader.read()->count, 2 * i + 2);
  }
  const auto held = reader.read();
  EXPECT_EQ(reader.read().error(), Errc::too_many_borrowed);
}

TEST_F(Order, WhatWasReadIsNotReadAgainAfterSomethingOlder) {
  Reader<State> reader(*node, "state");
  publish(0, 1);
  publish(1, 2);
  EXPECT_EQ(reader.read()->count, 2U);
  publishers.pop_back();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(reader.read()->count, 2U) << "the last, of one that is gone";
  EXPECT_EQ(reader.wait(1ms).error(), Errc::timed_out);
  publish(0, 3);
  EXPECT_EQ(reader.wait(1s)->count, 3U);
}

TEST_F(Order, TwoProcessesWhoTakeTurnsAreReadInThatOrder) {
  constexpr std::uint64_t kValues = 2000;
  ChildProcess other([](const ChildProcess::Line& line) {
    const Node own("other");
    Writer<State> writer(own, "state");
    for (std::uint64_t i = 0; i < kValues; ++i) {
      line.hear();
      if (!writer.write(State{2 * i + 1, 0})) return 1;
      line.say();
    }
    return 0;
  });
  Writer<State> writer(*node, "state");
  Reader<State> reader(*node, "state");
  for (std::uint64_t i = 0; i < kValues; ++i) {
    ASSERT_TRUE(writer.write(State{2 * i, 0}));
    other.say();
    ASSERT_TRUE(other.hear());
    ASSERT_EQ(reader.read()->count, 2 * i + 1);
  }
  EXPECT_EQ(other.wait(), 0);
}

/// The newest value of a service outlives its writer.
struct LastValue : LatestValue {
  void write(std::uint64_t count) {
    EXPECT_TRUE(Writer<State>(*node, "state").write(State{count, 0}));
  }
  void write_and_be_killed(std::uint64_t count) {
    ChildProcess child([count](const ChildProcess::Line& line) {
      const Node own("victim");
      Writer<State> writer(own, "state");
      writer.write(State{count, 0});
      line.say();
      line.hear();
      return 0;
    });
    ASSERT_TRUE(child.hear());
    child.kill();
  }
  std::uint64_t read_late() {
    const auto value = Reader<State>(*node, "state").read();
    return value ? value->count : 0;
  }
  [[nodiscard]] std::size_t publisher_files() const {
    std::size_t count = 0;
    for (const std::string& name : root.files())
      count += name.find("/publisher.") != std::string::npos;
    return count;
  }
};

TEST_F(LastValue, IsReadByOneWhoComesWhenTheWriterHasLeftOrWasKilled) {
  Reader<State> old(*node, "state");
  write(5);
  EXPECT_EQ(read_late(), 5U);
  EXPECT_EQ(old.read()->count, 5U);
  EXPECT_EQ(read_late(), 5U) << "after all have looked";
  EXPECT_EQ(old.writers(), 0U);
  write_and_be_killed(6);
  EXPECT_EQ(read_late(), 6U);
  EXPECT_EQ(old.read()->count, 6U);
  EXPECT_EQ(read_late(), 6U);
  EXPECT_EQ(publisher_files(), 1U);
}

TEST_F(LastValue, WaitsForALateReader) {
  const Reader<State> old(*node, "state");
  write(5);
  Reader<State> late(*node, "state");
  EXPECT_TRUE(late.updated());
  EXPECT_EQ(late.wait(10s)->count, 5U);
  EXPECT_FALSE(late.updated());
  EXPECT_EQ(late.read()->count, 5U);
}

TEST_F(LastValue, StaysUntilANewWriterWritesForTheFirstTime) {
  Reader<State> old(*node, "state");
  write(5);
  Writer<State> successor(*node, "state");
  EXPECT_EQ(old.read()->count, 5U);
  EXPECT_EQ(read_late(), 5U) << "the new one has not written yet";
  EXPECT_EQ(publisher_files(), 2U);
  successor.write(State{6, 0});
  EXPECT_EQ(read_late(), 6U);
  EXPECT_EQ(old.read()->count, 6U);
  EXPECT_EQ(publisher_files(), 1U);
}

TEST_F(LastValue, OfSeveralWritersThatAreGoneIsTheOneThatWasWrittenLast) {
  const Reader<State> old(*node, "state");
  {
    Writer<State> first(*node, "state");
    Writer<State> second(*node, "state");
    second.write(State{1, 0});
    first.write(State{2, 0});
  }
  EXPECT_EQ(read_late(), 2U);
}

TEST_F(LastValue, NoFilesPileUpWhereNobodyReads) {
  const Reader<State> old(*node, "state");
  for (std::uint64_t i = 1; i <= 70; ++i) write(i);
  EXPECT_LE(publisher_files(), 66U);
  EXPECT_EQ(read_late(), 70U);
}

TEST_F(LastValue, IsNotPushedOutByPublishersThatComeAndGo) {
  Reader<State> old(*node, "state");
  Subscriber<State> stopped(*node, "state");
  write(5);
  for (int i = 0; i < 80; ++i) Publisher<State> silent(*node, "state");
  EXPECT_EQ(read_late(), 5U);
}

TEST_F(LastValue, IsHistoryForALateSubscriber) {
  const Reader<State> old(*node, "state");
  {
    Writer<State> writer(*node, "state");
    writer.write(State{4, 0});
    writer.write(State{5, 0});
  }
  Subscriber<State> late(*node, "state");
  EXPECT_EQ(late.receive()->count, 5U);
  EXPECT_FALSE(late.receive());
  EXPECT_EQ(late.lost(), 0U);
}

struct ExclusiveWriter : LatestValue {
  template <typename P, typename... Options>
  Errc join(const Options&... options) {
    const auto made = P::create(*node, "state", options...);
    return made ? Errc::ok : made.error();
  }
  static constexpr WriterOptions kExclusive{.exclusive = true};
};

TEST_F(ExclusiveWriter, ToleratesNoOther) {
  Reader<State> reader(*node, "state");
  {
    Writer<State> only(*node, "state", kExclusive);
    only.write(State{1, 0});
    EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::already_exists);
    EXPECT_EQ(join<Writer<State>>(), Errc::already_exists);
    EXPECT_EQ(join<Publisher<State>>(), Errc::already_exists);
    const auto refused = Writer<State>::create(*node, "state");
    EXPECT_NE(refused.failure().message.find("WriterOptions::exclusive"), std::string::npos);
    EXPECT_EQ(join<Reader<State>>(), Errc::ok);
    EXPECT_EQ(reader.read()->count, 1U);
    EXPECT_EQ(reader.writers(), 1U) << "those that were refused have left";
  }
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::ok);
  EXPECT_EQ(join<Writer<State>>(), Errc::ok);
}

TEST_F(ExclusiveWriter, IsRefusedWhereThereIsAnother) {
  std::optional<Publisher<State>> publisher(std::in_place, *node, "state");
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::already_exists);
  publisher.reset();
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::ok);
  std::optional<Writer<State>> writer(std::in_place, *node, "state");
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::already_exists);
  EXPECT_EQ(join<Writer<State>>(), Errc::ok) << "who was refused holds nothing";
}

TEST_F(ExclusiveWriter, IsInNobodysWayOnceItWasKilled) {
  const Reader<State> reader(*node, "state");
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("victim");
    Writer<State> writer(own, "state", kExclusive);
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::already_exists);
  EXPECT_EQ(join<Writer<State>>(), Errc::already_exists);
  child.kill();
  EXPECT_EQ(join<Writer<State>>(kExclusive), Errc::ok);
}

TEST_F(ExclusiveWriter, NeverIsThereBesideAnotherThatJoinsAtTheSameMoment) {
  const Reader<State> reader(*node, "state");
  std::vector<ChildProcess> children;
  for (int i = 0; i < 2; ++i) {
    children.emplace_back([i](const ChildProcess::Line& line) {
      const Node own("racer");
      for (;;) {
        if (!line.hear()) return 0;
        const auto made = Writer<State>::create(own, "state", {.exclusive = i == 0});
        if (!made && made.error() != Errc::already_exists) return 1;
        line.say(made ? 2 : 1);
        line.hear();
      }
    });
  }
  int joined = 0;
  for (int round = 0; round < 200; ++round) {
    for (auto& child : children) child.say();
    int together = 0;
    for (auto& child : children) {
      std::uint64_t word = 0;
      ASSERT_TRUE(child.hear(&word));
      together += word == 2 ? 1 : 0;
    }
    ASSERT_LE(together, 1) << "round " << round;
    joined += together;
    for (auto& child : children) child.say();
  }
  EXPECT_GT(joined, 0);
  for (auto& child : children) child.kill();
}

}  // namespace
}  // namespace sluice
