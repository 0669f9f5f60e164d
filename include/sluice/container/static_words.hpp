// SPDX-License-Identifier: Apache-2.0
//
// What the containers of fixed capacity consist of. The schema shows these members in place of the
// private ones of the classes around them:
//
//    0        4                                  0      4 (or the alignment of T)
//   | size   | characters … zero bytes |        | size | element 0 | … | element N - 1 |
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <sluice/core/error.hpp>
#include <sluice/reflect/type_fault.hpp>
#include <type_traits>

namespace sluice {

template <std::size_t N>
class StaticString;
template <typename T, std::size_t N>
class StaticVector;

template <std::size_t N>
struct StaticStringWords {
  std::uint32_t size;
  char characters[N + 1];
};
template <typename T, std::size_t N>
struct StaticVectorWords {
  std::uint32_t size;
  T elements[N];
};

template <std::size_t N>
struct walk::SeenAs<StaticString<N>> {
  using Type = StaticStringWords<N>;
};
template <typename T, std::size_t N>
struct walk::SeenAs<StaticVector<T, N>> {
  using Type = StaticVectorWords<T, N>;
};

/// `size` as far as `capacity` goes. Read once: a peer may write it at any moment, and what was
/// compared has to be what is used.
[[nodiscard]] constexpr std::size_t clamped_size(const std::uint32_t& size,
                                                 std::size_t capacity) noexcept {
  if (std::is_constant_evaluated()) return size;
  // Relaxed: what was received came with an acquire, and no other order is needed.
  return std::min<std::size_t>(__atomic_load_n(&size, __ATOMIC_RELAXED), capacity);
}

/// Ends the program where more is put into a container than it has room for.
[[noreturn, gnu::cold, gnu::noinline]] inline void abort_beyond_capacity(
    const char* container, std::size_t needed, std::size_t capacity) noexcept {
  char message[160];
  std::snprintf(message, sizeof message,
                "a sluice::%s has room for %zu, %zu are needed: give it a larger capacity, or use "
                "what returns false then (try_push_back, append, assign)",
                container, capacity, needed);
  abort_with(message);
}

}  // namespace sluice
