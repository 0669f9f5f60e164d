// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>
#include <span>

struct Bad {
  double a;
  std::span<const float> ranges;
};

static_assert(sluice::require_payload<Bad>());
