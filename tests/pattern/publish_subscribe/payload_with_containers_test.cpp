// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Point {
  float x, y, z;
};

struct Cloud {
  explicit Cloud(Allocator<> a) : frame{a}, points{a}, tags{a} {}
  Cloud(const char* name, Allocator<> a) : frame{name, a}, points{a}, tags{a} {}

  String frame;
  Vector<Point> points;
  Map<String, Vector<std::int32_t>> tags;
};

/// Counts its destructions, in the private memory of the process that destroys it.
struct Counted {
  explicit Counted(Allocator<> a) : numbers{a} {}
  ~Counted() { ++destroyed; }

  Vector<std::uint64_t> numbers;
  static inline int destroyed = 0;
};

struct PayloadsWithContainers : testing::Test {
  ~PayloadsWithContainers() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(PayloadsWithContainers, AreBuiltInPlaceAndReadInPlace) {
  Publisher<Cloud> publisher(*node, "cloud");
  Subscriber<Cloud> subscriber(*node, "cloud");
  auto loan = publisher.loan();
  ASSERT_TRUE(loan) << publisher.last_failure().message;
  loan->frame = "lidar_front, whose name is too long to be stored anywhere but in the heap";
  loan->points.resize(30'000);
  loan->points.back() = {1, 2, 3};
  loan->tags["first"].push_back(1);
  loan->tags["second"].assign({2, 3});
  publisher.publish(std::move(loan));
  const auto cloud = subscriber.receive();
  ASSERT_TRUE(cloud) << subscriber.last_failure().message;
  EXPECT_EQ(cloud->frame,
            "lidar_front, whose name is too long to be stored anywhere but in the heap");
  ASSERT_EQ(cloud->points.size(), 30'000U);
  EXPECT_EQ(cloud->points.back().z, 3);
  EXPECT_EQ(cloud->tags.at("second")[1], 3);
}

TEST_F(PayloadsWithContainers, AreConstructedFromTheArgumentsOfLoan) {
  Publisher<Cloud> publisher(*node, "cloud");
  Subscriber<Cloud> subscriber(*node, "cloud");
  publisher.publish(publisher.loan("rear"));
  EXPECT_EQ(subscriber.receive()->frame, "rear");
}

TEST_F(PayloadsWithContainers, AreReadByAnotherProcessWhileThePublisherGrows) {
  constexpr std::size_t kLast = 22;
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Subscriber<Cloud> subscriber(own, "cloud");
    line.say();
    for (std::size_t i = 0; i < kLast; ++i) {
      const auto cloud = subscriber.wait(10s);
      if (!cloud) return 1;
      const std::size_t count = std::size_t{1} << i;
      if (cloud->points.size() != count || cloud->frame != std::to_string(i)) return 2;
      if (cloud->points.back().x != static_cast<float>(i)) return 3;
      line.say();
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Publisher<Cloud> publisher(*node, "cloud", {.depth = 1});
  ASSERT_EQ(publisher.subscribers(), 1U);
  for (std::size_t i = 0; i < kLast; ++i) {
    auto loan = publisher.loan();
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    loan->frame = std::to_string(i);
    loan->points.resize(std::size_t{1} << i);
    loan->points.back().x = static_cast<float>(i);
    publisher.publish(std::move(loan));
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(PayloadsWithContainers, GiveTheirMemoryBackWhenTheSlotIsReclaimed) {
  constexpr std::size_t kHeap = std::size_t{64} << 20;
  // A tenth of the heap each: a hundred of them fit only if those before are given back.
  constexpr std::size_t kPoints = kHeap / 10 / sizeof(Point);
  Publisher<Cloud> publisher(*node, "cloud", {.depth = 1, .heap_bytes = kHeap});
  Subscriber<Cloud> subscriber(*node, "cloud", {.max_borrowed = 1});
  for (int i = 0; i < 100; ++i) {
    auto loan = publisher.loan();
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    loan->points.resize(kPoints);
    publisher.publish(std::move(loan));
    ASSERT_EQ(subscriber.receive()->points.size(), kPoints);
  }
}

TEST_F(PayloadsWithContainers, AreDestroyedOnceEach) {
  Counted::destroyed = 0;
  {
    Publisher<Counted> publisher(*node, "counted", {.depth = 1, .max_loans = 1});
    Subscriber<Counted> subscriber(*node, "counted", {.max_borrowed = 1});
    const int specimens = Counted::destroyed;
    auto held = Sample<Counted>();
    for (std::uint64_t i = 0; i < 100; ++i) {
      auto loan = publisher.loan();
      ASSERT_TRUE(loan) << publisher.last_failure().message;
      loan->numbers.assign(100, i);
      publisher.publish(std::move(loan));
      if (i == 50) held = subscriber.receive();
      const bool is_whole =
          !held || std::count(held->numbers.begin(), held->numbers.end(), 50U) == 100;
      ASSERT_TRUE(is_whole);
    }
    EXPECT_GT(Counted::destroyed - specimens, 90);
    EXPECT_LT(Counted::destroyed - specimens, 100);
    { const auto dropped = publisher.loan(); }
    { const auto dropped = publisher.loan(); }
  }
  EXPECT_LE(Counted::destroyed, 103);
}

#if defined(__cpp_exceptions)
TEST_F(PayloadsWithContainers, RunningOutSaysWhatWasNeededAndWhatThereIs) {
  Publisher<Cloud> publisher(*node, "cloud", {.depth = 1, .heap_bytes = 1 << 20});
  auto loan = publisher.loan();
  ASSERT_TRUE(loan);
  try {
    loan->points.resize(std::size_t{1} << 30);
    FAIL() << "there is no room for it";
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::no_address_space);
    EXPECT_NE(std::string(error.what()).find("bytes"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(loan->points.empty());
  loan->points.resize(10);
  Subscriber<Cloud> subscriber(*node, "cloud");
  publisher.publish(std::move(loan));
  EXPECT_EQ(subscriber.receive()->points.size(), 10U) << "it goes on";
}
#endif

#if defined(__cpp_exceptions)
TEST_F(PayloadsWithContainers, HaveNoMoreThanTheHeapBytesTogether) {
  constexpr std::size_t kHeap = std::size_t{1} << 20;
  Publisher<Counted> publisher(*node, "counted", {.depth = 1, .heap_bytes = kHeap});
  std::vector<Loan<Counted>> loans;
  for (int i = 0; i < 4; ++i) loans.push_back(publisher.loan());
  // One grows where it is, the others take new blocks.
  std::size_t bytes = 0;
  try {
    for (;; bytes += 4 * 512 * sizeof(std::uint64_t)) {
      for (auto& loan : loans) loan->numbers.resize(loan->numbers.size() + 512);
      ASSERT_LE(bytes, kHeap);
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::no_address_space);
    EXPECT_NE(std::string(error.what()).find("of 1048576 bytes are in use; raise heap_bytes"),
              std::string::npos)
        << error.what();
  }
  EXPECT_GT(bytes, kHeap / 4);
  loans.resize(1);
  for (int i = 0; i < 20; ++i) publisher.publish(publisher.loan());
  loans[0]->numbers = Vector<std::uint64_t>();
  loans[0]->numbers.shrink_to_fit();
  EXPECT_NO_THROW(loans[0]->numbers.resize(kHeap * 3 / 4 / sizeof(std::uint64_t)));
  EXPECT_THROW(loans[0]->numbers.resize(kHeap / sizeof(std::uint64_t) + 1), Error);
}
#endif

TEST_F(PayloadsWithContainers, HoldAGibibyteInAVector) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  auto publisher = Publisher<Counted>::create(
      *node, "large", {.depth = 1, .max_loans = 1, .heap_bytes = 3 * kBytes});
  ASSERT_TRUE(publisher) << publisher.failure().message;
  Subscriber<Counted> subscriber(*node, "large");
  auto loan = publisher->loan();
  ASSERT_TRUE(loan);
#if defined(__cpp_exceptions)
  try {
    loan->numbers.resize(kBytes / sizeof(std::uint64_t));
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
#else
  loan->numbers.resize(kBytes / sizeof(std::uint64_t));
#endif
  loan->numbers.back() = 7;
  publisher->publish(std::move(loan));
  const auto sample = subscriber.receive();
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->numbers.size(), kBytes / sizeof(std::uint64_t));
  EXPECT_EQ(sample->numbers.back(), 7U);
}

TEST_F(PayloadsWithContainers, OutliveTheirPublisher) {
  Sample<Cloud> sample;
  Loan<Cloud> loan;
  {
    Publisher<Cloud> publisher(*node, "cloud");
    Subscriber<Cloud> subscriber(*node, "cloud");
    auto first = publisher.loan();
    first->points.resize(1000);
    publisher.publish(std::move(first));
    sample = subscriber.receive();
    loan = publisher.loan();
  }
  ASSERT_TRUE(sample && loan);
  EXPECT_EQ(sample->points.size(), 1000U);
  loan->points.resize(2000);
}

TEST_F(PayloadsWithContainers, AreCopiedOutToPrivateMemory) {
  Publisher<Cloud> publisher(*node, "cloud");
  Subscriber<Cloud> subscriber(*node, "cloud");
  auto loan = publisher.loan("front");
  loan->points.resize(3);
  publisher.publish(std::move(loan));
  auto sample = subscriber.receive();
  ASSERT_TRUE(sample);
  Vector<Point> points = sample->points;
  sample.reset();
  points.push_back({1, 2, 3});
  EXPECT_EQ(points.size(), 4U);
}

TEST_F(PayloadsWithContainers, OfAnotherClassAreRefused) {
  const Publisher<Cloud> publisher(*node, "cloud");
  const auto other = Subscriber<Counted>::create(*node, "cloud");
  EXPECT_EQ(other.error(), Errc::type_mismatch);
  EXPECT_NE(other.failure().message.find("Cloud"), std::string::npos) << other.failure().message;
}

TEST_F(PayloadsWithContainers, ThatLeadOutsideThePublishersFileAreRefusedBeforeTheyAreSeen) {
  Publisher<Counted> publisher(*node, "counted");
  Subscriber<Counted> subscriber(*node, "counted");
  auto loan = publisher.loan();
  ASSERT_TRUE(loan);
  loan->numbers.resize(4);
  // The words of a container: allocator, data, size, capacity.
  auto* const words = reinterpret_cast<std::uint64_t*>(&loan->numbers);
  const std::uint64_t data = words[1];
  words[1] = data + (std::uint64_t{1} << 40);
  publisher.publish(std::move(loan));
  EXPECT_EQ(subscriber.receive().error(), Errc::corrupted);
  EXPECT_NE(subscriber.last_failure().message.find("container"), std::string::npos)
      << subscriber.last_failure().message;
  words[1] = data;  // so that its publisher can destroy it
}

TEST_F(PayloadsWithContainers, AreALatestValueToo) {
  Writer<Cloud> writer(*node, "cloud");
  Reader<Cloud> reader(*node, "cloud");
  for (int i = 0; i < 20; ++i) {
    auto loan = writer.loan("front");
    loan->points.resize(static_cast<std::size_t>(i));
    writer.write(std::move(loan));
    ASSERT_EQ(reader.read()->points.size(), static_cast<std::size_t>(i));
    ASSERT_EQ(reader.read()->frame, "front");
  }
}

}  // namespace
}  // namespace sluice
