// SPDX-License-Identifier: Apache-2.0
//
// Payload types: what may be shared between processes, and what it looks like.
//
// A payload is an object whose bytes mean the same in every process: trivially copyable, trivially
// destructible, without a pointer, reference or virtual function anywhere inside. Aggregates are
// walked member by member; nothing has to be declared. The walk refuses what cannot be shared, by
// the member's name, and yields a description that programs compare and tools read.
//
// Described: arithmetic types, enums, std::byte, C arrays, std::array, aggregates of those, also
// with empty base classes, default values and alignas.
// Opaque, that is with name, type name, size and alignment only: other trivially copyable classes
// (std::chrono::duration, std::optional<int>, …), unions, and aggregates with base classes that
// have members or with unnamed unions or structs. The members of such aggregates are searched for
// pointers, but neither private members nor any but the first of a union's can be seen.
// Refused: what has pointers inside as far as can be seen, what belongs to one process (std::mutex,
// std::thread::id, std::error_code, …), types with virtual functions, aggregates
// of more than 128 members, and bit-fields (by the compiler's own message).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <sluice/reflect/aggregate.hpp>
#include <sluice/reflect/type_fault.hpp>
#include <sluice/reflect/type_refusal.hpp>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice {

/// What the bytes of one element are. The values are part of no file: the schema has names for
/// them.
enum class FieldType : std::uint8_t {
  boolean,
  character,  ///< `char`: text
  byte,       ///< `std::byte`
  i8,
  i16,
  i32,
  i64,
  u8,
  u16,
  u32,
  u64,
  f32,
  f64,
  long_double,    ///< in the machine's own format
  enum_signed,    ///< an integer of the element's size
  enum_unsigned,  ///< an integer of the element's size
  record,         ///< has fields of its own
  opaque,         ///< bytes that only programs with this type understand
};
inline constexpr std::size_t kFieldTypes = static_cast<std::size_t>(FieldType::opaque) + 1;

/// The most fields that a payload may have, members of members included.
inline constexpr std::size_t kMaxFields = 4096;
/// C arrays and std::arrays nested deeper than this have their innermost extents multiplied.
inline constexpr std::size_t kMaxRank = 4;

struct TypeInfo;

struct MemberInfo {
  std::string_view name;
  const TypeInfo* type;  ///< Of one element.
  std::size_t offset;
  std::size_t rank;  ///< 0: not an array
  std::size_t extents[kMaxRank];
};

/// A type without its array extents, as this compiler laid it out.
struct TypeInfo {
  FieldType type;
  std::string_view spelling;  ///< As the compiler spells it.
  std::size_t bytes;
  std::size_t alignment;
  std::span<const MemberInfo> members;  ///< Of a record.
};

namespace walk {

template <typename T>
constexpr void add_extents(MemberInfo& member) {
  using Plain = std::remove_cv_t<T>;
  if constexpr (Element<Plain>::is_array) {
    if (member.rank < kMaxRank) {
      member.extents[member.rank++] = Element<Plain>::extent;
    } else {
      member.extents[kMaxRank - 1] *= Element<Plain>::extent;
    }
    add_extents<typename Element<Plain>::Type>(member);
  }
}

template <typename T>
consteval FieldType field_type() {
  if constexpr (std::is_same_v<T, std::byte>) {
    return FieldType::byte;
  } else if constexpr (std::is_same_v<T, bool>) {
    return FieldType::boolean;
  } else if constexpr (std::is_same_v<T, char>) {
    return FieldType::character;
  } else if constexpr (std::is_enum_v<T>) {
    return std::is_signed_v<std::underlying_type_t<T>> ? FieldType::enum_signed
                                                       : FieldType::enum_unsigned;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::is_same_v<T, float>    ? FieldType::f32
           : std::is_same_v<T, double> ? FieldType::f64
                                       : FieldType::long_double;
  } else if constexpr (std::is_arithmetic_v<T> && sizeof(T) <= 8) {
    // i8, i16, i32, i64 follow each other, and u8 …
    constexpr auto first =
        static_cast<unsigned>(std::is_signed_v<T> ? FieldType::i8 : FieldType::u8);
    return static_cast<FieldType>(first + static_cast<unsigned>(std::bit_width(sizeof(T))) - 1);
  } else {
    return is_walked<T>() ? FieldType::record : FieldType::opaque;
  }
}

template <typename T>
consteval TypeInfo describe();

template <typename T>
inline constexpr TypeInfo type_info = describe<T>();

template <typename T>
consteval MemberInfo describe_member(std::string_view name, std::size_t offset) {
  MemberInfo member{name, &type_info<Innermost<T>>, offset, 0, {}};
  add_extents<T>(member);
  return member;
}

template <typename T, typename... Types, std::size_t... I>
consteval std::array<MemberInfo, sizeof...(Types)> describe_members(aggregate::Members<Types...>*,
                                                                    std::index_sequence<I...>) {
  return {describe_member<Types>(aggregate::name<T, I>(), aggregate::offset<T, I>())...};
}

template <typename T>
inline constexpr auto member_table =
    describe_members<T>(static_cast<aggregate::MembersOf<T>*>(nullptr),
                        std::make_index_sequence<aggregate::count<T>.members>{});

template <typename T>
consteval TypeInfo describe() {
  TypeInfo info{field_type<T>(), type_spelling<T>, sizeof(T), alignof(T), {}};
  if constexpr (is_walked<T>()) info.members = member_table<typename SeenAs<T>::Type>;
  return info;
}

constexpr std::size_t count_fields(const TypeInfo& type) {
  std::size_t fields = type.members.size();
  for (const MemberInfo& member : type.members) fields += count_fields(*member.type);
  return fields;
}

}  // namespace walk

/// What is wrong with `T` as a payload, `TypeFault::none` if nothing. Also for arrays of known
/// size.
template <typename T>
inline constexpr TypeFault payload_fault = walk::fault<walk::Innermost<T>>;

/// A type that may be shared between processes. In overloads and `if constexpr`; where a user's
/// type is to be refused, `require_payload` says why.
template <typename T>
concept Payload = (payload_fault<T> == TypeFault::none);

/// Does not compile unless `T` is a payload: the message names the member and the reason. Returns
/// true, for use as `static_assert(require_payload<T>())`.
template <typename T>
consteval bool require_payload() {
  if constexpr (!Payload<T>) {
    walk::explain<walk::Innermost<T>>();
  } else {
    static_assert(walk::count_fields(walk::type_info<walk::Innermost<T>>) <= kMaxFields,
                  "sluice: a payload has at most 4096 fields, members of members included; use "
                  "arrays, or vouch for one of its types with sluice::shared_memory_safe");
  }
  return true;
}

/// `T` described as if it were a member at offset 0, named "value".
template <Payload T>
inline constexpr MemberInfo payload_info = walk::describe_member<T>("value", 0);

}  // namespace sluice
