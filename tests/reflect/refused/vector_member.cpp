// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>
#include <vector>

struct Bad {
  int a;
  std::vector<int> ranges;
};

static_assert(sluice::require_payload<Bad>());
