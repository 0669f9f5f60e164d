// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>

struct Bad {
  int a;
  const char* label;
};

sluice::Map<int, Bad> labels;
