// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Bad {
  float a[361];
  const int& target;
};

static_assert(sluice::require_payload<Bad>());
