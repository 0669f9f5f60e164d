// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <sluice/reflect/type.hpp>
#include <system_error>

struct Bad {
  int a;
  std::optional<std::error_code> outcome;
};

static_assert(sluice::require_payload<Bad>());
