// SPDX-License-Identifier: Apache-2.0
//
// The nearest obstacle in a scan, and latencies.
#pragma once

#include <time.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "messages.hpp"

namespace robot_map {

/// Nanoseconds on a clock that all processes of a machine share and nobody sets.
inline std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Obstacle {
  double range_m;
  double angle_rad;  ///< 0 ahead, positive to the left
};

/// The nearest one within `aside_rad` of straight ahead; none if no beam came back.
inline std::optional<Obstacle> nearest_ahead(const Scan& scan, double aside_rad) {
  std::optional<Obstacle> nearest;
  for (std::size_t beam = 0; beam < kBeams; ++beam) {
    const Obstacle seen{static_cast<double>(scan.ranges_m[beam]), beam_angle_rad(beam)};
    if (seen.range_m <= 0 || std::abs(seen.angle_rad) > aside_rad) continue;
    if (!nearest || seen.range_m < nearest->range_m) nearest = seen;
  }
  return nearest;
}

class Latencies {
 public:
  void add(std::int64_t latency_ns) { latencies_ns_.push_back(latency_ns); }
  void clear() { latencies_ns_.clear(); }

  /// In microseconds; 0 if there are none. The lower one of two in the middle.
  [[nodiscard]] double median_us() {
    if (latencies_ns_.empty()) return 0;
    const auto middle =
        latencies_ns_.begin() + static_cast<std::ptrdiff_t>((latencies_ns_.size() - 1) / 2);
    std::nth_element(latencies_ns_.begin(), middle, latencies_ns_.end());
    return static_cast<double>(*middle) / 1000;
  }

  [[nodiscard]] double worst_us() const {
    if (latencies_ns_.empty()) return 0;
    return static_cast<double>(*std::max_element(latencies_ns_.begin(), latencies_ns_.end())) /
           1000;
  }

 private:
  std::vector<std::int64_t> latencies_ns_;
};

}  // namespace robot_map
