// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Bad {
  float a[361];
  const char* label;
};

static_assert(sluice::require_payload<Bad>());
