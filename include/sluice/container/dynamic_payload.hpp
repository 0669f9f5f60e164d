// SPDX-License-Identifier: Apache-2.0
//
// Payloads that hold containers: built by their sender in its file, read there by everyone.
#pragma once

#include <sluice/memory/allocator.hpp>
#include <sluice/reflect/type.hpp>

namespace sluice {

/// A class with containers, which takes the allocator for them in its constructor. What its other
/// members are cannot be seen: no pointers and no containers of the private heap, which is for its
/// author to see to.
template <typename T>
concept DynamicPayload = ConstructibleInHeap<T> && !Payload<T>;

/// Does not compile unless `T` may be an element of a container in shared memory, with a message
/// that names the member and the reason. Returns true.
template <typename T>
consteval bool require_element() {
  static_assert(!std::is_convertible_v<Allocator<>, T>,
                "sluice: the constructor from sluice::Allocator<> must be explicit");
  if constexpr (!ConstructibleInHeap<T>) static_assert(require_payload<T>());
  return true;
}

}  // namespace sluice
