// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sluice {

/// Which services a port may join. One exists as long as somebody who lives is in it; what the dead
/// have left is none, and is removed.
enum class OpenMode : std::uint8_t {
  open_or_create,  ///< The one that exists, or a new one.
  open_only,       ///< The one that exists; where there is none, Errc::not_found.
  create_only,     ///< A new one; where one exists, Errc::already_exists. One of many gets it.
};

}  // namespace sluice
