// SPDX-License-Identifier: Apache-2.0
#include <mutex>
#include <sluice/reflect/type.hpp>

struct Bad {
  int a;
  std::mutex lock;
};

static_assert(sluice::require_payload<Bad>());
