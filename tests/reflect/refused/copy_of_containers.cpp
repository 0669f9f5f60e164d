// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>

struct Cloud {
  explicit Cloud(sluice::Allocator<> allocator) : points(allocator) {}
  sluice::Vector<int> points;
};

auto send(sluice::Client<Cloud, int>& client, const Cloud& cloud) { return client.send(cloud); }
