// SPDX-License-Identifier: Apache-2.0
//
// What the type argument of a port stands for: `T`, a plain payload; `T[]`, a slice of them; or a
// class with containers (sluice/containers.hpp).
#pragma once

#include <cstdint>
#include <cstring>
#include <new>
#include <sluice/container/dynamic_payload.hpp>
#include <sluice/memory/container_words.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/handle.hpp>
#include <sluice/reflect/schema.hpp>
#include <sluice/service/service.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace sluice {

template <typename T>
inline constexpr bool is_slice = std::is_unbounded_array_v<T>;

/// What a payload of type `T` is copied from: a value, or the elements of a slice.
template <typename T>
using Original =
    std::conditional_t<is_slice<T>, std::span<const std::remove_extent_t<T>>, const T&>;

/// A loan of `port` that holds a copy of `original`; `for_whom`: what else `port->loan` asks for.
template <typename T, typename P, typename... Whom>
[[nodiscard]] Loaned loan_copy(P* port, Original<T> original, Whom... for_whom) noexcept {
  if constexpr (is_slice<T>) {
    const Loaned loaned = port->loan_slice(for_whom..., original.size());
    if (loaned.payload != nullptr && !original.empty()) {
      std::memcpy(loaned.payload, original.data(), original.size_bytes());
    }
    return loaned;
  } else {
    const Loaned loaned = port->loan(for_whom...);
    if (loaned.payload != nullptr) new (loaned.payload) T(original);
    return loaned;
  }
}

/// Does not compile unless `T` can be the type argument of a port: the message says why not.
template <typename T>
consteval bool require_port_payload() {
  using Element = std::remove_extent_t<T>;
  if constexpr (is_slice<T>) {
    static_assert(!DynamicPayload<Element>,
                  "sluice: elements of a slice have no containers; use a payload with a Vector of "
                  "them");
    if constexpr (!DynamicPayload<Element>) static_assert(require_payload<Element>());
  } else {
    static_assert(require_element<T>());
  }
  static_assert(alignof(Element) <= kMaxPayloadAlignment,
                "sluice: a payload's alignment is at most 4096 bytes");
  return true;
}

/// The service's schema of payload type `T`.
template <typename T>
[[nodiscard]] Schema port_schema() {
  if constexpr (is_slice<T>) {
    return slice_schema(schema_of<std::remove_extent_t<T>>());
  } else if constexpr (DynamicPayload<T>) {
    return make_schema(type_spelling<T>, walk::describe_member<T>("value", 0));
  } else {
    return schema_of<T>();
  }
}

/// The service `name` of payloads, or requests, of type `T`, and responses of type `R`.
template <typename T, typename R = void>
[[nodiscard]] ServiceDescription service_of(Pattern pattern, std::string_view name) {
  ServiceDescription service{
      .pattern = pattern, .name = std::string(name), .schema = port_schema<T>()};
  if constexpr (!std::is_void_v<R>) service.response = port_schema<R>();
  return service;
}

/// How payloads of type `T` lie in slots. `heap_bytes` is address space for what is not in the
/// slot. Of a class with containers, the first call in a process builds a specimen, and aborts with
/// a message if it cannot be shared.
template <typename T>
[[nodiscard]] PayloadLayout port_layout(std::uint64_t heap_bytes = 0) {
  using Element = std::remove_extent_t<T>;
  PayloadLayout layout{.bytes = sizeof(Element), .alignment = alignof(Element)};
  layout.heap_bytes = heap_bytes;
  if constexpr (is_slice<T>) layout.shape = PayloadShape::slice;
  if constexpr (!is_slice<T> && DynamicPayload<T>) {
    containers_in<T>().complete();
    layout.shape = PayloadShape::dynamic;
    layout.destroy = [](void* payload) { static_cast<T*>(payload)->~T(); };
    layout.check = [](const void* payload, const std::byte* begin, std::size_t bytes) {
      return check_containers(*static_cast<const T*>(payload), begin, bytes);
    };
  }
  return layout;
}

}  // namespace sluice
