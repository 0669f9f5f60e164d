// SPDX-License-Identifier: Apache-2.0
//
// The members of an aggregate, found at compile time: of which types, at which offsets and under
// which names. The idea is that of Boost.PFR (Antony Polukhin).
//
// A structured binding of an object that is never constructed has a name for each member; the
// number of members must be known beforehand. Types come from `decltype` of the names, offsets from
// the members' addresses, and names from how the compiler spells those addresses.
#pragma once

#include <cstddef>
#include <sluice/reflect/member_count.hpp>
#include <sluice/reflect/type_name.hpp>
#include <string_view>
#include <type_traits>

namespace sluice::aggregate {

/// An object of type T that has an address, but is never constructed, read or written; no compiled
/// code refers to it.
template <typename T>
union Specimen {
  constexpr Specimen() : none{} {}

  char none;
  char bytes[sizeof(T) + 1];
  T value;
};

template <typename T>
requires(!std::is_trivially_destructible_v<T>) union Specimen<T> {
  constexpr Specimen() : none{} {}
  constexpr ~Specimen() {}

  char none;
  T value;
};

template <typename T>
inline constinit Specimen<T> specimen{};

/// The declared types of the members, and their addresses in `specimen`.
template <typename... Types>
struct Members {
  const void* addresses[sizeof...(Types) + 1];
};

template <typename... Types, typename... Values>
constexpr Members<Types...> members_at(Values&... values) {
  return {{__builtin_addressof(values)..., nullptr}};
}

/// Binds the N members of `object`. Ill-formed for bit-fields, which have no address.
template <std::size_t N, typename T>
constexpr auto bind(T& object) {
// The names: z1 … zn, preceded by as many full rows of eight, a1 … a8, b1 … b8, … as it takes.
#define SLUICE_NAME(x) x
#define SLUICE_TYPE(x) decltype(x)
#define SLUICE_1(X, r) X(r##1)
#define SLUICE_2(X, r) SLUICE_1(X, r), X(r##2)
#define SLUICE_3(X, r) SLUICE_2(X, r), X(r##3)
#define SLUICE_4(X, r) SLUICE_3(X, r), X(r##4)
#define SLUICE_5(X, r) SLUICE_4(X, r), X(r##5)
#define SLUICE_6(X, r) SLUICE_5(X, r), X(r##6)
#define SLUICE_7(X, r) SLUICE_6(X, r), X(r##7)
#define SLUICE_8(X, r) SLUICE_7(X, r), X(r##8)
#define SLUICE_ROWS0(X)
#define SLUICE_ROWS8(X) SLUICE_ROWS0(X) SLUICE_8(X, a),
#define SLUICE_ROWS16(X) SLUICE_ROWS8(X) SLUICE_8(X, b),
#define SLUICE_ROWS24(X) SLUICE_ROWS16(X) SLUICE_8(X, c),
#define SLUICE_ROWS32(X) SLUICE_ROWS24(X) SLUICE_8(X, d),
#define SLUICE_ROWS40(X) SLUICE_ROWS32(X) SLUICE_8(X, e),
#define SLUICE_ROWS48(X) SLUICE_ROWS40(X) SLUICE_8(X, f),
#define SLUICE_ROWS56(X) SLUICE_ROWS48(X) SLUICE_8(X, g),
#define SLUICE_ROWS64(X) SLUICE_ROWS56(X) SLUICE_8(X, h),
#define SLUICE_ROWS72(X) SLUICE_ROWS64(X) SLUICE_8(X, i),
#define SLUICE_ROWS80(X) SLUICE_ROWS72(X) SLUICE_8(X, j),
#define SLUICE_ROWS88(X) SLUICE_ROWS80(X) SLUICE_8(X, k),
#define SLUICE_ROWS96(X) SLUICE_ROWS88(X) SLUICE_8(X, l),
#define SLUICE_ROWS104(X) SLUICE_ROWS96(X) SLUICE_8(X, m),
#define SLUICE_ROWS112(X) SLUICE_ROWS104(X) SLUICE_8(X, n),
#define SLUICE_ROWS120(X) SLUICE_ROWS112(X) SLUICE_8(X, o),
#define SLUICE_CASE(rows, n)                                                      \
  if constexpr (N == rows + n) {                                                  \
    auto& [SLUICE_ROWS##rows(SLUICE_NAME) SLUICE_##n(SLUICE_NAME, z)] = object;   \
    return members_at<SLUICE_ROWS##rows(SLUICE_TYPE) SLUICE_##n(SLUICE_TYPE, z)>( \
        SLUICE_ROWS##rows(SLUICE_NAME) SLUICE_##n(SLUICE_NAME, z));               \
  }
#define SLUICE_EIGHT(rows)                   \
  if constexpr (N > rows && N <= rows + 8) { \
    SLUICE_CASE(rows, 1)                     \
    SLUICE_CASE(rows, 2)                     \
    SLUICE_CASE(rows, 3)                     \
    SLUICE_CASE(rows, 4)                     \
    SLUICE_CASE(rows, 5)                     \
    SLUICE_CASE(rows, 6)                     \
    SLUICE_CASE(rows, 7)                     \
    SLUICE_CASE(rows, 8)                     \
  }
  if constexpr (N == 0) return static_cast<void>(object), Members<>{};
  SLUICE_EIGHT(0)
  SLUICE_EIGHT(8)
  SLUICE_EIGHT(16)
  SLUICE_EIGHT(24)
  SLUICE_EIGHT(32)
  SLUICE_EIGHT(40)
  SLUICE_EIGHT(48)
  SLUICE_EIGHT(56)
  SLUICE_EIGHT(64)
  SLUICE_EIGHT(72)
  SLUICE_EIGHT(80)
  SLUICE_EIGHT(88)
  SLUICE_EIGHT(96)
  SLUICE_EIGHT(104)
  SLUICE_EIGHT(112)
  SLUICE_EIGHT(120)
#undef SLUICE_EIGHT
#undef SLUICE_CASE
#undef SLUICE_ROWS120
#undef SLUICE_ROWS112
#undef SLUICE_ROWS104
#undef SLUICE_ROWS96
#undef SLUICE_ROWS88
#undef SLUICE_ROWS80
#undef SLUICE_ROWS72
#undef SLUICE_ROWS64
#undef SLUICE_ROWS56
#undef SLUICE_ROWS48
#undef SLUICE_ROWS40
#undef SLUICE_ROWS32
#undef SLUICE_ROWS24
#undef SLUICE_ROWS16
#undef SLUICE_ROWS8
#undef SLUICE_ROWS0
#undef SLUICE_8
#undef SLUICE_7
#undef SLUICE_6
#undef SLUICE_5
#undef SLUICE_4
#undef SLUICE_3
#undef SLUICE_2
#undef SLUICE_1
#undef SLUICE_TYPE
#undef SLUICE_NAME
}

/// `Members<Types…>` of a walkable aggregate; references among the types are seen as such.
template <typename T>
using MembersOf = decltype(bind<count<T>.members>(specimen<T>.value));

/// A member, told apart by its address in `specimen`. In a class of its own, because compilers
/// take a pointer into an object as template argument only there, and print the member's name.
template <typename T>
struct Member {
  const void* address;
};

/// Precondition: no member is a reference, whose address is not known.
template <typename T>
inline constexpr auto members = bind<count<T>.members>(specimen<T>.value);

/// The member with index `I`.
template <typename T, std::size_t I>
inline constexpr Member<T> member{members<T>.addresses[I]};

/// The offset of the member with index `I`.
template <typename T, std::size_t I>
consteval std::size_t offset() {
  constexpr const void* address = member<T, I>.address;
#if defined(__clang__)
  // Clang folds the difference only where __builtin_constant_p asks for it.
  return static_cast<std::size_t>(
      __builtin_constant_p(static_cast<const char*>(address) - specimen<T>.bytes)
          ? static_cast<const char*>(address) - specimen<T>.bytes
          : static_cast<const char*>(address) - specimen<T>.bytes);
#else
  // GCC folds comparisons of addresses in one object, but no cast from `void*`.
  std::size_t low = 0;
  std::size_t high = sizeof(T);
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const void* byte = &specimen<T>.bytes[middle];
    if (byte < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
#endif
}

/// Brings a member into the spelling of a type: "… Named<Member<A>{(… &
/// specimen<A>.….value.A::x)}>", or with Clang "… Named<{&specimen.value.x}>".
template <auto member>
struct Named {};

/// The name of the member with index `I`: the last name in that spelling.
template <typename T, std::size_t I>
consteval std::string_view name() {
  constexpr auto in_name = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
  };
  constexpr std::string_view spelling = type_spelling<Named<member<T, I>>>;
  std::size_t end = spelling.size();
  while (end > 0 && !in_name(spelling[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && in_name(spelling[begin - 1])) --begin;
  return spelling.substr(begin, end - begin);
}

}  // namespace sluice::aggregate
