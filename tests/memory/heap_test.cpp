// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <random>
#include <sluice/memory/heap.hpp>
#include <sluice/platform/root.hpp>
#include <vector>

#include "support/temporary_root.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kOffset = 4096 + 24;  // no multiple of any alignment

struct Blocks {
  explicit Blocks(std::uint64_t reserved_bytes, std::uint64_t offset = kOffset)
      : directory(make_domain_directory(resolve({}).value(), "segments").value()),
        file(SharedFile::create(directory, 0600, FileKind::segment, 0, offset, reserved_bytes)
                 .value()),
        heap(Heap::create(file, offset).value()) {}

  [[nodiscard]] std::uint64_t file_bytes() const { return file.region().mapped_bytes(); }

  TemporaryRoot root;
  Directory directory;
  SharedFile file;
  Heap heap;
};

TEST(Heap, BlocksAreAlignedAsAskedUpToAPage) {
  Blocks blocks(64 * kMiB);
  for (std::uint64_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (std::uint64_t bytes : {1U, 40U, 64U, 100U, 5000U}) {
      const std::uint64_t offset = blocks.heap.allocate(bytes, alignment).value();
      EXPECT_EQ(offset % alignment, 0U) << alignment;
      std::memset(blocks.file.region().at<void>(offset), 0xff, bytes);
    }
  }
}

TEST(Heap, RefusesAnAlignmentThatIsNoPowerOfTwoOrMoreThanAPage) {
  Blocks blocks(kMiB);
  for (std::uint64_t alignment : {0U, 3U, 48U, 8192U}) {
    EXPECT_EQ(blocks.heap.allocate(64, alignment).error(), Errc::invalid_options) << alignment;
  }
}

TEST(Heap, BlocksDoNotOverlapWhateverTheOrderOfAllocations) {
  Blocks blocks(512 * kMiB);
  struct Block {
    std::uint64_t bytes;
    unsigned char fill;
  };
  std::map<std::uint64_t, Block> live;
  std::mt19937 random(7);
  unsigned expanded = 0;
  const auto is_intact = [&](std::uint64_t offset, const Block& block) {
    const auto* data = blocks.file.region().at<unsigned char>(offset);
    for (std::uint64_t i = 0; i < block.bytes; ++i) {
      if (data[i] != block.fill) return false;
    }
    return true;
  };
  for (unsigned round = 0; round < 4000; ++round) {
    if (random() % 5 < 2 && !live.empty()) {
      auto victim = std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      ASSERT_TRUE(is_intact(victim->first, victim->second));
      blocks.heap.deallocate(victim->first);
      live.erase(victim);
      continue;
    }
    if (random() % 5 == 0 && !live.empty()) {
      auto& [offset, block] =
          *std::next(live.begin(), static_cast<std::ptrdiff_t>(random() % live.size()));
      const std::uint64_t least = block.bytes + 1 + random() % 3000;
      const std::uint64_t bytes = blocks.heap.expand(offset, least, least + random() % 3000);
      if (bytes == 0) continue;
      ++expanded;
      ASSERT_GE(bytes, least);
      ASSERT_TRUE(blocks.file.region().contains(offset, bytes));
      ASSERT_TRUE(is_intact(offset, block));
      block.bytes = bytes;
      std::memset(blocks.file.region().at<void>(offset), block.fill, bytes);
      continue;
    }
    const std::uint64_t bytes = 1 + random() % (round % 50 == 0 ? 500'000 : 3000);
    const std::uint64_t alignment = std::uint64_t{1} << (random() % 13);
    const std::uint64_t offset = blocks.heap.allocate(bytes, alignment).value();
    ASSERT_EQ(offset % alignment, 0U);
    ASSERT_TRUE(blocks.file.region().contains(offset, bytes));
    const Block block{bytes, static_cast<unsigned char>(random())};
    std::memset(blocks.file.region().at<void>(offset), block.fill, bytes);
    live.emplace(offset, block);
  }
  for (const auto& [offset, block] : live) {
    ASSERT_TRUE(is_intact(offset, block));
    blocks.heap.deallocate(offset);
  }
  EXPECT_GT(expanded, 50U);
}

TEST(Heap, ABlockThatNothingFollowsGrowsWhereItIs) {
  Blocks blocks(64 * kMiB);
  const std::uint64_t offset = blocks.heap.allocate(100, 64).value();
  *blocks.file.region().at<std::uint64_t>(offset) = 42;
  for (std::uint64_t bytes : {kKiB, 100 * kKiB, 10 * kMiB, 63 * kMiB}) {
    EXPECT_GE(blocks.heap.expand(offset, bytes, bytes), bytes);
    EXPECT_GE(blocks.file_bytes(), bytes);
    EXPECT_LE(blocks.file_bytes(), bytes + 2 * kMiB) << "and takes not much more";
  }
  EXPECT_EQ(*blocks.file.region().at<std::uint64_t>(offset), 42U);
  EXPECT_EQ(blocks.heap.expand(offset, 64 * kMiB, 64 * kMiB), 0U);
  EXPECT_EQ(blocks.heap.expand(offset, UINT64_MAX, UINT64_MAX), 0U);
  EXPECT_TRUE(blocks.heap.allocate(200 * kKiB, 64)) << "behind it";
}

TEST(Heap, TheSmallestBlockBehindAnotherKeepsItFromGrowing) {
  Blocks blocks(64 * kMiB);
  const std::uint64_t offset = blocks.heap.allocate(kMiB, 64).value();
  while (blocks.heap.allocate(1, 1).value() < offset) continue;  // in the gaps in front of it
  const std::uint64_t bytes = blocks.file_bytes();
  EXPECT_EQ(blocks.heap.expand(offset, 10 * kMiB, 10 * kMiB), 0U);
  EXPECT_EQ(blocks.file_bytes(), bytes) << "nor does the file";
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(blocks.heap.allocate(i, 1));
}

TEST(Heap, ABlockGrowsIntoWhatIsFreeBehindIt) {
  Blocks blocks(64 * kMiB);
  const std::uint64_t offset = blocks.heap.allocate(kMiB, 64).value();
  const std::uint64_t next = blocks.heap.allocate(kMiB, 64).value();
  const std::uint64_t last = blocks.heap.allocate(kMiB, 64).value();
  const std::uint64_t bytes = blocks.file_bytes();
  EXPECT_EQ(blocks.heap.expand(offset, kMiB + kKiB, 2 * kMiB), 0U) << "something is there";
  blocks.heap.deallocate(next);
  EXPECT_EQ(blocks.heap.expand(offset, 3 * kMiB, 3 * kMiB), 0U) << "not so much is free";
  const std::uint64_t expanded = blocks.heap.expand(offset, kMiB + kKiB, kMiB + 2 * kKiB);
  EXPECT_GE(expanded, kMiB + 2 * kKiB) << "what is preferred, if it is there";
  EXPECT_LE(expanded, kMiB + 3 * kKiB) << "and no more";
  EXPECT_GE(blocks.heap.expand(offset, kMiB + 3 * kKiB, 64 * kMiB), 2 * kMiB);
  EXPECT_EQ(blocks.file_bytes(), bytes);
  blocks.heap.deallocate(last);
}

TEST(Heap, ReservesNotMuchMoreThanItsBlocksNeed) {
  Blocks blocks(std::uint64_t{1} << 30);
  for (std::uint64_t count = 1; count <= 4; ++count) {
    ASSERT_TRUE(blocks.heap.allocate(64 * kMiB, 64));
    EXPECT_GE(blocks.file_bytes(), count * 64 * kMiB);
    EXPECT_LE(blocks.file_bytes(), count * 64 * kMiB + 2 * kMiB);
  }
  const std::uint64_t before = blocks.file_bytes();
  while (blocks.file_bytes() == before) ASSERT_TRUE(blocks.heap.allocate(64 * kKiB, 64));
  EXPECT_LE(blocks.file_bytes(), before + 2 * kMiB) << "nor for a small one in a large heap";
}

TEST(Heap, GrowsInFewStepsForManySmallBlocks) {
  Blocks blocks(64 * kMiB);
  unsigned steps = 0;
  for (unsigned i = 0; i < 100'000; ++i) {
    const std::uint64_t before = blocks.file_bytes();
    ASSERT_TRUE(blocks.heap.allocate(64, 64));
    if (blocks.file_bytes() != before) ++steps;
  }
  EXPECT_LT(steps, 100U);
}

TEST(Heap, UsesAgainWhatWasGivenBack) {
  Blocks blocks(64 * kMiB);
  std::uint64_t offset = blocks.heap.allocate(kMiB, 64).value();
  const std::uint64_t bytes = blocks.file_bytes();
  for (int i = 0; i < 1000; ++i) {
    blocks.heap.deallocate(offset);
    offset = blocks.heap.allocate(kMiB, 64).value();
  }
  EXPECT_EQ(blocks.file_bytes(), bytes);
}

TEST(Heap, AddressesStayValidWhenItGrows) {
  Blocks blocks(256 * kMiB);
  const std::uint64_t offset = blocks.heap.allocate(64, 64).value();
  auto* first = blocks.file.region().at<std::uint64_t>(offset);
  *first = 42;
  ASSERT_TRUE(blocks.heap.allocate(128 * kMiB, 64));
  EXPECT_EQ(blocks.file.region().at<std::uint64_t>(offset), first);
  EXPECT_EQ(*first, 42U);
}

TEST(Heap, FillsTheWholeReservationAndThenSaysWhatWasNeededAndWhatIsThere) {
  Blocks blocks(kMiB);
  std::uint64_t count = 0;
  Result<std::uint64_t> block = blocks.heap.allocate(kKiB, 64);
  std::vector<std::uint64_t> offsets;
  for (; block; block = blocks.heap.allocate(kKiB, 64), ++count) offsets.push_back(*block);
  EXPECT_GE(count, 900U);
  EXPECT_EQ(blocks.file_bytes(), kMiB);
  EXPECT_EQ(block.error(), Errc::no_address_space);
  EXPECT_NE(block.failure().message.find("cannot allocate 1024 bytes"), std::string::npos);
  EXPECT_NE(block.failure().message.find("1048576 bytes of address space reserved"),
            std::string::npos)
      << block.failure().message;
  blocks.heap.deallocate(offsets.back());
  EXPECT_TRUE(blocks.heap.allocate(kKiB, 64));
}

TEST(Heap, ABlockMayTakeTheFreeTailAndTheRestOfTheReservation) {
  Blocks blocks(kMiB);
  blocks.heap.deallocate(blocks.heap.allocate(600 * kKiB, 64).value());
  EXPECT_TRUE(blocks.heap.allocate(1000 * kKiB, 64));
}

TEST(Heap, RefusesABlockLargerThanTheReservation) {
  Blocks blocks(kMiB);
  for (std::uint64_t bytes : {2 * kMiB, std::uint64_t{1} << 50, UINT64_MAX, UINT64_MAX - 64}) {
    const auto block = blocks.heap.allocate(bytes, 64);
    EXPECT_EQ(block.error(), Errc::no_address_space);
    EXPECT_NE(block.failure().message.find("1048576"), std::string::npos);
  }
  EXPECT_TRUE(blocks.heap.allocate(64, 64));
}

TEST(Heap, ReportsWhenTheFileSystemHasNoRoom) {
  Blocks blocks(std::uint64_t{1} << 42);
  const std::uint64_t before = blocks.file_bytes();
  const auto block = blocks.heap.allocate(std::uint64_t{1} << 41, 64);
  ASSERT_EQ(block.error(), Errc::no_memory);
  EXPECT_NE(block.failure().message.find("bytes needed"), std::string::npos);
  EXPECT_NE(block.failure().message.find("bytes free"), std::string::npos);
  EXPECT_EQ(blocks.file_bytes(), before);
  EXPECT_TRUE(blocks.heap.allocate(kMiB, 64)) << "nothing has changed";
}

TEST(Heap, WorksBehindAnyOffsetWithinAPage) {
  for (std::uint64_t offset = 3600; offset <= 4096; offset += 8) {
    Blocks blocks(kMiB, offset);
    const std::uint64_t block = blocks.heap.allocate(64, 64).value();
    EXPECT_GE(block, offset);
    blocks.heap.deallocate(block);
    EXPECT_TRUE(blocks.heap.allocate(200 * kKiB, 4096));
  }
}

TEST(Heap, CountsItsFreeBytes) {
  Blocks blocks(kMiB);
  const std::uint64_t block = blocks.heap.allocate(100 * kKiB, 64).value();
  const std::uint64_t before = blocks.heap.free_bytes();
  blocks.heap.deallocate(block);
  EXPECT_GE(blocks.heap.free_bytes(), before + 100 * kKiB);
}

}  // namespace
}  // namespace sluice
