// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>

struct Bad {
  explicit Bad(sluice::Allocator<> a) : label{a} {}
  Bad(int, int) {}
  sluice::String label;
};

void build(sluice::Vector<Bad>& all) { all.emplace_back(1, 2); }
