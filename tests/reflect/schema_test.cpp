// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <sluice/reflect/schema.hpp>
#include <string>

namespace robot {

struct Point {
  float range;
  char tag[4];
};

enum class Mode : std::int16_t { idle, driving };

inline namespace v2 {
template <typename T, int N = 3>
struct Vec {
  T values[N];
};
}  // namespace v2

struct Scan {
  double stamp;
  Point points[361];
  std::array<std::array<std::uint16_t, 3>, 2> matrix;
  Mode mode;
  Vec<long> position;
  std::optional<unsigned> count;
};

// Different types under one name, as two programs may have them.
namespace here {
struct Pose {
  double x;
  double y;
};
}  // namespace here

}  // namespace robot

namespace sluice {
namespace {

using robot::Scan;

Field field(std::string name, FieldType type, std::uint64_t offset) {
  const bool is_double = type == FieldType::f64;
  const std::uint64_t bytes = is_double ? 8 : 4;
  return {.name = std::move(name),
          .type = type,
          .type_name = {},
          .offset = offset,
          .element_bytes = bytes,
          .alignment = bytes,
          .extents = {},
          .depth = 0};
}

Schema pose() { return schema_of<robot::here::Pose>(); }

std::string difference_text(const Schema& expected, const Schema& found) {
  return difference(expected, found).value_or("none");
}

Errc decode_error(const std::string& text) { return decode(text).error(); }

/// The text of one payload of 16 bytes with one field.
std::string text_with(const std::string& line) {
  return "sluice-schema 1\n16 8 1 4:Pose\n" + line + "\n";
}

TEST(Schema, DescribesEachFieldWithItsPath) {
  const Schema schema = schema_of<Scan>();
  ASSERT_EQ(schema.fields.size(), 9U);
  EXPECT_EQ(schema.type_name, "robot::Scan");
  EXPECT_EQ(schema.bytes, sizeof(Scan));
  EXPECT_EQ(schema.alignment, alignof(Scan));

  EXPECT_EQ(schema.fields[1].name, "points");
  EXPECT_EQ(schema.fields[1].type, FieldType::record);
  EXPECT_EQ(schema.fields[1].type_name, "robot::Point");
  EXPECT_EQ(schema.fields[1].element_bytes, sizeof(robot::Point));
  EXPECT_EQ(schema.fields[1].count(), 361U);

  EXPECT_EQ(schema.fields[3].name, "points.tag");
  EXPECT_EQ(schema.fields[3].type, FieldType::character);
  EXPECT_EQ(schema.fields[3].offset, offsetof(Scan, points) + offsetof(robot::Point, tag));
  EXPECT_EQ(schema.fields[3].depth, 1U);

  EXPECT_EQ(schema.fields[4].extents, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(schema.fields[4].count(), 6U);
}

TEST(Schema, OfAScalarHasOneField) {
  const Schema schema = schema_of<float>();
  ASSERT_EQ(schema.fields.size(), 1U);
  EXPECT_EQ(schema.type_name, "float");
  EXPECT_EQ(schema.fields[0], field("value", FieldType::f32, 0));
}

TEST(Schema, OfAnArrayHasTheBytesOfAllElements) {
  const Schema schema = schema_of<robot::Point[3]>();
  EXPECT_EQ(schema.bytes, sizeof(robot::Point[3]));
  ASSERT_EQ(schema.fields.size(), 3U);
  EXPECT_EQ(schema.fields[1].name, "value.range");
}

/// What this program was compiled with must not show: the text is what programs exchange.
TEST(Schema, EncodesToTheSameTextFromEachCompiler) {
  EXPECT_EQ(encode(schema_of<robot::Point>()),
            "sluice-schema 1\n"
            "8 4 2 12:robot::Point\n"
            "0 f32 0 4 4 - 5:range 0:\n"
            "0 char 4 1 1 4 3:tag 0:\n");
  Schema scan = schema_of<Scan>();
  EXPECT_TRUE(scan.fields[6].type_name == "robot::Vec<long, 3>" ||  // Clang
              scan.fields[6].type_name == "robot::v2::Vec<long>");  // GCC
  scan.fields[6].type_name = "robot::Vec<long>";
  EXPECT_EQ(encode(scan),
            "sluice-schema 1\n"
            "2944 8 9 11:robot::Scan\n"
            "0 f64 0 8 8 - 5:stamp 0:\n"
            "0 record 8 8 4 361 6:points 12:robot::Point\n"
            "1 f32 8 4 4 - 5:range 0:\n"
            "1 char 12 1 1 4 3:tag 0:\n"
            "0 u16 2896 2 2 2x3 6:matrix 0:\n"
            "0 enum_signed 2908 2 2 - 4:mode 11:robot::Mode\n"
            "0 record 2912 24 8 - 8:position 16:robot::Vec<long>\n"
            "1 i64 2912 8 8 3 6:values 0:\n"
            "0 opaque 2936 8 4 - 5:count 27:std::optional<unsigned int>\n");
}

TEST(TypeName, IsTheSameFromEachCompiler) {
  EXPECT_EQ(normalised_type_name("long unsigned int"), "unsigned long");
  EXPECT_EQ(normalised_type_name("unsigned long"), "unsigned long");
  EXPECT_EQ(normalised_type_name("long long int"), "long long");
  EXPECT_EQ(normalised_type_name("short unsigned int"), "unsigned short");
  EXPECT_EQ(normalised_type_name("signed char"), "signed char");
  EXPECT_EQ(normalised_type_name("long double"), "long double");
  EXPECT_EQ(normalised_type_name("__int128 unsigned"), "unsigned __int128");
  EXPECT_EQ(normalised_type_name("{anonymous}::Box<3>"), "(anonymous namespace)::Box<3>");
  EXPECT_EQ(normalised_type_name("Box<3UL>"), "Box<3>");
  EXPECT_EQ(normalised_type_name("Box<char [32]>"), "Box<char[32]>");
  EXPECT_EQ(normalised_type_name("Box<<unnamed>::Color::red>"),
            "Box<(anonymous namespace)::Color::red>");
  EXPECT_EQ(normalised_type_name("std::chrono::time_point<std::chrono::_V2::steady_clock, "
                                 "std::chrono::duration<long int, std::ratio<1, 1000> > >"),
            normalised_type_name("std::chrono::time_point<std::chrono::steady_clock, "
                                 "std::chrono::duration<long, std::ratio<1, 1000>>>"));
  EXPECT_EQ(normalised_type_name("printer::interval<into>"), "printer::interval<into>");
}

TEST(TypeName, DoesNotDifferByWhatOnlyOneCompilerSpellsOut) {
  const auto same = [](const char* a, const char* b) {
    Schema one = pose();
    Schema other = pose();
    one.type_name = a;
    other.type_name = b;
    const bool result = !difference(one, other);
    EXPECT_EQ(!difference(other, one), result) << a << " and " << b;
    return result;
  };
  EXPECT_TRUE(same("robot::Pose", "robot::v2::Pose"));
  EXPECT_TRUE(same("main()::Pose", "Pose"));
  EXPECT_TRUE(same("Vec<int, 3>", "Vec<int>"));
  EXPECT_TRUE(same("Vec<Vec<a::X, 2>, 3>", "Vec<Vec<a::v1::X>>"));
  EXPECT_FALSE(same("Vec<int, 3>", "Vec<int, 4>"));
  EXPECT_FALSE(same("Vec<int>", "Vec<float>"));
  EXPECT_FALSE(same("Vec<int>", "Vec"));
  EXPECT_FALSE(same("a::Pose", "b::Pose"));
  EXPECT_FALSE(same("a::Pose", "a::Point"));
  EXPECT_FALSE(same("a::b::Pose", "b::a::Pose"));
  EXPECT_FALSE(same("", "Pose"));
}

TEST(Difference, IsNothingBetweenEqualSchemas) {
  EXPECT_EQ(difference_text(schema_of<Scan>(), schema_of<Scan>()), "none");
}

TEST(Difference, NamesAnotherPayloadType) {
  Schema other = pose();
  other.type_name = "robot::Twist";
  EXPECT_EQ(difference_text(pose(), other),
            "the payload type is 'robot::here::Pose' here, 'robot::Twist' in the service");
}

TEST(Difference, NamesTheFieldWithAnotherType) {
  Schema other = pose();
  other.fields[1] = field("y", FieldType::f32, 4);
  EXPECT_EQ(difference_text(pose(), other),
            "field 'y' is f64 at offset 8 here, f32 at offset 4 in the service");
}

TEST(Difference, NamesTheFirstFieldThatDiffersInAnyRespect) {
  const auto changed = [](auto change) {
    Schema other = schema_of<Scan>();
    change(other.fields);
    return difference_text(schema_of<Scan>(), other);
  };
  EXPECT_EQ(changed([](auto& fields) { fields[0].name = "time"; }),
            "field 0 is 'stamp', f64 at offset 0 here, 'time', f64 at offset 0 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[1].extents = {360}; }),
            "field 'points' is record robot::Point[361] of 8 bytes at offset 8 here, record "
            "robot::Point[360] of 8 bytes at offset 8 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[3].offset = 16; }),
            "field 'points.tag' is char[4] at offset 12 here, char[4] at offset 16 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[2].alignment = 8; }),
            "field 'points.range' is f32 at offset 8 aligned to 4 here, f32 at offset 8 aligned to "
            "8 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[5].type_name = "robot::Gear"; }),
            "field 'mode' is enum_signed robot::Mode of 2 bytes at offset 2908 here, enum_signed "
            "robot::Gear of 2 bytes at offset 2908 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[8].element_bytes = 4; }),
            "field 'count' is opaque std::optional<unsigned int> of 8 bytes at offset 2936 here, "
            "opaque std::optional<unsigned int> of 4 bytes at offset 2936 in the service");
  EXPECT_EQ(changed([](auto& fields) { fields[3].depth = 0; }),
            "field 'points.tag' is char[4] at offset 12 and depth 1 here, char[4] at offset 12 and "
            "depth 0 in the service");
}

TEST(Difference, NamesTheFieldThatOnlyOneSideHas) {
  Schema other = pose();
  other.fields.push_back(field("heading", FieldType::f64, 16));
  EXPECT_EQ(difference_text(pose(), other), "field 'heading' is only in the service, not here");
  EXPECT_EQ(difference_text(other, pose()), "field 'heading' is only here, not in the service");
}

TEST(Difference, NamesSizeAndAlignment) {
  Schema other = pose();
  other.bytes = 32;
  EXPECT_EQ(difference_text(pose(), other), "the payload has 16 bytes here, 32 in the service");
  other = pose();
  other.alignment = 16;
  EXPECT_EQ(difference_text(pose(), other),
            "the payload is aligned to 8 bytes here, to 16 in the service");
}

TEST(Difference, IsNotAFieldNameThatOneSideDoesNotKnow) {
  Schema other = schema_of<Scan>();
  other.fields[0].name.clear();
  other.fields[3].name = "points.";
  EXPECT_EQ(difference_text(schema_of<Scan>(), other), "none");
  EXPECT_EQ(difference_text(other, schema_of<Scan>()), "none");
  other.fields[3].offset = 13;
  EXPECT_EQ(difference_text(other, schema_of<Scan>()),
            "field 'points.tag' is char[4] at offset 13 here, char[4] at offset 12 in the service");
}

TEST(Decode, GivesBackWhatWasEncoded) {
  for (const Schema& schema : {schema_of<Scan>(), pose(), schema_of<bool>(),
                               schema_of<std::chrono::nanoseconds>(), schema_of<Scan[2]>()}) {
    const Result<Schema> decoded = decode(encode(schema));
    ASSERT_TRUE(decoded) << decoded.failure().message;
    EXPECT_EQ(*decoded, schema);
  }
}

TEST(Decode, GivesBackTheSchemaOfNothing) {
  const Schema nothing;  // of events
  EXPECT_EQ(encode(nothing), "sluice-schema 1\n0 1 0 0:\n");
  const Result<Schema> decoded = decode(encode(nothing));
  ASSERT_TRUE(decoded) << decoded.failure().message;
  EXPECT_EQ(*decoded, nothing);
  EXPECT_EQ(difference(nothing, *decoded), std::nullopt);
  EXPECT_TRUE(difference(nothing, pose()));
  EXPECT_TRUE(difference(pose(), nothing));
}

TEST(Decode, TellsAnotherVersion) {
  EXPECT_EQ(decode_error("sluice-schema 2\nwhatever"), Errc::version_mismatch);
}

TEST(Decode, RefusesWhatDoesNotFitTogether) {
  EXPECT_EQ(decode_error(text_with("0 f64 8 8 8 - 1:y 0:")), Errc::ok);
  for (const char* line : {
           "0 f64 9 8 8 - 1:y 0:",                           // ends at 17
           "0 f64 17 8 8 - 1:y 0:",                          // begins at 17
           "0 f64 18446744073709551615 8 8 - 1:y 0:",        // the sum overflows
           "0 u8 0 1 1 17 1:y 0:",                           // too many elements
           "0 f64 0 8 8 2305843009213693953x2 1:y 0:",       // the product overflows
           "0 u8 0 1 1 0 1:y 0:",                            // no elements
           "0 opaque 0 0 1 18446744073709551615x2 1:y 1:T",  // of no size
           "0 u8 0 1 1 1x1x1x1x1 1:y 0:",                    // too deep an array
           "0 f64 8 4 8 - 1:y 0:",                           // of the wrong size
           "0 enum_signed 0 3 1 - 1:y 1:T",                  // the same
           "0 f64 8 8 3 - 1:y 0:",                           // no power of two
           "0 f65 8 8 8 - 1:y 0:",                           // no type
           "1 f64 8 8 8 - 1:y 0:",                           // within nothing
           "0 record 0 8 8 - 1:y 0:",                        // without a type name
           "0 f64 0 8 8 - 1:y 1:T",                          // with one
           "0 f64 8 8 8 - 3:x.y 0:",                         // a path for a name
           "0 f64 8 8 8 - 2:y\n 0:",                         // would break a line
           "0 f64 8 8 8 - 2:y\x1b 0:",                       // controls the terminal
           "0 f64 8 8 8 - 99:y 0:",                          // a name beyond the end
           "0 f64 8 8 8 - 1:y 0:\n0 f64 8 8 8 - 1:z 0:",     // one field too many
           "0 f64 -8 8 8 - 1:y 0:",                          // negative
           "0 f64 99999999999999999999 8 8 - 1:y 0:",        // beyond 64 bits
       }) {
    EXPECT_EQ(decode_error(text_with(line)), Errc::corrupted) << line;
  }
}

TEST(Decode, RefusesAMemberOutsideOfItsRecord) {
  const std::string head = "sluice-schema 1\n16 8 2 4:Pose\n0 record 8 8 8 - 1:r 1:R\n";
  EXPECT_EQ(decode_error(head + "1 f32 12 4 4 - 1:y 0:\n"), Errc::ok);
  EXPECT_EQ(decode_error(head + "1 f32 4 4 4 - 1:y 0:\n"), Errc::corrupted);
  EXPECT_EQ(decode_error(head + "1 f64 12 8 8 - 1:y 0:\n"), Errc::corrupted);
  EXPECT_EQ(decode_error(head + "2 f32 12 4 4 - 1:y 0:\n"), Errc::corrupted);
}

TEST(Decode, RefusesWhatExceedsTheLimits) {
  EXPECT_EQ(decode_error("sluice-schema 1\n16 8 4097 4:Pose\n"), Errc::corrupted);
  EXPECT_EQ(decode_error(std::string(kMaxSchemaBytes + 1, 's')), Errc::corrupted);
  const std::string name(kMaxTypeNameBytes + 1, 'n');
  EXPECT_EQ(decode_error("sluice-schema 1\n16 8 0 256:" + name + "\n"), Errc::corrupted);
  EXPECT_EQ(decode_error("sluice-schema 1\n16 8 0 255:" + name.substr(1) + "\n"), Errc::ok);

  std::string nested = "sluice-schema 1\n1 1 33 1:T\n";
  for (int depth = 0; depth < 33; ++depth) {
    nested += std::to_string(depth) + " record 0 1 1 - 1:r 1:R\n";
  }
  EXPECT_EQ(decode_error(nested), Errc::corrupted);
}

TEST(Decode, RefusesEachTruncation) {
  const std::string text = encode(schema_of<Scan>());
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_EQ(decode_error(text.substr(0, length)), Errc::corrupted) << length;
  }
}

TEST(Decode, SurvivesAnyBytesAndReturnsOnlyWhatIsConsistent) {
  const std::string original = encode(schema_of<Scan>());
  const std::string likely = "0123456789 :x-\n";
  std::mt19937 random{20};  // always the same sequence
  const auto below = [&](std::size_t limit) { return random() % limit; };
  int decoded_count = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text = original;
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text[at] = likely[below(likely.size())];
          break;
        case 2:
          text.erase(at, 1 + below(8));
          break;
        default:
          text.insert(at, 1, likely[below(likely.size())]);
          break;
      }
    }
    const Result<Schema> decoded = decode(text);
    if (!decoded) {
      ASSERT_TRUE(decoded.error() == Errc::corrupted || decoded.error() == Errc::version_mismatch);
      continue;
    }
    ++decoded_count;
    for (const Field& one : decoded->fields) {
      ASSERT_LE(one.offset, decoded->bytes);
      ASSERT_LE(one.count() * one.element_bytes, decoded->bytes - one.offset);
    }
    const Result<Schema> again = decode(encode(*decoded));
    ASSERT_TRUE(again) << again.failure().message << '\n' << text;
    ASSERT_EQ(*again, *decoded);
    static_cast<void>(difference(schema_of<robot::Point>(), *decoded));
  }
  EXPECT_GT(decoded_count, 1000);  // or nothing was tried
}

}  // namespace
}  // namespace sluice
