// SPDX-License-Identifier: Apache-2.0
//
// What the compiler says where a type is no payload. The arguments of `refuse` name the class, the
// member and the reason.
#pragma once

#include <cstddef>
#include <sluice/reflect/aggregate.hpp>
#include <sluice/reflect/type_fault.hpp>
#include <type_traits>
#include <utility>

namespace sluice::walk {

/// In place of an `aggregate::Member`.
struct TypeItself {};
struct Reference {
  std::size_t index;
};
struct BaseOrMember {
  std::size_t index;
};

template <typename Class, typename Type, auto member, TypeFault reason>
consteval void refuse() {
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
  static_assert(reason != TypeFault::bound_to_process,
                "sluice: a payload may not hold what belongs to one process (locks and what else "
                "threads wait with, their ids, std::error_code, std::type_index, std::locale); "
                "hold a value that means the same in all of them, as the number of an error");
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
}

/// Has the compiler say which member is a reference or another that has no default value.
template <typename T>
consteval void name_what_has_no_default() {
  if constexpr (!aggregate::initialises<T, 0>()) static_cast<void>(T{});
}

/// Refuses `T`, the type of `member` in `Class`, or those of its members that are at fault, if any.
template <typename T, typename Class = T, auto member = TypeItself{}>
consteval void explain();

template <typename T, typename... Types, std::size_t... I>
consteval void explain_members(aggregate::Members<Types...>*, std::index_sequence<I...>) {
  if constexpr ((... || std::is_reference_v<Types>)) {  // The addresses are no constants then.
    (explain<Innermost<Types>, T, Reference{I}>(), ...);
    name_what_has_no_default<T>();
  } else {
    (explain<Innermost<Types>, T, aggregate::member<T, I>>(), ...);
  }
}

template <typename T, std::size_t... I>
consteval void explain_closed(std::index_sequence<I...>) {
  constexpr auto reason = [](bool faulty) { return faulty ? TypeFault::member : TypeFault::none; };
  (refuse<T, T, BaseOrMember{I}, reason(aggregate::initialises<T, I, AnyFaulty<T>>())>(), ...);
}

template <typename T, typename Class, auto member>
consteval void explain() {
  if constexpr (fault<T> == TypeFault::unknown_members) name_what_has_no_default<T>();
  if constexpr (is_seen_as_another<T>) {
    explain<typename SeenAs<T>::Type, Class, member>();
  } else if constexpr (fault<T> != TypeFault::member) {
    refuse<Class, T, member, fault<T>>();
  } else if constexpr (is_walked<T>()) {
    explain_members<T>(static_cast<aggregate::MembersOf<T>*>(nullptr),
                       std::make_index_sequence<aggregate::count<T>.members>{});
  } else {
    explain_closed<T>(std::make_index_sequence<aggregate::count<T>.initialisers>{});
  }
}

}  // namespace sluice::walk
