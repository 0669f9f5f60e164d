// SPDX-License-Identifier: Apache-2.0
//
// What a file says of itself: written by its owner before the file can be seen, and not meant to
// change. A hostile owner can change it all the same. So there is one way to read it: a copy, each
// word of which was loaded once, to be checked and then used in place of the words.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace sluice {

/// `T` in shared memory.
template <typename T>
class FixedWords {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(std::uint64_t) == 0);

 public:
  /// Owner: before the file can be seen.
  void write(const T& value) noexcept { value_ = value; }
  /// Owner and peer.
  [[nodiscard]] T read() const noexcept {
    std::array<std::uint64_t, sizeof(T) / sizeof(std::uint64_t)> copy;
    const auto* words = reinterpret_cast<const Word*>(&value_);
    // relaxed: linking the file handed them on; whoever changes them later orders nothing.
    for (std::size_t i = 0; i < copy.size(); ++i) {
      copy[i] = __atomic_load_n(words + i, __ATOMIC_RELAXED);
    }
    return std::bit_cast<T>(copy);
  }

 private:
  using Word [[gnu::may_alias]] = std::uint64_t;

  alignas(std::uint64_t) T value_;
};

}  // namespace sluice
