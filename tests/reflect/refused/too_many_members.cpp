// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

#define EIGHT(n) n##0, n##1, n##2, n##3, n##4, n##5, n##6, n##7
#define SIXTY_FOUR(n)                                                                        \
  EIGHT(n##0), EIGHT(n##1), EIGHT(n##2), EIGHT(n##3), EIGHT(n##4), EIGHT(n##5), EIGHT(n##6), \
      EIGHT(n##7)

struct Bad {
  int SIXTY_FOUR(a), SIXTY_FOUR(b);
  int* target;
};

static_assert(sluice::require_payload<Bad>());
