// SPDX-License-Identifier: Apache-2.0
//
// Why a type cannot be shared between processes: its own kind is at fault, or one of its members
// is, which are found by a walk through aggregates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <sluice/reflect/aggregate.hpp>
#include <sluice/reflect/type_name.hpp>
#include <string_view>
#include <type_traits>

namespace sluice {

/// Specialise as `true` to vouch for a type that the walk refuses: it becomes an opaque field.
template <typename T>
inline constexpr bool shared_memory_safe = false;

/// Why a type is no payload.
enum class TypeFault : std::uint8_t {
  none,
  not_an_object,
  pointer,
  reference,
  polymorphic,
  pointer_inside,    ///< A class that is known, or by its template arguments seen, to have one.
  bound_to_process,  ///< Known by its name: a lock, a thread's id, an error code, …
  not_trivially_copyable,
  too_many_members,  ///< More than `aggregate::kMaxMembers`.
  unknown_members,   ///< An aggregate that cannot be examined.
  member,            ///< One of its members has a fault.
};

namespace walk {

/// What an array consists of; `Innermost` is an element of a nested one, without const.
template <typename T>
struct Element {
  using Innermost = T;
  static constexpr bool is_array = false;
};
template <typename T, std::size_t N>
struct Element<T[N]> {
  using Type = T;
  using Innermost = typename Element<std::remove_cv_t<T>>::Innermost;
  static constexpr bool is_array = true;
  static constexpr std::size_t extent = N;
};
template <typename T, std::size_t N>
requires(N > 0) struct Element<std::array<T, N>> : Element<T[N]> {
};
template <typename T>
using Innermost = typename Element<std::remove_cv_t<T>>::Innermost;

/// Classes that refer to memory elsewhere, though their bytes may be copied. Known by their names,
/// so that nothing has to be included to refuse them.
consteval bool refers_elsewhere(std::string_view spelling) {
  for (std::string_view word :
       {"*", "&", "string_view<", "::span<", "::mdspan<", "::reference_wrapper<",
        "::initializer_list<", "::coroutine_handle<", "::function_ref<", "iterator<", "lambda"}) {
    if (spelling.find(word) != std::string_view::npos) return true;
  }
  return false;
}

/// The aggregate with the same bytes that is walked in place of `T`; `T` itself unless specialised,
/// for a class with private members that the schema is to show.
template <typename T>
struct SeenAs {
  using Type = T;
};
template <typename T>
inline constexpr bool is_seen_as_another = !std::is_same_v<typename SeenAs<T>::Type, T>;

template <typename T>
consteval bool is_walked() {
  if constexpr (is_seen_as_another<T> && !shared_memory_safe<T>) {
    static_assert(sizeof(T) == sizeof(typename SeenAs<T>::Type));
    return is_walked<typename SeenAs<T>::Type>();
  } else if constexpr (shared_memory_safe<T> || std::is_union_v<T> || !std::is_aggregate_v<T>) {
    return false;
  } else {
    return aggregate::count<T>.shape == aggregate::Shape::walkable;
  }
}

/// Whether `name`, a whole one, is in namespace std or an inline namespace of it.
consteval bool is_of_std(std::string_view spelling, std::string_view name) {
  for (auto at = spelling.find(name); at < spelling.size(); at = spelling.find(name, at + 1)) {
    const std::string_view behind = spelling.substr(at + name.size());
    if (!behind.empty() && spelling::is_word(behind.front())) continue;
    for (std::string_view space : {"std::", "std::_V2::", "std::__1::"}) {
      const std::string_view before = spelling.substr(0, at);
      if (!before.ends_with(space)) continue;
      const auto outside = before.substr(0, before.size() - space.size());
      if (outside.empty() || !(spelling::is_word(outside.back()) || outside.back() == ':')) {
        return true;
      }
    }
  }
  return false;
}

/// Classes of the standard library that are of use in one process only, alone or among template
/// arguments: what waits does so by addresses of that process, the others hold pointers that cannot
/// be seen, and a thread's id is its address.
consteval bool belongs_to_one_process(std::string_view spelling) {
  for (std::string_view name : {"mutex",
                                "timed_mutex",
                                "recursive_mutex",
                                "recursive_timed_mutex",
                                "shared_mutex",
                                "shared_timed_mutex",
                                "condition_variable",
                                "condition_variable_any",
                                "once_flag",
                                "counting_semaphore",
                                "latch",
                                "barrier",
                                "thread",
                                "jthread",
                                "stop_token",
                                "stop_source",
                                "future",
                                "shared_future",
                                "promise",
                                "error_code",
                                "error_condition",
                                "type_index",
                                "locale",
                                "__exception_ptr::exception_ptr",
                                "exception_ptr"}) {
    if (is_of_std(spelling, name)) return true;
  }
  return false;
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

template <typename T>
consteval bool has_faulty_member() {
  if constexpr (is_walked<T>()) {
    return []<typename... Types>(aggregate::Members<Types...>*) {
      return (... || is_faulty<Types>);
    }(static_cast<aggregate::MembersOf<T>*>(nullptr));
  } else {
    return aggregate::initialises_below<T, AnyFaulty<T>, aggregate::count<T>.initialisers>();
  }
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
  } else if constexpr (is_seen_as_another<T>) {
    return fault<typename SeenAs<T>::Type>;
  } else if constexpr (std::is_polymorphic_v<T>) {
    return TypeFault::polymorphic;
  } else if constexpr (std::is_aggregate_v<T>) {
    if constexpr (aggregate::count<T>.shape == aggregate::Shape::unknown) {
      return TypeFault::unknown_members;
    } else if constexpr (aggregate::count<T>.shape == aggregate::Shape::too_many) {
      return TypeFault::too_many_members;
    } else if constexpr (has_faulty_member<T>()) {
      return TypeFault::member;
    }
  } else if constexpr (belongs_to_one_process(type_spelling<T>)) {
    return TypeFault::bound_to_process;
  } else if constexpr (refers_elsewhere(type_spelling<T>)) {
    return TypeFault::pointer_inside;
  }
  return std::is_trivially_copyable_v<T> ? TypeFault::none : TypeFault::not_trivially_copyable;
}

}  // namespace walk
}  // namespace sluice
