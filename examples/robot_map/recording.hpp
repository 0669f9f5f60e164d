// SPDX-License-Identifier: Apache-2.0
//
// A recorded drive, as text. One line a scan, comma separated: time stamp in seconds; odometry x, y
// in metres and heading in radians; the number of ranges; the ranges in metres, right to left.
#pragma once

#include <charconv>
#include <cmath>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "messages.hpp"

namespace robot_map {

struct Recording {
  struct Step {
    Scan scan;
    Odometry odometry;
  };
  std::vector<Step> steps;
  std::string error;  ///< empty if all went well
};

/// Takes the next number off the front of `line`.
inline bool take_number(std::string_view& line, double& number) {
  const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) return false;
  line.remove_prefix(static_cast<std::size_t>(rest - line.data()));
  if (line.empty()) return true;
  if (line.front() != ',') return false;
  line.remove_prefix(1);
  return true;
}

inline bool parse_step(std::string_view line, Recording::Step& step) {
  Odometry& pose = step.odometry;
  double count = 0;
  for (double* number : {&pose.stamp_s, &pose.x_m, &pose.y_m, &pose.heading_rad, &count}) {
    if (!take_number(line, *number)) return false;
  }
  if (count != static_cast<double>(kBeams)) return false;
  step.scan.stamp_s = pose.stamp_s;
  for (float& range_m : step.scan.ranges_m) {
    double number = 0;
    if (!take_number(line, number) || number < 0) return false;
    range_m = static_cast<float>(number);
  }
  return line.empty();
}

inline Recording read_recording(const std::string& path) {
  Recording recording;
  std::ifstream file(path);
  if (!file) return {{}, path + " cannot be read"};
  for (std::string line; std::getline(file, line);) {
    const std::size_t number = recording.steps.size() + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    Recording::Step step{};
    if (!parse_step(line, step)) {
      return {{}, path + ", line " + std::to_string(number) + ": not a scan of 361 ranges"};
    }
    if (number > 1 && step.scan.stamp_s < recording.steps.back().scan.stamp_s) {
      return {{}, path + ", line " + std::to_string(number) + ": older than the line before"};
    }
    recording.steps.push_back(step);
  }
  const std::size_t count = recording.steps.size();
  if (count == 0) return {{}, path + " is empty"};
  for (std::size_t i = 0; i < count; ++i) {
    recording.steps[i].scan.index = static_cast<std::uint32_t>(i);
    recording.steps[i].scan.scan_count = static_cast<std::uint32_t>(count);
  }
  return recording;
}

}  // namespace robot_map
