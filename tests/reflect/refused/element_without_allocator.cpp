// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>

struct Bad {
  sluice::String label;
  int a;
};

sluice::Vector<Bad> labels;
