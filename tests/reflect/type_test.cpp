// SPDX-License-Identifier: Apache-2.0
//
// What is a payload, and what the walk sees. Refusals and their messages: refused/.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <latch>
#include <locale>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shared_mutex>
#include <sluice/reflect/type.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <typeindex>
#include <vector>

#if defined(SLUICE_CASE) || defined(SLUICE_FOUR) || defined(SLUICE_NAME) || \
    defined(SLUICE_TYPE) || defined(SLUICE_1) || defined(SLUICE_TIMES0) || defined(SLUICE_B4)
#error "the header leaves macros behind"
#endif

namespace sluice {
namespace {

struct Point {
  float range;
  char tag[4];
};

struct Scan {
  double stamp;
  Point points[361];
  std::array<std::array<std::int16_t, 3>, 2> matrix;
  bool valid;
};

struct Empty {};
struct Marker {};
struct WithEmptyBases : Empty, Marker {
  int a;
  std::int64_t b;
};

struct WithItsBase : Empty, Marker {
  Empty a;
  int b;
};
struct Alone : Empty {};
struct WithBaseOfItsBase : Alone {
  Empty a;
  Marker b;
};

struct WithDefaults {
  int a = 7;
  alignas(32) double b = 1.5;
  const char c = 'c';
};

/// Brace elision would take the 3 + 2 + 1 elements for 6 members.
struct StartsWithArrays {
  int a[3];
  std::array<double, 2> b;
  Point c[1];
};

/// A value without a default.
struct Id {
  explicit constexpr Id(int v) : value{v} {}
  int value;
};
struct WithId {
  Id id;
  double x;
  Id other;
};
struct WithIdAndArray {
  Id id;
  double x[2];
};

#define EIGHT(n) int n##0, n##1, n##2, n##3, n##4, n##5, n##6, n##7
struct SixtyFour {
  EIGHT(a);
  EIGHT(b);
  EIGHT(c);
  EIGHT(d);
  EIGHT(e);
  EIGHT(f);
  EIGHT(g);
  EIGHT(h);
};
struct SixtySix {
  EIGHT(a);
  EIGHT(b);
  EIGHT(c);
  EIGHT(d);
  EIGHT(e);
  EIGHT(f);
  EIGHT(g);
  EIGHT(h);
  char i0[3];
  double i1;
};
struct AtTheLimit {
  EIGHT(a);
  EIGHT(b);
  EIGHT(c);
  EIGHT(d);
  EIGHT(e);
  EIGHT(f);
  EIGHT(g);
  EIGHT(h);
  EIGHT(i);
  EIGHT(j);
  EIGHT(k);
  EIGHT(l);
  EIGHT(m);
  EIGHT(n);
  EIGHT(o);
  EIGHT(p);
};
struct BeyondTheLimit {
  EIGHT(a);
  EIGHT(b);
  EIGHT(c);
  EIGHT(d);
  EIGHT(e);
  EIGHT(f);
  EIGHT(g);
  EIGHT(h);
  EIGHT(i);
  EIGHT(j);
  EIGHT(k);
  EIGHT(l);
  EIGHT(m);
  EIGHT(n);
  EIGHT(o);
  EIGHT(p);
  int* one_more;
};
#undef EIGHT

struct Base {
  int a;
};
struct Derived : Base {
  int b;
};
struct WithUnnamedUnion {
  int a;
  union {
    float b;
    int c;
  };
};
union Number {
  int a;
  double b;
};

struct Large {
  char bytes[64 << 20];
  int after;
};

enum class Color : std::uint8_t { red };

struct Scalars {
  bool a;
  char b;
  std::byte c;
  std::int8_t d;
  std::uint16_t e;
  std::int32_t f;
  long g;  // the same type under another name on some machines
  unsigned long long h;
  float i;
  double j;
  long double k;
  Color l;
};

struct Vouched {
  int* a;
};

template <typename T>
consteval const MemberInfo& member(std::size_t index) {
  return payload_info<T>.type->members[index];
}

template <typename T>
consteval std::size_t members() {
  return payload_info<T>.type->members.size();
}

template <typename T>
consteval FieldType field_type() {
  return payload_info<T>.type->type;
}

}  // namespace

template <>
inline constexpr bool shared_memory_safe<Vouched> = true;

namespace {

TEST(Payload, HasItsMembersFoundByNameTypeAndOffset) {
  EXPECT_EQ(members<Scan>(), 4U);
  EXPECT_EQ(member<Scan>(0).name, "stamp");
  EXPECT_EQ(member<Scan>(1).name, "points");
  EXPECT_EQ(member<Scan>(2).name, "matrix");
  EXPECT_EQ(member<Scan>(3).name, "valid");
  EXPECT_EQ(member<Scan>(1).offset, offsetof(Scan, points));
  EXPECT_EQ(member<Scan>(2).offset, offsetof(Scan, matrix));
  EXPECT_EQ(member<Scan>(3).offset, offsetof(Scan, valid));
  EXPECT_EQ(member<Scan>(1).type->members[1].name, "tag");
  EXPECT_EQ(member<Scan>(1).type->members[1].offset, offsetof(Point, tag));
}

TEST(Payload, HasTheExtentsOfItsArraysOfEitherKind) {
  EXPECT_EQ(member<Scan>(0).rank, 0U);
  ASSERT_EQ(member<Scan>(1).rank, 1U);
  EXPECT_EQ(member<Scan>(1).extents[0], 361U);
  ASSERT_EQ(member<Scan>(2).rank, 2U);
  EXPECT_EQ(member<Scan>(2).extents[0], 2U);
  EXPECT_EQ(member<Scan>(2).extents[1], 3U);
  EXPECT_EQ(member<Scan>(2).type->type, FieldType::i16);
}

TEST(Payload, HasTheInnermostExtentsMultipliedWhenItsArraysAreTooDeep) {
  struct Deep {
    char cells[2][3][4][5][6];
  };
  ASSERT_EQ(member<Deep>(0).rank, kMaxRank);
  EXPECT_EQ(member<Deep>(0).extents[2], 4U);
  EXPECT_EQ(member<Deep>(0).extents[3], 30U);
}

TEST(Payload, MayStartWithArraysInSpiteOfBraceElision) {
  EXPECT_EQ(members<StartsWithArrays>(), 3U);
  EXPECT_EQ(member<StartsWithArrays>(2).name, "c");
  EXPECT_EQ(member<StartsWithArrays>(2).offset, offsetof(StartsWithArrays, c));
}

TEST(Payload, MayHaveMembersOfTheTypeOfABaseClass) {
  EXPECT_EQ(members<WithItsBase>(), 2U);
  EXPECT_EQ(member<WithItsBase>(0).name, "a");
  EXPECT_EQ(member<WithItsBase>(1).name, "b");
  EXPECT_EQ(member<WithItsBase>(1).offset, 4U);
  EXPECT_EQ(members<WithBaseOfItsBase>(), 2U);
  EXPECT_EQ(member<WithBaseOfItsBase>(1).name, "b");
  EXPECT_EQ(members<Alone>(), 0U);
}

TEST(Payload, MayHaveEmptyBaseClasses) {
  EXPECT_EQ(members<WithEmptyBases>(), 2U);
  EXPECT_EQ(member<WithEmptyBases>(1).name, "b");
  EXPECT_EQ(member<WithEmptyBases>(1).offset, 8U);
}

TEST(Payload, MayHaveDefaultValuesAlignmentAndConstMembers) {
  EXPECT_EQ(members<WithDefaults>(), 3U);
  EXPECT_EQ(member<WithDefaults>(1).offset, 32U);
  EXPECT_EQ(payload_info<WithDefaults>.type->alignment, 32U);
  EXPECT_EQ(member<WithDefaults>(2).type->type, FieldType::character);
}

TEST(Payload, MayHaveMembersWithoutADefaultValue) {
  EXPECT_EQ(members<WithId>(), 3U);
  EXPECT_EQ(member<WithId>(1).name, "x");
  EXPECT_EQ(member<WithId>(2).offset, offsetof(WithId, other));
  EXPECT_EQ(member<WithId>(2).type->type, FieldType::opaque);
  EXPECT_EQ(payload_fault<WithIdAndArray>, TypeFault::unknown_members);
}

TEST(Payload, MayHave128MembersAndNoMore) {
  EXPECT_EQ(members<SixtyFour>(), 64U);
  EXPECT_EQ(member<SixtyFour>(63).name, "h7");
  EXPECT_EQ(members<SixtySix>(), 66U);
  EXPECT_EQ(member<SixtySix>(65).name, "i1");
  EXPECT_EQ(member<SixtySix>(65).offset, offsetof(SixtySix, i1));
  EXPECT_EQ(members<AtTheLimit>(), 128U);
  EXPECT_EQ(member<AtTheLimit>(127).name, "p7");
  EXPECT_EQ(payload_fault<BeyondTheLimit>, TypeFault::too_many_members);
}

TEST(Payload, MayBeLargerThanTheCompilersMemoryForConstants) {
  EXPECT_EQ(member<Large>(1).name, "after");
  EXPECT_EQ(member<Large>(1).offset, offsetof(Large, after));
}

TEST(Payload, HasItsScalarsToldApart) {
  EXPECT_EQ(member<Scalars>(0).type->type, FieldType::boolean);
  EXPECT_EQ(member<Scalars>(1).type->type, FieldType::character);
  EXPECT_EQ(member<Scalars>(2).type->type, FieldType::byte);
  EXPECT_EQ(member<Scalars>(3).type->type, FieldType::i8);
  EXPECT_EQ(member<Scalars>(4).type->type, FieldType::u16);
  EXPECT_EQ(member<Scalars>(5).type->type, FieldType::i32);
  EXPECT_EQ(member<Scalars>(6).type->type, sizeof(long) == 8 ? FieldType::i64 : FieldType::i32);
  EXPECT_EQ(member<Scalars>(7).type->type, FieldType::u64);
  EXPECT_EQ(member<Scalars>(8).type->type, FieldType::f32);
  EXPECT_EQ(member<Scalars>(9).type->type, FieldType::f64);
  EXPECT_EQ(member<Scalars>(10).type->type, FieldType::long_double);
  EXPECT_EQ(member<Scalars>(11).type->type, FieldType::enum_unsigned);
}

TEST(Payload, IsOpaqueWhereItsMembersCannotBeBound) {
  EXPECT_EQ(field_type<Derived>(), FieldType::opaque);
  EXPECT_EQ(field_type<WithUnnamedUnion>(), FieldType::opaque);
  EXPECT_EQ(field_type<Number>(), FieldType::opaque);
  EXPECT_EQ(field_type<std::chrono::nanoseconds>(), FieldType::opaque);
  EXPECT_EQ(field_type<std::optional<int>>(), FieldType::opaque);
  EXPECT_EQ(field_type<Empty>(), FieldType::record);
}

TEST(Payload, MayBeAScalarOrAnArray) {
  EXPECT_TRUE(require_payload<double>());
  EXPECT_TRUE(require_payload<Color>());
  EXPECT_TRUE((require_payload<Point[3]>()));
  EXPECT_TRUE((require_payload<std::array<Point, 3>>()));
}

TEST(Payload, IsNotWhatRefersToMemoryElsewhere) {
  EXPECT_EQ(payload_fault<int*>, TypeFault::pointer);
  EXPECT_EQ(payload_fault<int* [3]>, TypeFault::pointer);
  EXPECT_EQ(payload_fault<std::nullptr_t>, TypeFault::pointer);
  EXPECT_EQ(payload_fault<void (*)()>, TypeFault::pointer);
  EXPECT_EQ(payload_fault<int Point::*>, TypeFault::pointer);
  EXPECT_EQ(payload_fault<int&>, TypeFault::reference);
  EXPECT_EQ(payload_fault<void>, TypeFault::not_an_object);
  EXPECT_EQ(payload_fault<int()>, TypeFault::not_an_object);
  EXPECT_EQ(payload_fault<int[]>, TypeFault::not_an_object);
  EXPECT_EQ(payload_fault<std::string>, TypeFault::not_trivially_copyable);
  EXPECT_EQ(payload_fault<std::vector<int>>, TypeFault::not_trivially_copyable);
  EXPECT_EQ(payload_fault<std::string_view>, TypeFault::pointer_inside);
  EXPECT_EQ(payload_fault<std::span<int>>, TypeFault::pointer_inside);
  EXPECT_EQ(payload_fault<std::optional<int*>>, TypeFault::pointer_inside);
}

/// Names that only look like those of namespace std.
namespace mystd {
class error_code {
 public:
  int value() const { return value_; }

 private:
  int value_ = 0;
};
}  // namespace mystd
class mutex : public mystd::error_code {};

TEST(Payload, IsNotWhatBelongsToOneProcess) {
  EXPECT_EQ(payload_fault<std::mutex>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::recursive_timed_mutex>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::shared_mutex>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::condition_variable>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::condition_variable_any>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::once_flag>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::binary_semaphore>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::latch>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::thread::id>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::atomic<std::thread::id>>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::error_code>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::optional<std::error_condition>>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::type_index>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::exception_ptr>, TypeFault::bound_to_process);
  EXPECT_EQ(payload_fault<std::locale>, TypeFault::bound_to_process);
  struct Guarded {
    int value;
    std::mutex mutex[2];
  };
  EXPECT_EQ(payload_fault<Guarded>, TypeFault::member);

  EXPECT_TRUE(require_payload<mutex>());
  EXPECT_TRUE(require_payload<mystd::error_code>());
  EXPECT_TRUE(require_payload<std::optional<mystd::error_code>>());
  EXPECT_TRUE(require_payload<std::errc>());
  EXPECT_TRUE(require_payload<std::atomic<int>>());
}

TEST(Payload, IsSearchedToTheInnermostMember) {
  struct Inner {
    int a;
    std::array<const char*, 2> labels[2];
  };
  struct Outer {
    Inner inner[3];
  };
  struct WithBase : Inner {
    int b;
  };
  struct BesideUnnamedUnion {
    union {
      int a;
      float b;
    };
    int* target;
  };
  EXPECT_EQ(payload_fault<Outer>, TypeFault::member);
  EXPECT_EQ(payload_fault<WithBase>, TypeFault::member);
  struct WithItsBaseAndAPointer : Empty {
    Empty first;
    const int* second;
  };
  EXPECT_EQ(payload_fault<WithItsBaseAndAPointer>, TypeFault::member);
  EXPECT_EQ(payload_fault<BesideUnnamedUnion>, TypeFault::member);
}

TEST(Payload, MayBeVouchedFor) {
  struct Holder {
    Vouched vouched[2];
  };
  EXPECT_TRUE(require_payload<Holder>());
  EXPECT_EQ(member<Holder>(0).type->type, FieldType::opaque);
}

}  // namespace
}  // namespace sluice
