// SPDX-License-Identifier: Apache-2.0
//
// An entry of a ring that carries the position it was written for. One load of the entry tells
// whether the one that is looked for is there; nobody has to look at a counter first.
//
//    63                       24 23    0
//   +-----------------------------+-------+
//   | tag: position + 1, mod 2^40 | index |
//   +-----------------------------+-------+
//
// Memory full of zeros is a ring in which nothing was ever written. Every 2^40th tag is 0 as well.
//
// Source: the sequence number of D. Vyukov's bounded queue, in one word with the value.
#pragma once

#include <cstdint>

namespace sluice {

/// Packs and unpacks entries.
struct TaggedEntry {
  static constexpr unsigned kIndexBits = 24;
  static constexpr std::uint32_t kMaxIndex = (1U << kIndexBits) - 1;
  static constexpr std::uint64_t kTagMask = UINT64_MAX >> kIndexBits;

  /// Precondition: `index <= kMaxIndex`.
  static constexpr std::uint64_t pack(std::uint64_t position, std::uint32_t index) noexcept {
    return (tag_of(position) << kIndexBits) | index;
  }
  static constexpr std::uint64_t tag_of(std::uint64_t position) noexcept {
    return (position + 1) & kTagMask;
  }
  static constexpr std::uint64_t tag(std::uint64_t entry) noexcept { return entry >> kIndexBits; }
  static constexpr std::uint32_t index(std::uint64_t entry) noexcept {
    return static_cast<std::uint32_t>(entry) & kMaxIndex;
  }
  /// Whether `entry` stands for a position before `position`, up to 2^39 before; an entry that was
  /// never written does, while positions are below that.
  static constexpr bool is_before(std::uint64_t entry, std::uint64_t position) noexcept {
    return ((tag(entry) - tag_of(position)) & kTagMask) > kTagMask / 2;
  }
};

}  // namespace sluice
