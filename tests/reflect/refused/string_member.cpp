// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>
#include <string>

struct Bad {
  int a;
  std::string label;
};

static_assert(sluice::require_payload<Bad>());
