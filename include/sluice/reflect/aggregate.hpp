// SPDX-License-Identifier: Apache-2.0
//
// The members of an aggregate, found at compile time: how many, of which types, at which offsets
// and under which names. The idea is that of Boost.PFR (Antony Polukhin).
//
// A structured binding needs the number of members beforehand. Counting asks whether `T{{}, {}}`
// compiles: `{}` initialises exactly one member, also an array of a million elements, so brace
// elision never comes into play, and since the answer is monotonic a bisection finds the number.
// Members that `{}` cannot initialise (references, classes without a default constructor) are
// counted with an object that converts to anything instead.
//
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice::aggregate {

inline constexpr std::size_t kMaxMembers = 128;

/// How far the members of an aggregate can be examined.
enum class Shape : unsigned char {
  walkable,  ///< Count, types, offsets.
  closed,    ///< Members exist one by one, but cannot be bound: a base class with members, an
             ///< anonymous union or struct.
  too_many,  ///< More than `kMaxMembers`.
  unknown,   ///< A member has no default value, and its place cannot be told from its neighbours'.
};

struct Count {
  Shape shape = Shape::walkable;
  std::size_t initialisers = 0;  ///< Base classes and members.
  std::size_t members = 0;       ///< Without base classes; 0 unless walkable.
};

/// The compiler's spelling of a type; see `normalised_type_name` for one that compilers agree on.
template <typename T>
consteval std::string_view spelling() {
  constexpr std::string_view function = __PRETTY_FUNCTION__;
  constexpr std::size_t begin = function.find("T = ") + 4;
#if defined(__clang__)
  return function.substr(begin, function.size() - 1 - begin);
#else
  constexpr std::size_t end = function.find("; std::string_view = ", begin);
  return function.substr(begin, (end < function.size() ? end : function.size() - 1) - begin);
#endif
}

// What follows stands for an initialiser in unevaluated expressions; nothing is ever called.

template <typename T>
struct Anything {
  template <typename U>
  operator U&() const& noexcept;  // NOLINT
  template <typename U>
  requires(!std::is_same_v<U, T>) operator U() const&& noexcept;  // NOLINT
};

template <typename T>
struct AnyBase {
  template <typename U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>) operator U() const noexcept;  // NOLINT
};

template <typename T>
struct AnyBaseWithMembers {
  template <typename U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T> && !std::is_empty_v<U>) operator U()
      const noexcept;  // NOLINT
};

/// Is U a union or struct without a name, declared inside T?
template <typename U, typename T>
consteval bool unnamed_inside() {
  constexpr std::string_view outer = spelling<T>();
  constexpr std::string_view inner = spelling<U>();
  if (!inner.starts_with(outer)) return false;
  constexpr std::string_view rest = inner.substr(outer.size() < inner.size() ? outer.size() : 0);
  return rest.starts_with("::<") || rest.starts_with("::(");
}

template <typename T>
struct AnyUnnamed {
  template <typename U>
  requires((std::is_union_v<U> || std::is_class_v<U>)&&unnamed_inside<U, T>()) operator U()
      const noexcept;  // NOLINT
};

/// Does `T{{}, … N times …, Last{}}` compile?
template <typename T, std::size_t N, typename... Last>
consteval bool initialises() {
#define SLUICE_CASE(n, ...)                   \
  if constexpr (N % 8 == n) return requires { \
      T{__VA_ARGS__ Last{}...};               \
    };
#define SLUICE_EIGHT(n, ...)                                \
  if constexpr (N / 8 == n) {                               \
    SLUICE_CASE(0, __VA_ARGS__)                             \
    SLUICE_CASE(1, __VA_ARGS__{}, )                         \
    SLUICE_CASE(2, __VA_ARGS__{}, {}, )                     \
    SLUICE_CASE(3, __VA_ARGS__{}, {}, {}, )                 \
    SLUICE_CASE(4, __VA_ARGS__{}, {}, {}, {}, )             \
    SLUICE_CASE(5, __VA_ARGS__{}, {}, {}, {}, {}, )         \
    SLUICE_CASE(6, __VA_ARGS__{}, {}, {}, {}, {}, {}, )     \
    SLUICE_CASE(7, __VA_ARGS__{}, {}, {}, {}, {}, {}, {}, ) \
  }
#define SLUICE_B8 {}, {}, {}, {}, {}, {}, {}, {},
#define SLUICE_B16 SLUICE_B8 SLUICE_B8
#define SLUICE_B32 SLUICE_B16 SLUICE_B16
#define SLUICE_B64 SLUICE_B32 SLUICE_B32
  SLUICE_EIGHT(0, )
  SLUICE_EIGHT(1, SLUICE_B8)
  SLUICE_EIGHT(2, SLUICE_B16)
  SLUICE_EIGHT(3, SLUICE_B16 SLUICE_B8)
  SLUICE_EIGHT(4, SLUICE_B32)
  SLUICE_EIGHT(5, SLUICE_B32 SLUICE_B8)
  SLUICE_EIGHT(6, SLUICE_B32 SLUICE_B16)
  SLUICE_EIGHT(7, SLUICE_B32 SLUICE_B16 SLUICE_B8)
  SLUICE_EIGHT(8, SLUICE_B64)
  SLUICE_EIGHT(9, SLUICE_B64 SLUICE_B8)
  SLUICE_EIGHT(10, SLUICE_B64 SLUICE_B16)
  SLUICE_EIGHT(11, SLUICE_B64 SLUICE_B16 SLUICE_B8)
  SLUICE_EIGHT(12, SLUICE_B64 SLUICE_B32)
  SLUICE_EIGHT(13, SLUICE_B64 SLUICE_B32 SLUICE_B8)
  SLUICE_EIGHT(14, SLUICE_B64 SLUICE_B32 SLUICE_B16)
  SLUICE_EIGHT(15, SLUICE_B64 SLUICE_B32 SLUICE_B16 SLUICE_B8)
  SLUICE_EIGHT(16, SLUICE_B64 SLUICE_B64)
#undef SLUICE_B64
#undef SLUICE_B32
#undef SLUICE_B16
#undef SLUICE_B8
#undef SLUICE_EIGHT
#undef SLUICE_CASE
}

template <typename T, std::size_t Low, std::size_t High>
consteval std::size_t bisect() {  // initialises<T, Low>(), and not with more than High
  if constexpr (Low == High) {
    return Low;
  } else if constexpr (initialises<T, (Low + High + 1) / 2>()) {
    return bisect<T, (Low + High + 1) / 2, High>();
  } else {
    return bisect<T, Low, (Low + High + 1) / 2 - 1>();
  }
}

template <typename T, std::size_t>
using Nth = Anything<T>;

template <typename T, std::size_t... I>
consteval bool converts(std::index_sequence<I...>) {
  return requires { T{Nth<T, I>{}...}; };
}

/// The same with braces around the initialiser between the others.
template <typename T, std::size_t... I, std::size_t... J>
consteval bool converts_braced(std::index_sequence<I...>, std::index_sequence<J...>) {
  return requires { T{Nth<T, I>{}..., {Anything<T>{}}, Nth<T, J>{}...}; };
}

/// Does the initialiser at `I` of `N` belong to an array? Then with braces it takes the place of
/// several.
template <typename T, std::size_t I, std::size_t N>
consteval bool starts_array() {
  constexpr auto shorter = []<std::size_t... R>(std::index_sequence<R...>) {
    return (... ||
            converts_braced<T>(std::make_index_sequence<I>{}, std::make_index_sequence<R>{}));
  };
  return !converts_braced<T>(std::make_index_sequence<I>{},
                             std::make_index_sequence<N - 1 - I>{}) &&
         shorter(std::make_index_sequence<N - 1 - I>{});
}

template <typename T, std::size_t N = kMaxMembers>
consteval Count count_by_conversion() {
  if constexpr (N == 0 || requires { T{AnyBase<T>{}}; }) {
    return {Shape::unknown, 0, 0};
  } else if constexpr (!converts<T>(std::make_index_sequence<N>{})) {
    return count_by_conversion<T, N - 1>();
  } else {
    constexpr bool arrays = []<std::size_t... I>(std::index_sequence<I...>) {
      return (... || starts_array<T, I, N>());
    }
    (std::make_index_sequence<N>{});
    return {arrays ? Shape::unknown : Shape::walkable, N, arrays ? 0 : N};
  }
}

template <typename T, std::size_t I = 0>
consteval std::size_t count_bases() {
  if constexpr (initialises<T, I, AnyBase<T>>()) {
    return count_bases<T, I + 1>();
  } else {
    return I;
  }
}

template <typename T, std::size_t... I>
consteval bool can_be_bound(std::index_sequence<I...>) {
  return !(... || initialises<T, I, AnyUnnamed<T>>());
}

template <typename T, std::size_t... I>
consteval bool has_base_with_members(std::index_sequence<I...>) {
  return (... || initialises<T, I, AnyBaseWithMembers<T>>());
}

template <typename T>
consteval Count count_members() {
  if constexpr (std::is_union_v<T>) {
    return {Shape::closed, initialises<T, 1>() ? 1 : 0, 0};
  } else if constexpr (!initialises<T, 0>()) {
    return count_by_conversion<T>();
  } else {
    constexpr std::size_t initialisers = bisect<T, 0, kMaxMembers + 1>();
    if constexpr (initialisers > kMaxMembers) {
      return {Shape::too_many, initialisers, 0};
    } else if constexpr (initialises<T, initialisers, Anything<T>>()) {
      return count_by_conversion<T>();
    } else {
      constexpr std::size_t bases = count_bases<T>();
      if (has_base_with_members<T>(std::make_index_sequence<bases>{}) ||
          !can_be_bound<T>(std::make_index_sequence<initialisers>{})) {
        return {Shape::closed, initialisers, 0};
      }
      return {Shape::walkable, initialisers, initialisers - bases};
    }
  }
}

template <typename T>
inline constexpr Count count = count_members<T>();

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

/// The last name in the spelling: "… = Member<A>{(… & specimen<A>.….value.A::x)}", or with Clang
/// "… = {&specimen.value.x}".
template <auto member>
consteval std::string_view name_of() {
  constexpr auto in_name = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '$' || static_cast<unsigned char>(c) >= 0x80;
  };
  std::string_view function = __PRETTY_FUNCTION__;
  function = function.substr(0, function.find("; std::string_view = "));
  std::size_t end = function.size();
  while (end > 0 && !in_name(function[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && in_name(function[begin - 1])) --begin;
  return function.substr(begin, end - begin);
}

/// The name of the member with index `I`.
template <typename T, std::size_t I>
consteval std::string_view name() {
  return name_of<member<T, I>>();
}

}  // namespace sluice::aggregate
