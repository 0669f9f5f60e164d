// SPDX-License-Identifier: Apache-2.0
//
// Containers of fixed capacity: plain payloads, and what a reader is safe from.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <sluice/containers.hpp>
#include <sluice/reflect/schema.hpp>
#include <sluice/sluice.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/last_words.hpp"
#include "support/temporary_root.hpp"

namespace sluice {
namespace {

struct Point {
  float x, y;
  auto operator<=>(const Point&) const = default;
};

/// Cannot be assigned to.
struct Reading {
  const int sensor;
  int value = 7;
};

struct Scan {
  int id = 3;
  StaticString<13> frame = "lidar";
  StaticVector<Point, 4> points;
  StaticVector<StaticString<8>, 2> tags;
};

/// Another `Scan`, with a longer name.
namespace longer {
struct Scan {
  int id;
  StaticString<14> frame;
  StaticVector<Point, 4> points;
  StaticVector<StaticString<8>, 2> tags;
};
}  // namespace longer

static_assert(std::is_trivially_copyable_v<Scan> && Payload<Scan> && !DynamicPayload<Scan>);
static_assert(sizeof(StaticString<11>) == 16 && sizeof(StaticVector<double, 2>) == 24);
static_assert(!Payload<StaticVector<int*, 4>> && !Payload<StaticVector<std::string, 4>>);
struct Labelled {
  StaticVector<const char*, 4> labels;
};
static_assert(!Payload<Labelled>);
static_assert(std::is_constructible_v<StaticString<3>, const char (&)[4]>);
static_assert(!std::is_constructible_v<StaticString<3>, const char (&)[5]>);
static_assert(!std::is_constructible_v<StaticString<3>, std::string>);

constexpr StaticString<8> kMap = "map";
static_assert(kMap.size() == 3 && kMap.back() == 'p' && kMap == "map" && !kMap.full());
static_assert([] {
  StaticVector<int, 4> numbers{3, 1, 4};
  numbers.push_back(1);
  numbers.erase(numbers.begin());
  return numbers == StaticVector<int, 4>{1, 4, 1};
}());

/// The bytes behind the size.
template <typename Container>
std::string places(const Container& container) {
  std::string bytes(sizeof container, '\0');
  std::memcpy(bytes.data(), &container, sizeof container);
  return bytes.substr(sizeof(std::uint32_t));
}

/// `container` as a hostile peer leaves it.
template <typename Container>
void overwrite(Container& container, std::uint32_t size, int byte) {
  std::memset(static_cast<void*>(&container), byte, sizeof container);
  std::memcpy(static_cast<void*>(&container), &size, sizeof size);
}

TEST(StaticString, HoldsTextUpToItsCapacity) {
  StaticString<5> text;
  EXPECT_TRUE(text.empty());
  EXPECT_STREQ(text.c_str(), "");
  EXPECT_TRUE(text.assign("lidar"));
  EXPECT_TRUE(text.full());
  EXPECT_EQ(text, "lidar");
  EXPECT_EQ(text.view(), std::string("lidar"));
  EXPECT_STREQ(text.c_str(), "lidar");
  EXPECT_EQ(text.capacity(), 5U);
  text = "map";
  EXPECT_EQ(text.length(), 3U);
  EXPECT_STREQ(text.c_str(), "map");
  EXPECT_EQ(std::string(text.begin(), text.end()), "map");
}

TEST(StaticString, IsLeftAsItIsByTextThatDoesNotFit) {
  StaticString<5> text = "map";
  EXPECT_FALSE(text.assign("camera"));
  EXPECT_FALSE(text.append("abc"));
  EXPECT_EQ(text, "map");
  EXPECT_TRUE(text.append("ab"));
  EXPECT_FALSE(text.try_push_back('c'));
  EXPECT_EQ(text, "mapab");
  EXPECT_FALSE(text.assign_truncated("camera"));
  EXPECT_EQ(text, "camer");
  EXPECT_TRUE(text.assign_truncated("laser"));
  EXPECT_EQ(text, "laser");
}

TEST(StaticString, GrowsAndShrinks) {
  StaticString<8> text = "ab";
  text.push_back('c');
  text.resize(5, 'x');
  EXPECT_EQ(text, "abcxx");
  text.pop_back();
  text.resize(3);
  EXPECT_EQ(text, "abc");
  text.clear();
  EXPECT_EQ(text, "");
}

TEST(StaticString, TakesAnArrayOfCharactersUpToItsFirstZero) {
  char buffer[8] = "map";
  const StaticString<7> text = buffer;
  EXPECT_EQ(text, "map");
}

TEST(StaticString, MayBeAssignedAPartOfItself) {
  StaticString<8> text = "abcdef";
  EXPECT_TRUE(text.assign(text.view().substr(2, 3)));
  EXPECT_EQ(text, "cde");
  EXPECT_TRUE(text.append(text));
  EXPECT_EQ(text, "cdecde");
}

TEST(StaticString, ComparesWithWhateverIsText) {
  const StaticString<8> text = "map";
  EXPECT_EQ(text, StaticString<4>("map"));
  EXPECT_EQ(text, String("map"));
  EXPECT_EQ(String("map"), text);
  EXPECT_EQ(std::string("map"), text);
  EXPECT_NE(text, "maps");
  EXPECT_LT(text, "mat");
  EXPECT_GT(text, StaticString<2>("ma"));
  std::ostringstream stream;
  stream << text;
  EXPECT_EQ(stream.str(), "map");
}

TEST(StaticString, KeepsNoOldMemoryBehindItsEnd) {
  alignas(StaticString<8>) std::byte memory[sizeof(StaticString<8>)];
  std::memset(memory, 0x5A, sizeof memory);
  auto* text = new (memory) StaticString<8>;
  EXPECT_EQ(places(*text).substr(0, 9), std::string(9, '\0'));
  *text = "password";
  ASSERT_TRUE(text->assign("ab"));
  EXPECT_EQ(places(*text).substr(0, 9), std::string("ab\0\0\0\0\0\0\0", 9));
  text->pop_back();
  EXPECT_EQ(places(*text)[1], '\0');
}

TEST(StaticString, IsReadWithinItselfWhateverAPeerWrites) {
  StaticString<8> text;
  for (const std::uint32_t size : {9U, 1000U, UINT32_MAX}) {
    overwrite(text, size, 'x');
    EXPECT_EQ(text.size(), 8U);
    EXPECT_EQ(text, "xxxxxxxx");
    EXPECT_STREQ(text.c_str(), "");  // nothing terminates it
    EXPECT_EQ(text.back(), 'x');
    EXPECT_FALSE(text.try_push_back('y'));
    EXPECT_EQ(text.end() - text.begin(), 8);
  }
  overwrite(text, 0, 'x');
  EXPECT_EQ(&text.back(), text.data());
}

TEST(StaticString, IsWholeAfterAnAssignmentToMemoryThatWasNeverBuilt) {
  StaticString<8> text;
  overwrite(text, UINT32_MAX, 'x');
  ASSERT_TRUE(text.assign("map"));
  EXPECT_STREQ(text.c_str(), "map");
  EXPECT_EQ(places(text).substr(0, 9), std::string("map\0\0\0\0\0\0", 9));
}

TEST(StaticVector, HoldsElementsUpToItsCapacity) {
  StaticVector<int, 3> numbers;
  EXPECT_TRUE(numbers.empty());
  EXPECT_TRUE(numbers.try_push_back(1));
  numbers.push_back(2);
  EXPECT_EQ(numbers.emplace_back(3), 3);
  EXPECT_TRUE(numbers.full());
  EXPECT_FALSE(numbers.try_push_back(4));
  EXPECT_EQ(numbers, (StaticVector<int, 3>{1, 2, 3}));
  EXPECT_EQ(numbers.front(), 1);
  EXPECT_EQ(numbers.back(), 3);
  EXPECT_EQ(std::span<const int>(numbers).size(), 3U);
  EXPECT_EQ((std::vector<int>(numbers.rbegin(), numbers.rend())), (std::vector{3, 2, 1}));
}

TEST(StaticVector, IsLeftAsItIsByElementsThatDoNotFit) {
  StaticVector<int, 3> numbers{1, 2};
  EXPECT_FALSE(numbers.assign(std::array{1, 2, 3, 4}));
  EXPECT_FALSE(numbers.append(std::array{3, 4}));
  EXPECT_EQ(numbers, (StaticVector<int, 3>{1, 2}));
  EXPECT_TRUE(numbers.append(std::array{3}));
  EXPECT_EQ(numbers, (StaticVector<int, 3>{1, 2, 3}));
  EXPECT_TRUE(numbers.assign(std::array{5, 6}));
  EXPECT_EQ(numbers, (StaticVector<int, 3>{5, 6}));
}

TEST(StaticVector, InsertsAndErases) {
  StaticVector<int, 5> numbers{1, 2, 3, 4};
  EXPECT_EQ(*numbers.insert(numbers.begin() + 1, 9), 9);
  EXPECT_EQ(numbers, (StaticVector<int, 5>{1, 9, 2, 3, 4}));
  EXPECT_EQ(*numbers.erase(numbers.begin()), 9);
  EXPECT_EQ(*numbers.erase(numbers.begin() + 1, numbers.begin() + 3), 4);
  EXPECT_EQ(numbers, (StaticVector<int, 5>{9, 4}));
  EXPECT_EQ(numbers.erase(numbers.begin(), numbers.begin()), numbers.begin());
  EXPECT_EQ(numbers.size(), 2U);
  numbers.resize(4, numbers[1]);
  EXPECT_EQ(numbers, (StaticVector<int, 5>{9, 4, 4, 4}));
  EXPECT_TRUE(numbers.assign(std::span(numbers).subspan(1, 2)));
  EXPECT_EQ(numbers, (StaticVector<int, 5>{4, 4}));
}

TEST(StaticVector, IsOrderedByItsElements) {
  using Numbers = StaticVector<int, 3>;
  EXPECT_LT((Numbers{1, 2}), (Numbers{1, 3}));
  EXPECT_LT((Numbers{1}), (Numbers{1, 0}));
  EXPECT_NE((Numbers{1}), (Numbers{1, 0}));
}

TEST(StaticVector, TakesElementsThatCannotBeAssigned) {
  StaticVector<Reading, 3> readings;
  readings.push_back({1});
  readings.emplace_back(2, 5);
  readings.erase(readings.begin());
  ASSERT_EQ(readings.size(), 1U);
  EXPECT_EQ(readings[0].sensor, 2);
  EXPECT_EQ(readings[0].value, 5);
}

TEST(StaticVector, KeepsNoOldMemoryBehindItsEnd) {
  using Numbers = StaticVector<std::uint32_t, 4>;
  alignas(Numbers) std::byte memory[sizeof(Numbers)];
  std::memset(memory, 0x5A, sizeof memory);
  auto* numbers = new (memory) Numbers;
  EXPECT_EQ(places(*numbers), std::string(16, '\0'));
  *numbers = {1, 2, 3, 4};
  const auto behind = [&](std::size_t count) { return places(*numbers).substr(4 * count); };
  numbers->pop_back();
  EXPECT_EQ(behind(3), std::string(4, '\0'));
  numbers->erase(numbers->begin());
  EXPECT_EQ(behind(2), std::string(8, '\0'));
  ASSERT_TRUE(numbers->assign(std::array{1U}));
  EXPECT_EQ(behind(1), std::string(12, '\0'));
  numbers->clear();
  EXPECT_EQ(behind(0), std::string(16, '\0'));
}

TEST(StaticVector, IsReadWithinItselfWhateverAPeerWrites) {
  StaticVector<int, 4> numbers;
  overwrite(numbers, UINT32_MAX, 0x01);
  EXPECT_EQ(numbers.size(), 4U);
  EXPECT_EQ(std::count(numbers.begin(), numbers.end(), 0x01010101), 4);
  EXPECT_EQ(&numbers.back(), numbers.data() + 3);
  EXPECT_FALSE(numbers.try_push_back(1));
  overwrite(numbers, 0, 0x01);
  EXPECT_EQ(&numbers.back(), numbers.data());
}

#if defined(__cpp_exceptions)
TEST(StaticContainers, ThrowWhereAPositionIsBeyondTheEnd) {
  StaticVector<int, 4> numbers{1};
  StaticString<4> text = "a";
  EXPECT_EQ(numbers.at(0), 1);
  EXPECT_EQ(text.at(0), 'a');
  EXPECT_THROW(static_cast<void>(numbers.at(1)), std::out_of_range);
  EXPECT_THROW(static_cast<void>(text.at(1)), std::out_of_range);
}
#endif

TEST(StaticContainers, AbortWithNumbersWhereMoreIsPutInThanFits) {
  const TemporaryRoot root;
  const auto says = [&](auto body) { return last_words(root, body); };
  const std::string vector_words = "StaticVector has room for 2, 3 are needed";
  const std::string string_words = "StaticString has room for 2, 3 are needed";
  const auto expect = [](const std::string& words, const std::string& part) {
    EXPECT_NE(words.find(part), std::string::npos) << words;
  };
  expect(says([] { StaticVector<int, 2>{1, 2}.push_back(3); }), vector_words);
  expect(says([] { StaticVector<int, 2>{1, 2, 3}.clear(); }), vector_words);
  expect(says([] { StaticVector<int, 2>{}.resize(3); }), vector_words);
  expect(says([] { StaticVector<int, 2>{}.pop_back(); }), "pop_back of an empty");
  expect(says([] { StaticString<2>("ab").push_back('c'); }), string_words);
  expect(says([] { StaticString<2>("ab").resize(3); }), string_words);
  expect(says([] { StaticString<2>().pop_back(); }), "pop_back of an empty");
}

TEST(StaticContainers, AreDescribedWithElementTypeAndCapacity) {
  const Schema schema = schema_of<Scan>();
  const auto text = [&](std::size_t i) {
    const Field& field = schema.fields.at(i);
    std::ostringstream line;
    line << field.name << " " << to_string(field.type) << " " << field.offset << " "
         << field.type_name;
    for (const std::uint64_t extent : field.extents) line << "[" << extent << "]";
    return line.str();
  };
  ASSERT_EQ(schema.fields.size(), 14U);
  EXPECT_EQ(text(1), "frame record 4 sluice::StaticString<13>");
  EXPECT_EQ(text(2), "frame.size u32 4 ");
  EXPECT_EQ(text(3), "frame.characters char 8 [14]");
  EXPECT_EQ(text(5), "points.size u32 24 ");
  EXPECT_TRUE(text(6).starts_with("points.elements record 28 ")) << text(6);
  EXPECT_EQ(schema.fields[6].extents, std::vector<std::uint64_t>{4});
  EXPECT_EQ(text(7), "points.elements.x f32 28 ");
  EXPECT_EQ(text(11), "tags.elements record 64 sluice::StaticString<8>[2]");
  EXPECT_EQ(text(13), "tags.elements.characters char 68 [9]");
  const Result<Schema> decoded = decode(encode(schema));
  ASSERT_TRUE(decoded) << decoded.failure().message;
  EXPECT_EQ(*decoded, schema);
}

TEST(StaticContainers, OfAnotherCapacityAreRefusedByName) {
  const TemporaryRoot root;
  Node node("test");
  const Publisher<StaticString<13>> name(node, "name");
  const Failure failure = Subscriber<StaticString<14>>::create(node, "name").failure();
  EXPECT_EQ(failure.code, Errc::type_mismatch);
  EXPECT_NE(failure.message.find("StaticString<14>"), std::string::npos) << failure.message;
  EXPECT_NE(failure.message.find("StaticString<13>"), std::string::npos) << failure.message;

  Schema found = schema_of<longer::Scan>();
  found.type_name = schema_of<Scan>().type_name;
  EXPECT_EQ(difference(schema_of<Scan>(), found),
            "field 'frame' is record sluice::StaticString<13> of 20 bytes at offset 4 here, record "
            "sluice::StaticString<14> of 20 bytes at offset 4 in the service");
}

TEST(StaticContainers, TravelInPayloadsSlicesAndContainers) {
  const TemporaryRoot root;
  Node node("test");
  Publisher<Scan> scans(node, "scans");
  Subscriber<Scan> scans_in(node, "scans");
  auto scan = scans.loan();
  ASSERT_TRUE(scan);
  EXPECT_EQ(scan->frame, "lidar");
  scan->points = {{1, 2}, {3, 4}};
  scan->tags.emplace_back("front");
  scans.publish(std::move(scan));
  const auto seen = scans_in.receive();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->points, (StaticVector<Point, 4>{{1, 2}, {3, 4}}));
  EXPECT_EQ(seen->tags.back(), "front");

  Publisher<StaticString<8>[]> names(node, "names");
  Subscriber<StaticString<8>[]> names_in(node, "names");
  auto slice = names.loan(2);
  ASSERT_TRUE(slice);
  slice[0] = "left";
  slice[1] = {};
  names.publish(std::move(slice));
  const auto names_seen = names_in.receive();
  ASSERT_TRUE(names_seen);
  EXPECT_EQ(names_seen[0], "left");
  EXPECT_TRUE(names_seen[1].empty());

  Vector<Scan> many(2);
  EXPECT_EQ(many[1].frame, "lidar");
  Map<StaticString<8>, StaticVector<int, 2>> entries{{"b", {2}}, {"a", {1, 2}}};
  EXPECT_EQ(entries.begin()->first, "a");
  EXPECT_EQ(entries.at("b").back(), 2);
}

}  // namespace
}  // namespace sluice
