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
// The names: z, preceded by a name for each of N - 1, as many 64s, 16s, 4s and ones as it has.
#define SLUICE_NAME(x) x
#define SLUICE_TYPE(x) decltype(x)
#define SLUICE_1(X, p) X(p)
#define SLUICE_4(X, p) X(p##0), X(p##1), X(p##2), X(p##3)
#define SLUICE_16(X, p) SLUICE_4(X, p##0), SLUICE_4(X, p##1), SLUICE_4(X, p##2), SLUICE_4(X, p##3)
#define SLUICE_64(X, p) \
  SLUICE_16(X, p##0), SLUICE_16(X, p##1), SLUICE_16(X, p##2), SLUICE_16(X, p##3)
#define SLUICE_TIMES0(M, X, p)
#define SLUICE_TIMES1(M, X, p) M(X, p##0),
#define SLUICE_TIMES2(M, X, p) M(X, p##0), M(X, p##1),
#define SLUICE_TIMES3(M, X, p) M(X, p##0), M(X, p##1), M(X, p##2),
#define SLUICE_ALL(X, d, c, b, a)                                   \
  SLUICE_TIMES##d(SLUICE_64, X, w) SLUICE_TIMES##c(SLUICE_16, X, v) \
      SLUICE_TIMES##b(SLUICE_4, X, u) SLUICE_TIMES##a(SLUICE_1, X, t) X(z)
#define SLUICE_CASE(d, c, b, a)                                                                  \
  if constexpr ((N - 1) % 4 == a) {                                                              \
    auto& [SLUICE_ALL(SLUICE_NAME, d, c, b, a)] = object;                                        \
    return members_at<SLUICE_ALL(SLUICE_TYPE, d, c, b, a)>(SLUICE_ALL(SLUICE_NAME, d, c, b, a)); \
  }
#define SLUICE_FOUR(d, c, b)            \
  if constexpr ((N - 1) / 4 % 4 == b) { \
    SLUICE_CASE(d, c, b, 0)             \
    SLUICE_CASE(d, c, b, 1)             \
    SLUICE_CASE(d, c, b, 2)             \
    SLUICE_CASE(d, c, b, 3)             \
  }
#define SLUICE_SIXTEEN(d, c)                 \
  if constexpr ((N - 1) / 16 == 4 * d + c) { \
    SLUICE_FOUR(d, c, 0)                     \
    SLUICE_FOUR(d, c, 1)                     \
    SLUICE_FOUR(d, c, 2)                     \
    SLUICE_FOUR(d, c, 3)                     \
  }
  if constexpr (N == 0) return static_cast<void>(object), Members<>{};
  SLUICE_SIXTEEN(0, 0)
  SLUICE_SIXTEEN(0, 1)
  SLUICE_SIXTEEN(0, 2)
  SLUICE_SIXTEEN(0, 3)
  SLUICE_SIXTEEN(1, 0)
  SLUICE_SIXTEEN(1, 1)
  SLUICE_SIXTEEN(1, 2)
  SLUICE_SIXTEEN(1, 3)
#undef SLUICE_SIXTEEN
#undef SLUICE_FOUR
#undef SLUICE_CASE
#undef SLUICE_ALL
#undef SLUICE_TIMES3
#undef SLUICE_TIMES2
#undef SLUICE_TIMES1
#undef SLUICE_TIMES0
#undef SLUICE_64
#undef SLUICE_16
#undef SLUICE_4
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
  // Only comparisons of addresses in one object are folded, no cast from `void*`; and Clang folds
  // those only where __builtin_constant_p asks for it.
  std::size_t low = 0;
  std::size_t high = sizeof(T);
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    const void* byte = &specimen<T>.bytes[middle];
    if (__builtin_constant_p(byte < address) ? byte < address : byte < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/// Brings a member into the spelling of a type: "… Named<Member<A>{(… &
/// specimen<A>.….value.A::x)}>", or with Clang "… Named<{&specimen.value.x}>".
template <auto member>
struct Named {};

/// The name of the member with index `I`: the last name in that spelling.
template <typename T, std::size_t I>
consteval std::string_view name() {
  constexpr std::string_view text = type_spelling<Named<member<T, I>>>;
  std::size_t end = text.size();
  while (end > 0 && !spelling::is_word(text[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && spelling::is_word(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

}  // namespace sluice::aggregate
