// SPDX-License-Identifier: Apache-2.0
//
// How many members an aggregate has, found at compile time. The idea is that of Boost.PFR (Antony
// Polukhin).
//
// Counting asks whether `T{{}, {}}` compiles: `{}` initialises exactly one member, also an array of
// a million elements, so brace elision never comes into play, and since the answer is monotonic a
// bisection finds the number. Members that `{}` cannot initialise (references, classes without a
// default constructor) are counted with an object that converts to anything instead.
#pragma once

#include <cstddef>
#include <sluice/reflect/type_name.hpp>
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

// What follows stands for an initialiser in unevaluated expressions; nothing is ever called.

template <typename T>
struct Anything {
  template <typename U>
  operator U&() const& noexcept;  // NOLINT
  template <typename U>
  requires(!std::is_same_v<U, T>) operator U() const&& noexcept;  // NOLINT
};

template <typename T, bool with_members = false>
struct AnyBase {
  template <typename U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T> &&
           !(with_members && std::is_empty_v<U>))
  operator U() const noexcept;  // NOLINT
};

/// Is U a union or struct without a name, declared inside T?
template <typename U, typename T>
consteval bool unnamed_inside() {
  constexpr std::string_view outer = type_spelling<T>;
  constexpr std::string_view inner = type_spelling<U>;
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
  if constexpr (N % 4 == n) return requires { \
      T{__VA_ARGS__ Last{}...};               \
    };
#define SLUICE_FOUR(n, ...)                 \
  if constexpr (N / 4 % 4 == n) {           \
    SLUICE_CASE(0, __VA_ARGS__)             \
    SLUICE_CASE(1, __VA_ARGS__{}, )         \
    SLUICE_CASE(2, __VA_ARGS__{}, {}, )     \
    SLUICE_CASE(3, __VA_ARGS__{}, {}, {}, ) \
  }
#define SLUICE_B4 {}, {}, {}, {},
#define SLUICE_SIXTEEN(n, ...)                                \
  if constexpr (N / 16 == n) {                                \
    SLUICE_FOUR(0, __VA_ARGS__)                               \
    SLUICE_FOUR(1, __VA_ARGS__ SLUICE_B4)                     \
    SLUICE_FOUR(2, __VA_ARGS__ SLUICE_B4 SLUICE_B4)           \
    SLUICE_FOUR(3, __VA_ARGS__ SLUICE_B4 SLUICE_B4 SLUICE_B4) \
  }
#define SLUICE_B16 SLUICE_B4 SLUICE_B4 SLUICE_B4 SLUICE_B4
#define SLUICE_B64 SLUICE_B16 SLUICE_B16 SLUICE_B16 SLUICE_B16
  SLUICE_SIXTEEN(0, )
  SLUICE_SIXTEEN(1, SLUICE_B16)
  SLUICE_SIXTEEN(2, SLUICE_B16 SLUICE_B16)
  SLUICE_SIXTEEN(3, SLUICE_B16 SLUICE_B16 SLUICE_B16)
  SLUICE_SIXTEEN(4, SLUICE_B64)
  SLUICE_SIXTEEN(5, SLUICE_B64 SLUICE_B16)
  SLUICE_SIXTEEN(6, SLUICE_B64 SLUICE_B16 SLUICE_B16)
  SLUICE_SIXTEEN(7, SLUICE_B64 SLUICE_B16 SLUICE_B16 SLUICE_B16)
  SLUICE_SIXTEEN(8, SLUICE_B64 SLUICE_B64)
#undef SLUICE_B64
#undef SLUICE_B16
#undef SLUICE_SIXTEEN
#undef SLUICE_B4
#undef SLUICE_FOUR
#undef SLUICE_CASE
}

/// Does `T{{}, … I times …, Probe{}}` compile for an I below N?
template <typename T, typename Probe, std::size_t N>
consteval bool initialises_below() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return (... || initialises<T, I, Probe>());
  }
  (std::make_index_sequence<N>{});
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

template <typename U, typename T>
struct AnyBetween {
  template <typename V>
  requires(std::is_base_of_v<U, V>&& std::is_base_of_v<V, T> && !std::is_same_v<V, T>) operator V()
      const noexcept;  // NOLINT
};

/// Initialises no base class at `I`, but a member of the type of one: an initialiser before it is
/// of that type, or of one that is derived from it.
template <typename T, std::size_t I>
struct AnyBaseAsMember {
  template <typename U>
  requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T> && std::is_convertible_v<T*, U*> &&
           initialises_below<T, AnyBetween<U, T>, I>())
  operator U() const noexcept;  // NOLINT
};

template <typename T, std::size_t I = 0>
consteval std::size_t count_bases() {
  if constexpr (initialises<T, I, AnyBase<T>>() && !initialises<T, I, AnyBaseAsMember<T, I>>()) {
    return count_bases<T, I + 1>();
  } else {
    return I;
  }
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
      if (initialises_below<T, AnyBase<T, true>, bases>() ||
          initialises_below<T, AnyUnnamed<T>, initialisers>()) {
        return {Shape::closed, initialisers, 0};
      }
      return {Shape::walkable, initialisers, initialisers - bases};
    }
  }
}

template <typename T>
inline constexpr Count count = count_members<T>();

}  // namespace sluice::aggregate
