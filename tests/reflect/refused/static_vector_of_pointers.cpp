// SPDX-License-Identifier: Apache-2.0
#include <sluice/container/static_vector.hpp>

struct Bad {
  int a;
  sluice::StaticVector<const char*, 4> labels;
};

static_assert(sluice::require_payload<Bad>());
