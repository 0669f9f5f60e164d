// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>

struct Bad {
  Bad(sluice::Allocator<> a) : label{a} {}
  sluice::String label;
};

sluice::Vector<Bad> all;
