// SPDX-License-Identifier: Apache-2.0
#include <sluice/container/static_string.hpp>

struct Bad {
  sluice::StaticString<4> name = "lidar";
};
