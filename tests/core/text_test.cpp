// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sluice/core/text.hpp>
#include <string>
#include <string_view>

namespace sluice {
namespace {

using namespace std::string_view_literals;

struct Case {
  std::string_view text;
  std::size_t bytes;
  TextFault fault;
};

TEST(Text, TheFirstCharacterIsMeasuredAndJudged) {
  constexpr auto kFine = TextFault::none;
  constexpr auto kControl = TextFault::control_character;
  constexpr auto kNotUtf8 = TextFault::not_utf8;
  const Case cases[] = {
      {"a", 1, kFine},
      {" ", 1, kFine},
      {"~", 1, kFine},
      {"é", 2, kFine},
      {"\xC2\xA0", 2, kFine},  // U+00A0, the first that is no control character again
      {"☃", 3, kFine},
      {"\xEF\xBF\xBF", 3, kFine},
      {"𝄞", 4, kFine},
      {"\xF4\x8F\xBF\xBF", 4, kFine},  // U+10FFFF
      {"\0"sv, 1, kControl},
      {"\n", 1, kControl},
      {"\x1b", 1, kControl},
      {"\x7f", 1, kControl},
      {"\xC2\x80", 2, kControl},
      {"\xC2\x9B", 2, kControl},          // begins a terminal's commands, as ESC [ does
      {"\x80", 1, kNotUtf8},              // a continuation of nothing
      {"\xC3", 1, kNotUtf8},              // cut short
      {"\xE2\x98", 1, kNotUtf8},          //
      {"\xC3(", 1, kNotUtf8},             // not continued
      {"\xC0\x9B", 1, kNotUtf8},          // too long for ESC
      {"\xE0\x82\x9B", 1, kNotUtf8},      //
      {"\xF0\x80\x82\x9B", 1, kNotUtf8},  //
      {"\xED\xA0\x80", 1, kNotUtf8},      // U+D800, half of a pair
      {"\xF4\x90\x80\x80", 1, kNotUtf8},  // U+110000
      {"\xFF", 1, kNotUtf8},
  };
  for (const Case& one : cases) {
    const Character found = first_character(one.text);
    EXPECT_EQ(found.bytes, one.bytes) << escaped(one.text);
    EXPECT_EQ(found.fault, one.fault) << escaped(one.text);
  }
}

TEST(Text, WhatATerminalWouldObeyIsEscaped) {
  EXPECT_EQ(escaped("camera 1, Küche \\ ☃"), "camera 1, Küche \\ ☃");
  EXPECT_EQ(escaped("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(escaped("\xC2\x9B"), "\\xc2\\x9b");
  EXPECT_EQ(escaped("\xE2\x98"), "\\xe2\\x98");
  EXPECT_EQ(escaped("\0x"sv), "\\x00x");
  EXPECT_EQ(escaped(""), "");
}

TEST(Text, AFewOfManyAreNamed) {
  EXPECT_EQ(first_few({}), "");
  EXPECT_EQ(first_few({"a"}), "a");
  EXPECT_EQ(first_few({"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(first_few({"a", "b", "c", "d", "e"}), "a, b, c and 2 more");
}

}  // namespace
}  // namespace sluice
