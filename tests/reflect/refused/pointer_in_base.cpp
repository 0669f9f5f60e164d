// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Base {
  int* target;
};

struct Bad : Base {
  double b;
};

static_assert(sluice::require_payload<Bad>());
