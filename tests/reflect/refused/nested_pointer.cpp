// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Inner {
  int a;
  int* target;
};

struct Bad {
  double b;
  Inner inner[3];
};

static_assert(sluice::require_payload<Bad>());
