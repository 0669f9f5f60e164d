// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>

struct Cloud {
  explicit Cloud(sluice::Allocator<> allocator) : points(allocator) {}
  sluice::Vector<int> points;
};

template class sluice::Producer<Cloud[]>;
