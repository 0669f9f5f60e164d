// SPDX-License-Identifier: Apache-2.0
//
// What the three processes say to each other. They share this header and the services' names, and
// nothing else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace robot_map {

inline constexpr std::size_t kBeams = 361;
inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kMaxRange_m = 80.0;
inline constexpr double kScannerAhead_m = 0.78;  // of the robot's origin

inline constexpr const char* kScanService = "scan";
inline constexpr const char* kOdometryService = "odometry";

/// One turn of the laser scanner: 361 beams over 180°, from right to left.
struct Scan {
  double stamp_s;                      ///< when it was taken; its `Odometry` has the same
  std::int64_t published_ns;           ///< when it was published, on the clock of `now_ns`
  std::uint32_t index;                 ///< its place in the drive, from 0
  std::uint32_t scan_count;            ///< of the drive
  std::array<float, kBeams> ranges_m;  ///< 0 where nothing valid came back
};

/// Where the wheels say that the robot is.
struct Odometry {
  double stamp_s;
  double x_m;
  double y_m;
  double heading_rad;
};

/// Direction of a beam relative to the robot's heading: 0 ahead, positive to the left.
constexpr double beam_angle_rad(std::size_t beam) {
  return -kPi / 2 + static_cast<double>(beam) * kPi / static_cast<double>(kBeams - 1);
}

}  // namespace robot_map
