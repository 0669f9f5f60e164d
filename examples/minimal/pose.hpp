// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Any aggregate without pointers can be published; there is nothing to declare.
struct Pose {
  double x, y, heading;
};
