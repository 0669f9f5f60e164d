// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <sluice/reflect/type_name.hpp>
#include <vector>

namespace robot {

struct Pose {};
enum class Color { red };
template <typename T, int n>
struct Box {};

}  // namespace robot

namespace sluice {
namespace {

struct Hidden {};

template <typename T>
std::string name_of() {
  return normalised_type_name(type_spelling<T>);
}

// The tests run with GCC and with Clang, whose spellings of these differ.
TEST(TypeName, IsTheSameWithEveryCompiler) {
  EXPECT_EQ(name_of<robot::Pose>(), "robot::Pose");
  EXPECT_EQ(name_of<robot::Color>(), "robot::Color");
  EXPECT_EQ(name_of<Hidden>(), "sluice::(anonymous namespace)::Hidden");
  EXPECT_EQ(name_of<std::uint64_t>(), "unsigned long");
  EXPECT_EQ(name_of<short>(), "short");
  EXPECT_EQ(name_of<float[3]>(), "float[3]");
  EXPECT_EQ((name_of<robot::Box<unsigned long long, 3>>()), "robot::Box<unsigned long long, 3>");
  EXPECT_EQ((name_of<std::array<robot::Box<robot::Box<long, 1>, 2>, 4>>()),
            "std::array<robot::Box<robot::Box<long, 1>, 2>, 4>");
}

TEST(TypeName, IsThatOfTheTypeWithoutConst) {
  EXPECT_EQ(type_spelling<const robot::Pose>, type_spelling<robot::Pose>);
}

// GCC explains `std::string_view` after the template's arguments; that is no part of the name.
TEST(TypeName, EndsWhereTheTypeEnds) {
  EXPECT_EQ(type_spelling<robot::Pose>, "robot::Pose");
  EXPECT_TRUE(type_spelling<std::string_view>.ends_with("string_view<char>") ||
              type_spelling<std::string_view>.ends_with("string_view"))
      << type_spelling<std::string_view>;
}

}  // namespace
}  // namespace sluice
