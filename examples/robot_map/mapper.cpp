// SPDX-License-Identifier: Apache-2.0
//
// Builds a map from `scan` and `odometry` and writes it as a picture: when the whole drive is
// mapped, and on Ctrl-C. Ends with success if the whole drive is on the map.
//
// Killed and started again, it begins a new map with the old scans, which the driver keeps as
// history. If the driver starts again, the scans that are on the map already are not used twice.
#include <chrono>
#include <cmath>
#include <map>
#include <sluice/sluice.hpp>

#include "arguments.hpp"
#include "map_picture.hpp"
#include "messages.hpp"
#include "occupancy_grid.hpp"
#include "stop_signal.hpp"
#include "terminal.hpp"

using namespace robot_map;
using namespace std::chrono_literals;

namespace {

/// What is on the map so far.
struct Map {
  OccupancyGrid grid;
  std::map<std::uint32_t, Odometry> path{};  // by the scan's place in the drive
  std::uint32_t scan_count = 0;              // of the drive; 0: not known yet

  [[nodiscard]] bool is_complete() const { return scan_count != 0 && path.size() >= scan_count; }

  void add(const Scan& scan, const Odometry& robot) {
    scan_count = scan.scan_count;
    if (!path.try_emplace(scan.index, robot).second) return;
    const double scanner_x_m = robot.x_m + kScannerAhead_m * std::cos(robot.heading_rad);
    const double scanner_y_m = robot.y_m + kScannerAhead_m * std::sin(robot.heading_rad);
    const Cell scanner = grid.cell_at(scanner_x_m, scanner_y_m);
    for (std::size_t beam = 0; beam < kBeams; ++beam) {
      const auto range_m = static_cast<double>(scan.ranges_m[beam]);
      if (range_m <= 0 || range_m >= kMaxRange_m) continue;
      const double direction_rad = robot.heading_rad + beam_angle_rad(beam);
      grid.trace(scanner, grid.cell_at(scanner_x_m + range_m * std::cos(direction_rad),
                                       scanner_y_m + range_m * std::sin(direction_rad)));
    }
    if (path.size() % 50 == 0) say("mapper: %zu of %u scans mapped", path.size(), scan_count);
  }
};

/// Scans whose odometry has not come yet. They stay where they are, in shared memory.
constexpr std::uint32_t kMaxWaiting = 64;

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments{argc,
                      argv,
                      "Draws a map from the services `scan` and `odometry`.",
                      {{"output", "map.png", "the picture"},
                       {"cell", "0.1", "edge of a cell of the map, in metres"}}};
  const std::string& output = arguments.text("output");
  watch_stop_signals();

  sluice::Node node{"mapper"};
  sluice::Subscriber<Odometry> odometry{node, kOdometryService};  // all that the driver keeps
  sluice::Subscriber<Scan> scans{node, kScanService, {.max_borrowed = kMaxWaiting + 1}};
  say("mapper (process %d): ready", ::getpid());

  Map map{.grid = OccupancyGrid{arguments.number("cell", 0.01)}};
  std::map<double, Odometry> poses;  // by time stamp
  std::map<double, sluice::Sample<Scan>> waiting;
  while (stop_requested == 0 && !map.is_complete()) {
    if (auto scan = scans.wait(100ms)) {
      const double stamp_s = scan->stamp_s;
      waiting.insert_or_assign(stamp_s, std::move(scan));
    }
    while (auto pose = odometry.receive()) poses.insert_or_assign(pose->stamp_s, *pose);
    for (auto scan = waiting.begin(); scan != waiting.end();) {
      const auto pose = poses.find(scan->first);
      if (pose != poses.end()) map.add(*scan->second, pose->second);
      scan = pose != poses.end() ? waiting.erase(scan) : std::next(scan);
    }
    // Odometry that never comes must not hold up the scans that follow.
    if (waiting.size() > kMaxWaiting) waiting.erase(waiting.begin());
  }

  std::vector<Odometry> path;
  for (const auto& [index, pose] : map.path) path.push_back(pose);
  const std::string error = write_picture(map.grid, path, output);
  if (error.empty()) {
    say("mapper: the map is in %s", output.c_str());
  } else {
    std::fprintf(stderr, "mapper: %s\n", error.c_str());
  }
  say("mapper: %zu of %u scans were mapped", map.path.size(), map.scan_count);
  return error.empty() && map.is_complete() ? EXIT_SUCCESS : EXIT_FAILURE;
}
