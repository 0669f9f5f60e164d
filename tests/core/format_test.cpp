// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sluice/core/format.hpp>

namespace sluice {
namespace {

using Kind = FormatArgument::Kind;

TEST(Format, WritesIntegersOfEveryWidthInDecimal) {
  EXPECT_EQ(format("{} {} {} {}", std::uint8_t{255}, std::uint16_t{65535}, UINT32_MAX, UINT64_MAX),
            "255 65535 4294967295 18446744073709551615");
  EXPECT_EQ(format("{} {} {} {}", std::int8_t{-128}, std::int16_t{-32768}, INT32_MIN, INT64_MIN),
            "-128 -32768 -2147483648 -9223372036854775808");
}

TEST(Format, WritesAnIndexAsItsNumber) {
  struct Index {
    operator std::uint32_t() const { return 7; }  // NOLINT: as `core/index.hpp` has it
  };
  EXPECT_EQ(format("slot {}", Index{}), "slot 7");
}

TEST(Format, WritesTextOfEveryKindWithItsZeros) {
  const std::string with_zero("a\0b", 3);
  EXPECT_EQ(format("{}, {}, {}", "one", std::string_view("two"), with_zero),
            "one, two, " + with_zero);
  char buffer[] = "three";
  char* pointer = buffer;
  EXPECT_EQ(format("{} {}", buffer, pointer), "three three");
}

TEST(Format, WritesHexadecimalsWithZerosAndPrefix) {
  EXPECT_EQ(format("{:016x}", std::uint64_t{0xabcdef}), "0000000000abcdef");
  EXPECT_EQ(format("{:#04x} {:#06x} {:#x}", 10U, 0x0102U, 3U), "0x0a 0x0102 0x3");
}

TEST(Format, TextOfAnArgumentIsNoPattern) { EXPECT_EQ(format("{}", "{} {:x} }"), "{} {:x} }"); }

TEST(Format, BracesAreWrittenTwice) { EXPECT_EQ(format("{{{}}} {{}}", 1), "{1} {}"); }

TEST(Format, WithoutArgumentsCopiesThePattern) { EXPECT_EQ(format("nothing"), "nothing"); }

// A pattern that does not fit does not compile; this is what decides it.
TEST(Format, APatternThatDoesNotFitItsArgumentsIsFound) {
  EXPECT_TRUE(fits_arguments("{} {:08x}", {Kind::text, Kind::unsigned_integer}));
  EXPECT_FALSE(fits_arguments("{}", {}));
  EXPECT_FALSE(fits_arguments("{} {}", {Kind::text}));
  EXPECT_FALSE(fits_arguments("{}", {Kind::text, Kind::text}));
  EXPECT_FALSE(fits_arguments("{:08x}", {Kind::text}));
  EXPECT_FALSE(fits_arguments("{", {Kind::text}));
  EXPECT_FALSE(fits_arguments("}", {}));
  EXPECT_FALSE(fits_arguments("{} }", {Kind::text}));
  EXPECT_FALSE(fits_arguments("{{}", {Kind::text}));
  for (const char* pattern :
       {"{0}", "{:}", "{:#}", "{:d}", "{:.3}", "{:99999x}", "{:>8x}", "{:{}x}", "{x}"}) {
    EXPECT_FALSE(fits_arguments(pattern, {Kind::unsigned_integer})) << pattern;
  }
}

}  // namespace
}  // namespace sluice
