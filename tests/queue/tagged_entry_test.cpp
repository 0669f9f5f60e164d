// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <sluice/queue/tagged_entry.hpp>

namespace sluice {
namespace {

constexpr std::uint64_t kTags = std::uint64_t{1} << 40;

TEST(TaggedEntry, ThePositionIsInTheUpperFortyBitsAndTheIndexInTheLower) {
  EXPECT_EQ(TaggedEntry::pack(0, 0), 0x0000'0000'0100'0000u);
  EXPECT_EQ(TaggedEntry::pack(0x1233, 0xabcdef), 0x0000'0012'34ab'cdefu);
  EXPECT_EQ(TaggedEntry::pack(kTags - 2, TaggedEntry::kMaxIndex), ~std::uint64_t{0});
}

TEST(TaggedEntry, GivesBackWhatWasPacked) {
  for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{7}, kTags - 1, kTags}) {
    for (const std::uint32_t index : {0u, 1u, TaggedEntry::kMaxIndex}) {
      const std::uint64_t entry = TaggedEntry::pack(position, index);
      EXPECT_EQ(TaggedEntry::index(entry), index);
      EXPECT_EQ(TaggedEntry::tag(entry), TaggedEntry::tag_of(position));
    }
  }
}

TEST(TaggedEntry, ThePositionIsKeptModuloTwoToTheForty) {
  EXPECT_EQ(TaggedEntry::pack(kTags + 5, 9), TaggedEntry::pack(5, 9));
  EXPECT_EQ(TaggedEntry::tag_of(kTags - 1), 0u);
}

TEST(TaggedEntry, OneOfAnEarlierPositionIsBefore) {
  for (const std::uint64_t position : {std::uint64_t{8}, kTags - 2, kTags - 1, kTags, kTags + 3}) {
    EXPECT_TRUE(TaggedEntry::is_before(TaggedEntry::pack(position - 8, 1), position));
    EXPECT_TRUE(TaggedEntry::is_before(TaggedEntry::pack(position - 1, 1), position));
    EXPECT_FALSE(TaggedEntry::is_before(TaggedEntry::pack(position, 1), position));
    EXPECT_FALSE(TaggedEntry::is_before(TaggedEntry::pack(position + 1, 1), position));
  }
}

TEST(TaggedEntry, OneThatWasNeverWrittenIsBeforeEverything) {
  for (const std::uint64_t position : {std::uint64_t{0}, std::uint64_t{1}, kTags / 2 - 2}) {
    EXPECT_TRUE(TaggedEntry::is_before(0, position));
  }
}

}  // namespace
}  // namespace sluice
