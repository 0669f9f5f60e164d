// SPDX-License-Identifier: Apache-2.0
//
// The unit of coherence between cores, as the shared layouts fix it.
#pragma once

#include <cstddef>

namespace sluice {

/// Bytes between words that different processes write. Part of the layout: 64 on x86-64 and
/// aarch64.
inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace sluice
