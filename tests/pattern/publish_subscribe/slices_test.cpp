// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <optional>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

struct Point {
  float x, y, z;
};

struct Slices : testing::Test {
  ~Slices() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(Slices, ASliceHasAsManyElementsAsWereAskedFor) {
  Publisher<float[]> publisher(*node, "ranges");
  Subscriber<float[]> subscriber(*node, "ranges");
  for (const std::size_t count : {361U, 1U, 0U, 5000U, 100U}) {
    auto loan = publisher.loan(count);
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    ASSERT_EQ(loan.size(), count);
    ASSERT_EQ(loan.span().size(), count);
    std::iota(loan.begin(), loan.end(), 0.5F);
    publisher.publish(std::move(loan));
    const auto sample = subscriber.receive();
    ASSERT_TRUE(sample);
    ASSERT_EQ(sample.size(), count);
    EXPECT_EQ(sample.empty(), count == 0);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(sample[i], 0.5F + static_cast<float>(i));
  }
}

TEST_F(Slices, ACopyOfAnyContiguousRangeIsPublished) {
  Publisher<int[]> publisher(*node, "numbers");
  Subscriber<int[]> subscriber(*node, "numbers");
  const std::vector<int> numbers{1, 2, 3};
  EXPECT_EQ(*publisher.publish(numbers), 0U);
  const auto sample = subscriber.receive();
  EXPECT_TRUE(std::equal(sample.begin(), sample.end(), numbers.begin(), numbers.end()));
  EXPECT_EQ(sample.publisher(), publisher.id());
}

TEST_F(Slices, ElementsAreAlignedToACacheLine) {
  Publisher<Point[]> publisher(*node, "points");
  Subscriber<Point[]> subscriber(*node, "points");
  for (std::size_t count = 1; count < 20; ++count) {
    publisher.publish(publisher.loan(count));
    const auto sample = subscriber.receive();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(sample.data()) % 64, 0U);
  }
}

TEST_F(Slices, ASliceThatIsHeldStaysAsItIs) {
  Publisher<std::uint64_t[]> publisher(*node, "numbers");
  Subscriber<std::uint64_t[]> subscriber(*node, "numbers", {.max_borrowed = 3});
  std::vector<Sample<std::uint64_t[]>> held;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    auto loan = publisher.loan(1 + i % 97);
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    std::fill(loan.begin(), loan.end(), i);
    publisher.publish(std::move(loan));
    if (i % 500 == 0) {
      subscriber.latest().reset();
      continue;
    }
    auto sample = subscriber.latest();
    ASSERT_TRUE(sample);
    ASSERT_EQ(sample.size(), 1 + i % 97);
    if (i % 500 == 1 && held.size() < 2) held.push_back(std::move(sample));
    for (const auto& one : held) {
      const auto count = one.sequence();
      ASSERT_EQ(one.size(), 1 + count % 97);
      ASSERT_TRUE(std::all_of(one.begin(), one.end(), [&](auto value) { return value == count; }));
    }
  }
  EXPECT_EQ(held.size(), 2U);
}

TEST_F(Slices, ASubscriberInAnotherProcessFollowsAsThePublisherGrows) {
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Subscriber<std::uint64_t[]> subscriber(own, "numbers");
    line.say();
    for (std::uint64_t bytes = 8; bytes <= std::uint64_t{64} << 20; bytes *= 4) {
      const auto sample = subscriber.wait(std::chrono::seconds(10));
      if (!sample || sample.size() != bytes / 8) return 1;
      if (sample[0] != bytes || sample[sample.size() - 1] != bytes) return 2;
      line.say();
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Publisher<std::uint64_t[]> publisher(*node, "numbers", {.depth = 1});
  ASSERT_EQ(publisher.subscribers(), 1U);
  for (std::uint64_t bytes = 8; bytes <= std::uint64_t{64} << 20; bytes *= 4) {
    auto loan = publisher.loan(bytes / 8);
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    loan[0] = bytes;
    loan[loan.size() - 1] = bytes;
    publisher.publish(std::move(loan));
    ASSERT_TRUE(child.hear());
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Slices, RunningOutSaysWhatWasNeededAndWhatThereIs) {
  Publisher<std::byte[]> publisher(*node, "bytes", {.depth = 1, .heap_bytes = 1 << 20});
  const auto loan = publisher.loan(std::size_t{1} << 30);
  EXPECT_FALSE(loan);
  EXPECT_EQ(loan.error(), Errc::no_address_space);
  const std::string& message = publisher.last_failure().message;
  EXPECT_NE(message.find("service 'bytes'"), std::string::npos) << message;
  EXPECT_NE(message.find("1073741824"), std::string::npos) << message;
  EXPECT_NE(message.find("heap_bytes"), std::string::npos) << message;
  EXPECT_EQ(publisher.loan(SIZE_MAX).error(), Errc::no_address_space);
  EXPECT_TRUE(publisher.loan(1000)) << "it goes on";
}

/// The limit is that of all that are loaned, published or held together, to the byte.
TEST_F(Slices, HaveNoMoreThanTheHeapBytesTogether) {
  constexpr std::size_t kHeap = std::size_t{1} << 20;
  Publisher<std::byte[]> publisher(*node, "bytes", {.depth = 1, .heap_bytes = kHeap});
  for (const std::size_t mib : {2U, 4U, 8U, 60U, 64U, 128U}) {
    EXPECT_EQ(publisher.loan(mib << 20).error(), Errc::no_address_space) << mib;
  }
  EXPECT_EQ(publisher.loan(kHeap + 1).error(), Errc::no_address_space);
  {
    std::vector<Loan<std::byte[]>> loans;
    for (int i = 0; i < 4; ++i) {
      loans.push_back(publisher.loan(kHeap / 4));
      ASSERT_TRUE(loans.back()) << publisher.last_failure().message;
    }
    loans.pop_back();
    EXPECT_EQ(publisher.loan(kHeap / 4 + 1).error(), Errc::no_address_space);
    EXPECT_NE(publisher.last_failure().message.find(
                  "cannot allocate 262145 bytes: 786432 of 1048576 bytes are in use"),
              std::string::npos)
        << publisher.last_failure().message;
    EXPECT_TRUE(publisher.loan(kHeap / 4));
  }
  EXPECT_TRUE(publisher.loan(kHeap)) << "what was dropped does not count";
}

TEST_F(Slices, BlocksOfFreeSlotsAreGivenUpWhereMemoryIsShort) {
  constexpr std::size_t kHeap = std::size_t{256} << 20;
  Publisher<std::byte[]> publisher(*node, "bytes",
                                   {.depth = 1, .max_loans = 2, .heap_bytes = kHeap});
  Subscriber<std::byte[]> subscriber(*node, "bytes");
  // Each of these fits only where no slot keeps the block of an earlier one for good.
  for (std::size_t bytes = kHeap / 8; bytes <= kHeap / 3; bytes += kHeap / 16) {
    for (int i = 0; i < 3; ++i) {
      auto loan = publisher.loan(bytes);
      ASSERT_TRUE(loan) << publisher.last_failure().message;
      publisher.publish(std::move(loan));
      ASSERT_EQ(subscriber.receive().size(), bytes);
    }
  }
}

TEST_F(Slices, AServiceOfSlicesIsNoneOfSingleElements) {
  Publisher<float[]> publisher(*node, "ranges");
  const auto single = Subscriber<float>::create(*node, "ranges");
  EXPECT_EQ(single.error(), Errc::type_mismatch);
  EXPECT_NE(single.failure().message.find("float[]"), std::string::npos)
      << single.failure().message;
  EXPECT_EQ(Subscriber<double[]>::create(*node, "ranges").error(), Errc::type_mismatch);
  EXPECT_EQ(services().at(0).type_name(), "float[]");
}

TEST_F(Slices, LosslessDeliveryWaitsForRoom) {
  Publisher<int[]> publisher(*node, "numbers", {.depth = 2, .delivery = Delivery::lossless});
  Subscriber<int[]> subscriber(*node, "numbers");
  ASSERT_EQ(publisher.subscribers(), 1U);
  publisher.publish(publisher.loan(10));
  publisher.publish(publisher.loan(20));
  EXPECT_EQ(publisher.loan(30).error(), Errc::would_block);
  EXPECT_EQ(publisher.loan_for(std::chrono::milliseconds(1), 30).error(), Errc::timed_out);
  EXPECT_EQ(subscriber.receive().size(), 10U);
  EXPECT_TRUE(publisher.loan_for(std::chrono::seconds(10), 30));
}

/// Runs `tamper(words)` on the words of a published slice, as its publisher may.
template <typename Tamper>
void expect_refused(const TemporaryRoot& root, const Node& node, Tamper&& tamper) {
  Publisher<std::uint64_t[]> publisher(node, "numbers");
  Subscriber<std::uint64_t[]> subscriber(node, "numbers");
  publisher.publish(std::vector<std::uint64_t>{1, 2, 3});
  const auto files = root.files();
  const auto name = std::find_if(files.begin(), files.end(), [](const std::string& file) {
    return file.ends_with("/publisher.0");
  });
  ASSERT_NE(name, files.end());
  const std::string directory = root.path() + "/" + name->substr(0, name->rfind('/'));
  const auto file =
      SharedFile::open(open_directory_at_path(directory).value(), "publisher.0",
                       FileKind::publisher, sizeof(PublisherFile), Region::Access::read_write);
  ASSERT_TRUE(file);
  const Region& region = file->region();
  const auto& words = *region.at<PublisherFile>(0);
  const std::uint64_t* offsets = region.at<std::uint64_t>(words.slots.chunks[0]);
  const std::uint32_t slot =
      SampleHandle::slot(*region.at<std::atomic<std::uint64_t>>(words.shape.read().ring_offset));
  tamper(*region.at<SliceWords>(offsets[slot] + words.slots.payload_offset));
  const auto sample = subscriber.receive();
  EXPECT_FALSE(sample);
  EXPECT_EQ(sample.error(), Errc::corrupted);
  EXPECT_NE(subscriber.last_failure().message.find("outside the file"), std::string::npos)
      << subscriber.last_failure().message;
}

TEST_F(Slices, ASliceThatLeadsOutsideTheFileIsRefused) {
  expect_refused(root, *node, [](SliceWords& words) { words.offset = std::uint64_t{1} << 62; });
  expect_refused(root, *node, [](SliceWords& words) { words.count = std::uint64_t{1} << 33; });
  expect_refused(root, *node, [](SliceWords& words) { words.count = UINT64_MAX / 8 + 2; });
  expect_refused(root, *node, [](SliceWords& words) { words.offset += 1; });
}

TEST_F(Slices, ASliceOutlivesItsPublisherAndItsSubscriber) {
  Sample<int[]> sample;
  Loan<int[]> loan;
  {
    Publisher<int[]> publisher(*node, "numbers");
    Subscriber<int[]> subscriber(*node, "numbers");
    publisher.publish(std::vector<int>{1, 2, 3});
    sample = subscriber.receive();
    loan = publisher.loan(5);
  }
  ASSERT_TRUE(sample && loan);
  EXPECT_EQ(sample[2], 3);
  loan[4] = 1;
}

}  // namespace
}  // namespace sluice
