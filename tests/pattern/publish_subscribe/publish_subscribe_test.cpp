// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Pose {
  double x, y, heading;
};

struct PublishSubscribe : testing::Test {
  ~PublishSubscribe() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(PublishSubscribe, ASampleArrivesAsItWasPublished) {
  Publisher<Pose> publisher(*node, "pose");
  Subscriber<Pose> subscriber(*node, "pose");
  auto loan = publisher.loan();
  ASSERT_TRUE(loan);
  *loan = {1, 2, 3};
  EXPECT_EQ(publisher.publish(std::move(loan)), 0U);
  const auto sample = subscriber.receive();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->x, 1);
  EXPECT_EQ(sample->y, 2);
  EXPECT_EQ(sample->heading, 3);
  EXPECT_EQ(sample.sequence(), 0U);
  EXPECT_EQ(sample.publisher(), publisher.id());
}

TEST_F(PublishSubscribe, ALoanIsConstructedFromItsArguments) {
  Publisher<Pose> publisher(*node, "pose");
  Subscriber<Pose> subscriber(*node, "pose");
  publisher.publish(publisher.loan(4.0, 5.0, 6.0));
  EXPECT_EQ(subscriber.receive()->heading, 6);
}

TEST_F(PublishSubscribe, NothingThereIsNoError) {
  Subscriber<Pose> subscriber(*node, "pose");
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(subscriber.receive().error(), Errc::ok);
  Publisher<Pose> publisher(*node, "pose");
  EXPECT_EQ(subscriber.receive().error(), Errc::ok);
  EXPECT_EQ(subscriber.latest().error(), Errc::ok);
}

TEST_F(PublishSubscribe, WaitingEndsWithItsTime) {
  Subscriber<Pose> subscriber(*node, "pose");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(subscriber.wait(20ms).error(), Errc::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_EQ(subscriber.wait(0ms).error(), Errc::timed_out);
  EXPECT_EQ(subscriber.wait(-1ms).error(), Errc::timed_out);
}

TEST_F(PublishSubscribe, ASleeperIsWoken) {
  Publisher<int> publisher(*node, "numbers");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    line.say();
    for (int i = 0; i < 1000; ++i) {
      const auto sample = subscriber.wait(10s);
      if (!sample || *sample != i) return 1;
      line.say();
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(publisher.publish(i));
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(PublishSubscribe, APublisherThatComesLaterIsFound) {
  Subscriber<int> subscriber(*node, "numbers");
  EXPECT_EQ(subscriber.publishers(), 0U);
  Publisher<int> publisher(*node, "numbers");
  EXPECT_EQ(subscriber.publishers(), 1U);
  EXPECT_EQ(publisher.subscribers(), 1U);
  ASSERT_TRUE(publisher.publish(7));
  EXPECT_EQ(*subscriber.receive(), 7);
}

TEST_F(PublishSubscribe, ASubscriberCountsBeforeItLooksAgain) {
  // Two programs that both wait for the other's subscriber, and do nothing else meanwhile.
  Subscriber<int> there(*node, "there");
  Subscriber<int> back(*node, "back");
  Publisher<int> to_there(*node, "there");
  Publisher<int> to_back(*node, "back");
  EXPECT_EQ(to_there.subscribers(), 1U);
  EXPECT_EQ(to_back.subscribers(), 1U);
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(to_there.publish(i));
  for (int i = 0; i < 16; ++i) EXPECT_EQ(*there.receive(), i);
}

TEST_F(PublishSubscribe, SamplesOfALaterPublisherAreReadFromTheFirstOn) {
  Subscriber<int> subscriber(*node, "numbers");
  Publisher<int> publisher(*node, "numbers");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher.publish(i));  // before it looks
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*subscriber.receive(), i);
}

TEST_F(PublishSubscribe, WithoutHistoryALateSubscriberStartsWithTheNextSample) {
  Publisher<int> publisher(*node, "numbers");
  ASSERT_TRUE(publisher.publish(1));
  Subscriber<int> subscriber(*node, "numbers");
  EXPECT_FALSE(subscriber.receive());
  ASSERT_TRUE(publisher.publish(2));
  EXPECT_EQ(*subscriber.receive(), 2);
  EXPECT_EQ(subscriber.lost(), 0U);
}

TEST_F(PublishSubscribe, ALateSubscriberGetsTheHistoryThatBothWant) {
  Publisher<int> publisher(*node, "numbers", {.history = 3});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publisher.publish(i));
  Subscriber<int> all(*node, "numbers");
  Subscriber<int> two(*node, "numbers", {.history = 2});
  Subscriber<int> none(*node, "numbers", {.history = 0});
  for (int i = 7; i < 10; ++i) EXPECT_EQ(*all.receive(), i);
  for (int i = 8; i < 10; ++i) EXPECT_EQ(*two.receive(), i);
  EXPECT_FALSE(all.receive());
  EXPECT_FALSE(two.receive());
  EXPECT_FALSE(none.receive());
  EXPECT_EQ(all.lost() + two.lost() + none.lost(), 0U);
}

TEST_F(PublishSubscribe, ASlowSubscriberLosesTheOldestFirstAndIsToldHowMany) {
  Publisher<int> publisher(*node, "numbers", {.depth = 8});
  Subscriber<int> subscriber(*node, "numbers");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int i = 92; i < 100; ++i) {
    const auto sample = subscriber.receive();
    ASSERT_TRUE(sample);
    EXPECT_EQ(*sample, i);
    EXPECT_EQ(sample.sequence(), static_cast<std::uint64_t>(i));
  }
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(subscriber.lost(), 92U);
}

TEST_F(PublishSubscribe, ASubscribersOwnDepthIsKept) {
  Publisher<int> publisher(*node, "numbers", {.depth = 16});
  Subscriber<int> subscriber(*node, "numbers", {.depth = 3});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int i = 7; i < 10; ++i) EXPECT_EQ(*subscriber.receive(), i);
  EXPECT_EQ(subscriber.lost(), 7U);
}

TEST_F(PublishSubscribe, LatestSkipsWhatIsOlderWithoutCountingItAsLost) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(*subscriber.latest(), 4);
  EXPECT_FALSE(subscriber.latest());
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(subscriber.lost(), 0U);
}

TEST_F(PublishSubscribe, PublishersAreServedInTurn) {
  std::vector<std::unique_ptr<Publisher<int>>> publishers;
  for (int i = 0; i < 3; ++i) {
    publishers.push_back(std::make_unique<Publisher<int>>(*node, "numbers"));
  }
  Subscriber<int> subscriber(*node, "numbers");
  EXPECT_EQ(subscriber.publishers(), 3U);
  for (int round = 0; round < 10; ++round) {
    for (auto& publisher : publishers) ASSERT_TRUE(publisher->publish(round));
  }
  std::map<std::uint64_t, int> next;
  for (int i = 0; i < 30; ++i) {
    const auto sample = subscriber.receive();
    ASSERT_TRUE(sample);
    EXPECT_EQ(*sample, next[sample.publisher()]++) << "each in its own order";
    EXPECT_EQ(*sample, i / 3) << "one of each in turn";
  }
  EXPECT_EQ(next.size(), 3U);
}

TEST_F(PublishSubscribe, EverySubscriberGetsEverySample) {
  Publisher<int> publisher(*node, "numbers", {.depth = 4});
  std::vector<std::unique_ptr<Subscriber<int>>> subscribers;
  for (int joined = 0; joined < 70; ++joined) {  // slots grow on the way
    subscribers.push_back(std::make_unique<Subscriber<int>>(*node, "numbers"));
    ASSERT_TRUE(publisher.publish(joined));
    for (auto& subscriber : subscribers) {
      const auto sample = subscriber->receive();
      ASSERT_TRUE(sample) << joined;
      ASSERT_EQ(*sample, joined);
    }
  }
  EXPECT_EQ(publisher.subscribers(), 70U);
  subscribers.clear();
  EXPECT_EQ(publisher.subscribers(), 0U);
}

TEST_F(PublishSubscribe, SamplesHeldAreNotOverwritten) {
  Publisher<int> publisher(*node, "numbers", {.depth = 2});
  Subscriber<int> subscriber(*node, "numbers", {.max_borrowed = 3});
  std::vector<Sample<int>> held;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(publisher.publish(i));
    held.push_back(subscriber.receive());
  }
  for (int i = 3; i < 1000; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*held[static_cast<std::size_t>(i)], i);
}

TEST_F(PublishSubscribe, SamplesAreReleasedInAnyOrder) {
  Publisher<int> publisher(*node, "numbers", {.depth = 4});
  Subscriber<int> subscriber(*node, "numbers", {.max_borrowed = 4});
  std::vector<Sample<int>> held;
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
    held.push_back(subscriber.receive());
    ASSERT_TRUE(held.back());
    if (held.size() == 4) held.erase(held.begin() + i % 4);
  }
}

TEST_F(PublishSubscribe, MoreSamplesThanAgreedAreRefused) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers", {.max_borrowed = 2});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher.publish(i));
  auto first = subscriber.receive();
  const auto second = subscriber.receive();
  EXPECT_EQ(subscriber.receive().error(), Errc::too_many_borrowed);
  EXPECT_EQ(subscriber.wait(10s).error(), Errc::too_many_borrowed);
  EXPECT_NE(subscriber.last_failure().message.find("all 2 samples are held"), std::string::npos);
  first.reset();
  EXPECT_EQ(*subscriber.receive(), 2);
}

TEST_F(PublishSubscribe, MoreLoansThanAgreedAreRefused) {
  Publisher<int> publisher(*node, "numbers", {.max_loans = 2});
  auto first = publisher.loan(1);
  auto second = publisher.loan(2);
  EXPECT_EQ(publisher.loan().error(), Errc::too_many_loans);
  const auto copied = publisher.publish(3);
  EXPECT_EQ(copied.error(), Errc::too_many_loans);
  EXPECT_NE(publisher.last_failure().message.find("all 2 loans are held"), std::string::npos);
  first.reset();
  EXPECT_TRUE(publisher.loan());
}

TEST_F(PublishSubscribe, LoansThatAreDroppedComeBack) {
  Publisher<int> publisher(*node, "numbers", {.depth = 1, .max_loans = 3});
  for (int i = 0; i < 1000; ++i) {
    auto first = publisher.loan();
    auto second = publisher.loan();
    ASSERT_TRUE(first && second);
    if (i % 3 == 0) publisher.publish(std::move(second));
  }
}

TEST_F(PublishSubscribe, LoansArePublishedInAnyOrder) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  auto first = publisher.loan(1);
  auto second = publisher.loan(2);
  EXPECT_EQ(publisher.publish(std::move(second)), 0U);
  EXPECT_EQ(publisher.publish(std::move(first)), 1U);
  EXPECT_EQ(first.error(), Errc::closed);
  EXPECT_EQ(*subscriber.receive(), 2);
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST_F(PublishSubscribe, ASampleOutlivesItsSubscriber) {
  Publisher<int> publisher(*node, "numbers");
  Sample<int> kept;
  {
    Subscriber<int> subscriber(*node, "numbers");
    ASSERT_TRUE(publisher.publish(42));
    kept = subscriber.receive();
  }
  EXPECT_EQ(publisher.subscribers(), 1U) << "it leaves with its last sample";
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(*kept, 42);
  kept.reset();
  EXPECT_EQ(publisher.subscribers(), 0U);
}

TEST_F(PublishSubscribe, ASampleOutlivesItsPublisher) {
  Subscriber<int> subscriber(*node, "numbers");
  std::optional<Publisher<int>> publisher(std::in_place, *node, "numbers");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher->publish(i));
  const auto first = subscriber.receive();
  publisher.reset();
  EXPECT_EQ(*subscriber.receive(), 1) << "what was published can still be read";
  EXPECT_EQ(subscriber.publishers(), 0U);
  EXPECT_EQ(*subscriber.receive(), 2);
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(*first, 0);
}

TEST_F(PublishSubscribe, ALoanOutlivesItsPublisher) {
  Loan<int> loan;
  {
    Publisher<int> publisher(*node, "numbers");
    loan = publisher.loan(1);
  }
  *loan = 2;
}

TEST_F(PublishSubscribe, HandlesAreReleasedOnAnotherThread) {
  Publisher<int> publisher(*node, "numbers", {.max_loans = 2});
  Subscriber<int> subscriber(*node, "numbers", {.max_borrowed = 2});
  for (int i = 0; i < 200; ++i) {
    Loan<int> unwanted = publisher.loan();
    ASSERT_TRUE(unwanted);
    ASSERT_TRUE(publisher.publish(i));
    Sample<int> sample = subscriber.receive();
    ASSERT_TRUE(sample);
    std::thread([taken = std::move(sample), dropped = std::move(unwanted), i] {
      EXPECT_EQ(*taken, i);
    }).join();
  }
}

TEST_F(PublishSubscribe, PortsCanBeMoved) {
  Publisher<int> first(*node, "numbers");
  auto loan = first.loan(5);
  Publisher<int> second(std::move(first));
  second.publish(std::move(loan));
  Subscriber<int> a(*node, "numbers", {.history = 0});
  Subscriber<int> b(*node, "other");
  ASSERT_TRUE(second.publish(6));
  b = std::move(a);
  EXPECT_EQ(*b.receive(), 6);
}

TEST_F(PublishSubscribe, PayloadsOfAnySizeAndAlignmentAreShared) {
  struct alignas(4096) Page {
    std::array<char, 8192> bytes;
  };
  struct Frame {
    std::array<std::uint8_t, std::size_t{64} << 20> bytes;
  };
  Publisher<Page> pages(*node, "pages");
  Subscriber<Page> page_reader(*node, "pages");
  auto page = pages.loan();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page.get()) % 4096, 0U);
  page->bytes.back() = 'x';
  pages.publish(std::move(page));
  EXPECT_EQ(page_reader.receive()->bytes.back(), 'x');

  Publisher<Frame> frames(*node, "frames", {.depth = 1, .max_loans = 1});
  Subscriber<Frame> frame_reader(*node, "frames", {.max_borrowed = 1});
  for (std::uint8_t i = 1; i < 20; ++i) {
    auto frame = frames.loan();
    ASSERT_TRUE(frame) << frames.last_failure().message;
    frame->bytes.front() = i;
    frame->bytes.back() = i;
    frames.publish(std::move(frame));
    const auto seen = frame_reader.receive();
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->bytes.front(), i);
    EXPECT_EQ(seen->bytes.back(), i);
  }

  Publisher<char> letters(*node, "letters");
  Subscriber<char> letter_reader(*node, "letters");
  ASSERT_TRUE(letters.publish('s'));
  EXPECT_EQ(*letter_reader.receive(), 's');
}

TEST_F(PublishSubscribe, WhatADeadPublisherPublishedCanBeRead) {
  Subscriber<int> subscriber(*node, "numbers");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Publisher<int> publisher(own, "numbers");
    for (int i = 0; i < 5; ++i) (void)publisher.publish(i);
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  const auto first = subscriber.receive();
  child.kill();
  for (int i = 1; i < 5; ++i) {
    EXPECT_EQ(subscriber.publishers(), 0U);
    EXPECT_EQ(*subscriber.receive(), i);
  }
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(*first, 0);

  Publisher<int> successor(*node, "numbers");
  ASSERT_TRUE(successor.publish(10));
  EXPECT_EQ(*subscriber.receive(), 10);
  EXPECT_EQ(subscriber.publishers(), 1U);
}

TEST_F(PublishSubscribe, WhatADeadSubscriberHeldIsLoanedAgain) {
  Publisher<int> publisher(*node, "numbers", {.depth = 1, .max_loans = 1});
  for (int round = 0; round < 300; ++round) {
    ChildProcess child([](const ChildProcess::Line& line) {
      Node own("child");
      Subscriber<int> subscriber(own, "numbers", {.max_borrowed = 4});
      std::vector<Sample<int>> held;
      line.say();
      while (held.size() < 4) {
        auto sample = subscriber.wait(10s);
        if (sample) held.push_back(std::move(sample));
        line.say();
      }
      line.hear();
      return 0;
    });
    ASSERT_TRUE(child.hear());
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
      ASSERT_TRUE(child.hear());
    }
    child.kill();
  }
  EXPECT_EQ(publisher.subscribers(), 0U);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(publisher.publish(i));
}

TEST_F(PublishSubscribe, LosslessDeliveryLosesNothing) {
  Publisher<int> publisher(*node, "numbers", {.depth = 4, .delivery = Delivery::lossless});
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    line.say();
    for (int i = 0; i < 20000; ++i) {
      const auto sample = subscriber.wait(10s);
      if (!sample || *sample != i) return 1;
    }
    return subscriber.lost() == 0 ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < 20000; ++i) {
    auto loan = publisher.loan_for(10s, i);
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    publisher.publish(std::move(loan));
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(PublishSubscribe, ALosslessPublisherDoesNotWaitForWhoMayLose) {
  Publisher<int> publisher(*node, "numbers", {.depth = 4, .delivery = Delivery::lossless});
  Subscriber<int> viewer(*node, "numbers", {.max_borrowed = 2, .may_lose = true});
  Reader<int> reader(*node, "numbers");
  Subscriber<int> logger(*node, "numbers");
  ASSERT_TRUE(publisher.publish(0));
  const auto held = viewer.receive();
  ASSERT_TRUE(held);
  const auto newest = reader.read();
  ASSERT_TRUE(newest);
  EXPECT_EQ(*logger.receive(), 0);
  for (int i = 1; i < 200; ++i) {
    ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
    EXPECT_EQ(*logger.receive(), i);
  }
  EXPECT_EQ(*held, 0) << "what it holds is not written again";
  EXPECT_EQ(*newest, 0);
  EXPECT_EQ(logger.lost(), 0U);
  std::uint64_t received = 1;
  int last = 0;
  while (const auto sample = viewer.receive()) {
    EXPECT_GT(*sample, last);
    last = *sample;
    ++received;
  }
  EXPECT_EQ(last, 199);
  EXPECT_EQ(received + viewer.lost(), 200U);
  EXPECT_GT(viewer.lost(), 0U);
  // The one that may not lose is waited for as before.
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
}

TEST_F(PublishSubscribe, LosslessLoansSayWhenThereIsNoRoom) {
  Publisher<int> publisher(*node, "numbers", {.depth = 4, .delivery = Delivery::lossless});
  Subscriber<int> subscriber(*node, "numbers");
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
  EXPECT_EQ(publisher.publish(4).error(), Errc::would_block);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(publisher.loan_for(30ms).error(), Errc::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  EXPECT_EQ(*subscriber.receive(), 0);
  auto loan = publisher.loan(4);
  ASSERT_TRUE(loan);
  EXPECT_EQ(publisher.loan().error(), Errc::would_block) << "the loan has taken the room";
  publisher.publish(std::move(loan));
  for (int i = 1; i < 5; ++i) EXPECT_EQ(*subscriber.receive(), i);
  EXPECT_EQ(subscriber.lost(), 0U);
}

TEST_F(PublishSubscribe, LosslessDeliveryIncludesWhatWasLoanedBeforeASubscriberJoined) {
  Publisher<int> publisher(
      *node, "numbers", {.history = 2, .depth = 2, .max_loans = 8, .delivery = Delivery::lossless});
  for (int i = -2; i < 0; ++i) ASSERT_TRUE(publisher.publish(i));
  std::vector<Loan<int>> loans;
  for (int i = 0; i < 8; ++i) loans.push_back(publisher.loan(i));
  Subscriber<int> subscriber(*node, "numbers");
  Subscriber<int> shallow(*node, "numbers", {.depth = 1});
  for (auto& loan : loans) publisher.publish(std::move(loan));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
  for (int i = -2; i < 8; ++i) EXPECT_EQ(*subscriber.receive(), i);
  for (int i = -1; i < 8; ++i) EXPECT_EQ(*shallow.receive(), i);
  EXPECT_EQ(subscriber.lost() + shallow.lost(), 0U);
  EXPECT_TRUE(publisher.loan());
}

TEST_F(PublishSubscribe, ALosslessPublisherWithoutSubscribersNeverWaits) {
  Publisher<int> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(publisher.publish(i));
  Subscriber<int> subscriber(*node, "numbers");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
}

TEST_F(PublishSubscribe, ALosslessPublisherIsReleasedWhenItsSubscriberLeaves) {
  Publisher<int> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  {
    Subscriber<int> subscriber(*node, "numbers");
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(publisher.publish(i));
    EXPECT_EQ(publisher.loan().error(), Errc::would_block);
  }
  EXPECT_TRUE(publisher.loan());
}

TEST_F(PublishSubscribe, ADeadSubscriberDoesNotHoldUpALosslessPublisher) {
  Publisher<int> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(publisher.publish(i));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
  std::thread killer([&] { child.kill(); });
  // How long it takes is for the benchmarks to say: 200 ms at most.
  EXPECT_TRUE(publisher.loan_for(10s)) << publisher.last_failure().message;
  killer.join();
}

TEST_F(PublishSubscribe, SubscribersComeAndGoWhileAPublisherRuns) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Publisher<std::uint64_t> publisher(own, "numbers", {.depth = 64});
    line.say();
    for (std::uint64_t i = 0;; ++i) {
      if (!publisher.publish(i)) return 1;
    }
  });
  ASSERT_TRUE(child.hear());
  for (int round = 0; round < 200; ++round) {
    Subscriber<std::uint64_t> subscriber(*node, "numbers",
                                         {.max_borrowed = 1U + static_cast<unsigned>(round) % 7});
    std::uint64_t last = 0;
    for (int i = 0; i < 100; ++i) {
      const auto sample = subscriber.wait(10s);
      ASSERT_TRUE(sample) << static_cast<int>(sample.error());
      ASSERT_EQ(*sample, sample.sequence()) << "a sample that was overwritten while it was held";
      ASSERT_TRUE(i == 0 || *sample > last);
      last = *sample;
    }
  }
}

TEST_F(PublishSubscribe, PublishersComeAndGoWhileASubscriberRuns) {
  Subscriber<int> subscriber(*node, "numbers");
  for (int round = 0; round < 200; ++round) {
    Publisher<int> publisher(*node, "numbers");
    ASSERT_TRUE(publisher.publish(round));
    const auto sample = subscriber.receive();
    ASSERT_TRUE(sample);
    EXPECT_EQ(*sample, round);
    EXPECT_EQ(sample.publisher(), publisher.id());
  }
  EXPECT_EQ(subscriber.lost(), 0U);
}

TEST_F(PublishSubscribe, AForkedChildIsRefusedAndItsParentUnharmed) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  ASSERT_TRUE(publisher.publish(1));
  auto sample = subscriber.receive();
  auto loan = publisher.loan(2);
  ChildProcess child([&](const ChildProcess::Line&) {
    if (publisher.loan().error() != Errc::forked) return 1;
    if (publisher.publish(3).error() != Errc::forked) return 2;
    if (subscriber.receive().error() != Errc::forked) return 3;
    if (subscriber.wait(10s).error() != Errc::forked) return 4;
    if (subscriber.last_failure().message.empty()) return 5;
    if (Publisher<int>::create(*node, "numbers").error() != Errc::forked) return 6;
    if (node->reap() != 0) return 7;
    sample.reset();
    loan.reset();
    {
      const Publisher<int> gone(std::move(publisher));
      const Subscriber<int> gone_too(std::move(subscriber));
      node.reset();
    }
    Node own("child");
    Subscriber<int> fresh(own, "numbers");
    return fresh.publishers() == 1 ? 0 : 8;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(*sample, 1);
  EXPECT_EQ(publisher.subscribers(), 1U);
  publisher.publish(std::move(loan));
  EXPECT_EQ(*subscriber.receive(), 2);
}

TEST_F(PublishSubscribe, ALosslessPublisherDoesNotWaitForOneOfWhichOnlyASampleIsLeft) {
  Publisher<int> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  ASSERT_TRUE(publisher.publish(7));
  const auto held = subscriber->receive();
  ASSERT_TRUE(publisher.publish(8));
  ASSERT_TRUE(publisher.publish(9));
  EXPECT_EQ(publisher.loan().error(), Errc::would_block);
  subscriber.reset();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(publisher.publish(i)) << i;
  EXPECT_EQ(*held, 7);
}

TEST_F(PublishSubscribe, APublisherThatWaitsIsWokenWhenTheSubscriberIsClosed) {
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("subscriber");
    std::optional<Subscriber<int>> subscriber(std::in_place, own, "numbers");
    line.say();
    const auto held = subscriber->wait(10s);
    line.say();
    line.hear();
    std::this_thread::sleep_for(20ms);
    subscriber.reset();
    line.hear();
    return *held == 7 ? 0 : 1;
  });
  ASSERT_TRUE(child.hear());
  Publisher<int> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  EXPECT_EQ(publisher.subscribers(), 1U);
  ASSERT_TRUE(publisher.publish(7));
  ASSERT_TRUE(child.hear());
  while (publisher.publish(8)) {
  }
  child.say();
  EXPECT_TRUE(publisher.loan_for(10s));
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace sluice
