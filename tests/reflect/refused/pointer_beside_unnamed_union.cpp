// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Bad {
  union {
    int a;
    float b;
  };
  int* target;
};

static_assert(sluice::require_payload<Bad>());
