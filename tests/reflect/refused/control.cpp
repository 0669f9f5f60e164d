// SPDX-License-Identifier: Apache-2.0
//
// Compiles: a check whose command is broken cannot pass.
#include <array>
#include <sluice/reflect/type.hpp>

struct Inner {
  std::array<int, 3> counts;
};

struct Good {
  int a;
  char name[32];
  Inner inner[2];
};

static_assert(sluice::require_payload<Good>());
