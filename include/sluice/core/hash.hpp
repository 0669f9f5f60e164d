// SPDX-License-Identifier: Apache-2.0
//
// The hash of names: FNV-1a (Fowler, Noll, Vo). It is part of what lies in shared memory.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace sluice
