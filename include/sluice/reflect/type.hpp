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
// Refused: what has pointers inside as far as can be seen, types with virtual functions, aggregates
// of more than 128 members, and bit-fields (by the compiler's own message).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <sluice/reflect/aggregate.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice {

/// Specialise as `true` to vouch for a type that the walk refuses: it becomes an opaque field.
template <typename T>
inline constexpr bool shared_memory_safe = false;

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

/// Why a type is no payload.
enum class TypeFault : std::uint8_t {
  none,
  not_an_object,
  pointer,
  reference,
  polymorphic,
  pointer_inside,  ///< A class that is known, or by its template arguments seen, to have one.
  not_trivially_copyable,
  too_many_members,  ///< More than `aggregate::kMaxMembers`.
  unknown_members,   ///< An aggregate that cannot be examined.
  member,            ///< One of its members has a fault.
};

/// The most fields that a payload may have, members of members included.
inline constexpr std::size_t kMaxFields = 4096;
/// C arrays and std::arrays nested deeper than this have their innermost extents multiplied.
inline constexpr std::size_t kMaxRank = 4;

struct MemberInfo;

/// A type without its array extents, as this compiler laid it out.
struct TypeInfo {
  FieldType type;
  std::string_view spelling;  ///< As the compiler spells it.
  std::size_t bytes;
  std::size_t alignment;
  const MemberInfo* members;  ///< Of a record.
  std::size_t member_count;
};

struct MemberInfo {
  std::string_view name;
  const TypeInfo* type;  ///< Of one element.
  std::size_t offset;
  std::size_t rank;  ///< 0: not an array
  std::size_t extents[kMaxRank];
};

namespace walk {

template <typename T>
struct Element {
  using Type = T;
  static constexpr bool is_array = false;
};
template <typename T, std::size_t N>
struct Element<T[N]> {
  using Type = T;
  static constexpr bool is_array = true;
  static constexpr std::size_t extent = N;
};
template <typename T, std::size_t N>
requires(N > 0) struct Element<std::array<T, N>> : Element<T[N]> {
};

/// An element of a (nested) array, without const.
template <typename T>
consteval auto innermost() {
  using Plain = std::remove_cv_t<T>;
  if constexpr (Element<Plain>::is_array) {
    return innermost<typename Element<Plain>::Type>();
  } else {
    return std::type_identity<Plain>{};
  }
}
template <typename T>
using Innermost = typename decltype(innermost<T>())::type;

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

/// Classes that refer to memory elsewhere, though their bytes may be copied. Known by their names,
/// so that nothing has to be included to refuse them.
consteval bool refers_elsewhere(std::string_view spelling) {
  constexpr std::string_view words[] = {"*",
                                        "&",
                                        "string_view<",
                                        "::span<",
                                        "::mdspan<",
                                        "::reference_wrapper<",
                                        "::initializer_list<",
                                        "::coroutine_handle<",
                                        "::function_ref<",
                                        "iterator<",
                                        "lambda"};
  for (std::string_view word : words) {
    if (spelling.find(word) != std::string_view::npos) return true;
  }
  return false;
}

template <typename T>
consteval bool is_walked() {
  if constexpr (shared_memory_safe<T> || std::is_union_v<T> || !std::is_aggregate_v<T>) {
    return false;
  } else {
    return aggregate::count<T>.shape == aggregate::Shape::walkable;
  }
}

template <typename T>
consteval TypeFault find_fault();

template <typename T>
inline constexpr TypeFault fault = find_fault<T>();

template <typename T>
inline constexpr bool is_faulty = fault<Innermost<T>> != TypeFault::none;

/// Converts to what is no payload, so that members that cannot be bound are examined all the same.
template <typename T>
struct AnyFaulty {
  template <typename U>
  requires(!std::is_same_v<U, T> && is_faulty<U>) operator U() const noexcept;  // NOLINT
};

template <typename... Types>
consteval bool any_faulty(aggregate::Members<Types...>*) {
  return (... || is_faulty<Types>);
}

template <typename T>
consteval bool has_faulty_member() {
  if constexpr (is_walked<T>()) {
    return any_faulty(static_cast<aggregate::MembersOf<T>*>(nullptr));
  } else {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (... || aggregate::initialises<T, I, AnyFaulty<T>>());
    }
    (std::make_index_sequence<aggregate::count<T>.initialisers>{});
  }
}

template <typename T>
consteval TypeFault find_class_fault() {
  if constexpr (std::is_polymorphic_v<T>) {
    return TypeFault::polymorphic;
  } else if constexpr (std::is_aggregate_v<T>) {
    if constexpr (aggregate::count<T>.shape == aggregate::Shape::unknown) {
      return TypeFault::unknown_members;
    } else if constexpr (aggregate::count<T>.shape == aggregate::Shape::too_many) {
      return TypeFault::too_many_members;
    } else if constexpr (has_faulty_member<T>()) {
      return TypeFault::member;
    }
  } else if constexpr (refers_elsewhere(aggregate::spelling<T>())) {
    return TypeFault::pointer_inside;
  }
  if constexpr (!std::is_trivially_copyable_v<T>) return TypeFault::not_trivially_copyable;
  return TypeFault::none;
}

template <typename T>
consteval TypeFault find_fault() {
  if constexpr (std::is_reference_v<T>) {
    return TypeFault::reference;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return TypeFault::none;
  } else if constexpr (std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                       std::is_null_pointer_v<T>) {
    return TypeFault::pointer;
  } else if constexpr (!std::is_object_v<T> || std::is_array_v<T>) {  // also T[]
    return TypeFault::not_an_object;
  } else if constexpr (shared_memory_safe<T>) {
    return TypeFault::none;
  } else {
    return find_class_fault<T>();
  }
}

template <typename T>
consteval FieldType scalar_type() {
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (std::is_same_v<T, bool>) {
    return FieldType::boolean;
  } else if constexpr (std::is_same_v<T, char>) {
    return FieldType::character;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::is_same_v<T, float>    ? FieldType::f32
           : std::is_same_v<T, double> ? FieldType::f64
                                       : FieldType::long_double;
  } else if constexpr (sizeof(T) == 1) {
    return is_signed ? FieldType::i8 : FieldType::u8;
  } else if constexpr (sizeof(T) == 2) {
    return is_signed ? FieldType::i16 : FieldType::u16;
  } else if constexpr (sizeof(T) == 4) {
    return is_signed ? FieldType::i32 : FieldType::u32;
  } else if constexpr (sizeof(T) == 8) {
    return is_signed ? FieldType::i64 : FieldType::u64;
  } else {
    return FieldType::opaque;
  }
}

template <typename T>
consteval FieldType field_type() {
  if constexpr (std::is_same_v<T, std::byte>) {
    return FieldType::byte;
  } else if constexpr (std::is_enum_v<T>) {
    return std::is_signed_v<std::underlying_type_t<T>> ? FieldType::enum_signed
                                                       : FieldType::enum_unsigned;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return scalar_type<T>();
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
  TypeInfo info{field_type<T>(), aggregate::spelling<T>(), sizeof(T), alignof(T), nullptr, 0};
  if constexpr (is_walked<T>()) {
    info.members = member_table<T>.data();
    info.member_count = member_table<T>.size();
  }
  return info;
}

constexpr std::size_t count_fields(const TypeInfo& type) {
  std::size_t fields = 0;
  for (std::size_t i = 0; i < type.member_count; ++i) {
    fields += 1 + count_fields(*type.members[i].type);
  }
  return fields;
}

// What follows exists to be read in the compiler's message: the arguments of `refuse` name the
// class, the member and the reason.

/// In place of an `aggregate::Member`.
struct TypeItself {};
struct Reference {
  std::size_t index;
};
struct BaseOrMember {
  std::size_t index;
};

template <typename Class, typename Type, auto member, TypeFault reason>
consteval bool refuse() {
  static_assert(reason != TypeFault::not_an_object,
                "sluice: a payload is an object type of known size");
  static_assert(reason != TypeFault::pointer,
                "sluice: a payload may not hold a pointer, it means nothing in another process; "
                "hold the value itself, an index, or sluice::offset_ptr");
  static_assert(reason != TypeFault::reference,
                "sluice: a payload may not hold a reference, it means nothing in another process; "
                "hold the value itself");
  static_assert(reason != TypeFault::polymorphic,
                "sluice: a payload may not have virtual functions, their table is a pointer into "
                "one process");
  static_assert(reason != TypeFault::pointer_inside,
                "sluice: a payload may not hold a class that points to memory elsewhere; hold the "
                "characters or elements themselves in an array, sluice::String or sluice::Vector");
  static_assert(reason != TypeFault::not_trivially_copyable,
                "sluice: a payload must be trivially copyable, or be a class with an explicit "
                "constructor from sluice::Allocator<> for its containers; for text use char[N] or "
                "sluice::String, for lists an array or sluice::Vector");
  static_assert(reason != TypeFault::too_many_members,
                "sluice: a payload has at most 128 members in one class; group them in classes of "
                "their own, or vouch for the type with sluice::shared_memory_safe");
  static_assert(reason != TypeFault::unknown_members,
                "sluice: the members of this aggregate cannot be told apart, because one has no "
                "default value; give each one a default constructor, or vouch for the type with "
                "sluice::shared_memory_safe");
  static_assert(reason != TypeFault::member,
                "sluice: this base class or member of a payload is or holds what cannot be shared "
                "between processes: a pointer, a reference, or a class that is not trivially "
                "copyable");
  return false;
}

/// Has the compiler say which member is a reference or another that has no default value.
template <typename T>
consteval void name_what_has_no_default() {
  if constexpr (!aggregate::initialises<T, 0>()) static_cast<void>(T{});
}

/// Refuses `T`, the type of `member` in `Class`, or those of its members that are at fault.
template <typename T, typename Class = T, auto member = TypeItself{}>
consteval bool explain();

template <typename T, std::size_t I, bool has_reference, typename Type>
consteval bool explain_member() {
  if constexpr (!is_faulty<Type>) {
    return true;
  } else if constexpr (has_reference) {  // The addresses are no constants then.
    return explain<Innermost<Type>, T, Reference{I}>();
  } else {
    return explain<Innermost<Type>, T, aggregate::member<T, I>>();
  }
}

template <typename T, typename... Types, std::size_t... I>
consteval bool explain_members(aggregate::Members<Types...>*, std::index_sequence<I...>) {
  constexpr bool has_reference = (... || std::is_reference_v<Types>);
  (static_cast<void>(explain_member<T, I, has_reference, Types>()), ...);
  if constexpr (has_reference) name_what_has_no_default<T>();
  return false;
}

template <typename T, std::size_t... I>
consteval bool explain_closed(std::index_sequence<I...>) {
  constexpr auto refuse_one = []<std::size_t J>(std::integral_constant<std::size_t, J>) {
    if constexpr (aggregate::initialises<T, J, AnyFaulty<T>>()) {
      return refuse<T, T, BaseOrMember{J}, TypeFault::member>();
    } else {
      return true;
    }
  };
  (static_cast<void>(refuse_one(std::integral_constant<std::size_t, I>{})), ...);
  return false;
}

template <typename T, typename Class, auto member>
consteval bool explain() {
  if constexpr (fault<T> == TypeFault::unknown_members) name_what_has_no_default<T>();
  if constexpr (fault<T> != TypeFault::member) {
    return refuse<Class, T, member, fault<T>>();
  } else if constexpr (is_walked<T>()) {
    return explain_members<T>(static_cast<aggregate::MembersOf<T>*>(nullptr),
                              std::make_index_sequence<aggregate::count<T>.members>{});
  } else {
    return explain_closed<T>(std::make_index_sequence<aggregate::count<T>.initialisers>{});
  }
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

/// The compiler's spelling of `T`.
template <typename T>
inline constexpr std::string_view type_spelling = aggregate::spelling<std::remove_cv_t<T>>();

}  // namespace sluice
