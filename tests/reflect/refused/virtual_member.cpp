// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>

struct Shape {
  virtual int sides() const;
  int a;
};

struct Bad {
  int a;
  Shape shape;
};

static_assert(sluice::require_payload<Bad>());
