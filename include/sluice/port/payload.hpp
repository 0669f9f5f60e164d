// SPDX-License-Identifier: Apache-2.0
//
// What the type argument of a port stands for: `T`, a plain payload, or `T[]`, a slice of them.
#pragma once

#include <cstdint>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/service/schema.hpp>
#include <type_traits>

namespace sluice {

template <typename T>
inline constexpr bool is_slice = std::is_unbounded_array_v<T>;

/// Does not compile unless `T` can be the type argument of a port: the message says why not.
template <typename T>
consteval bool require_port_payload() {
  using Element = std::remove_extent_t<T>;
  static_assert(require_payload<Element>());
  static_assert(alignof(Element) <= kMaxPayloadAlignment,
                "sluice: a payload's alignment is at most 4096 bytes");
  return true;
}

/// The service's schema of payload type `T`.
template <typename T>
[[nodiscard]] Schema port_schema() {
  if constexpr (is_slice<T>) {
    return slice_schema(schema_of<std::remove_extent_t<T>>());
  } else {
    return schema_of<T>();
  }
}

/// How payloads of type `T` lie in slots. `heap_bytes` is address space for what is not in the
/// slot.
template <typename T>
[[nodiscard]] constexpr PayloadLayout port_layout(std::uint64_t heap_bytes = 0) noexcept {
  using Element = std::remove_extent_t<T>;
  return {.bytes = sizeof(Element),
          .alignment = alignof(Element),
          .shape = is_slice<T> ? PayloadShape::slice : PayloadShape::plain,
          .heap_bytes = heap_bytes};
}

}  // namespace sluice
