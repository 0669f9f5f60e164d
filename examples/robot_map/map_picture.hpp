// SPDX-License-Identifier: Apache-2.0
//
// Draws an occupancy grid and the driven path, and writes the picture as PNG.
#pragma once

#include <string>
#include <vector>

#include "messages.hpp"
#include "occupancy_grid.hpp"

namespace robot_map {

/// Writes to a temporary name first and renames it then: at `path` there is always a whole picture,
/// the old or the new. Returns what went wrong; empty if nothing did.
std::string write_picture(const OccupancyGrid& grid, const std::vector<Odometry>& path,
                          const std::string& file);

}  // namespace robot_map
