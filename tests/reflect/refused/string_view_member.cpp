// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>
#include <string_view>

struct Bad {
  float a[361];
  std::string_view label;
};

static_assert(sluice::require_payload<Bad>());
