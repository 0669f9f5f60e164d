// SPDX-License-Identifier: Apache-2.0
//
// The parts of examples/robot_map that need no second process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "../../examples/robot_map/occupancy_grid.hpp"
#include "../../examples/robot_map/recording.hpp"
#include "../../examples/robot_map/statistics.hpp"

namespace robot_map {
namespace {

std::string line_of(const std::string& stamp, std::size_t ranges) {
  std::string line = stamp + ",1.5,-2.5,0.25,361";
  for (std::size_t i = 0; i < ranges; ++i) line.append(",").append(std::to_string(i % 80));
  return line + "\n";
}

Recording recording_of(const std::string& text) {
  const std::string path = testing::TempDir() + "drive." + std::to_string(::getpid());
  std::ofstream(path) << text;
  Recording recording = read_recording(path);
  std::remove(path.c_str());
  return recording;
}

TEST(Recording, ReadsAScanALine) {
  const Recording drive = recording_of(line_of("1.25", 361) + line_of("2.5", 361));
  ASSERT_EQ(drive.error, "");
  ASSERT_EQ(drive.steps.size(), 2u);
  EXPECT_EQ(drive.steps[1].odometry.stamp_s, 2.5);
  EXPECT_EQ(drive.steps[1].odometry.y_m, -2.5);
  EXPECT_EQ(drive.steps[1].scan.stamp_s, 2.5);
  EXPECT_EQ(drive.steps[1].scan.index, 1u);
  EXPECT_EQ(drive.steps[1].scan.scan_count, 2u);
  EXPECT_EQ(drive.steps[1].scan.ranges_m[79], 79.0f);
  EXPECT_EQ(drive.steps[1].scan.ranges_m[360], 40.0f);
}

TEST(Recording, RefusesWhatIsNoDriveAndNamesTheLine) {
  EXPECT_NE(recording_of("").error, "");
  EXPECT_NE(read_recording("/there/is/no/such/file").error, "");
  const std::string good = line_of("1", 361);
  for (const std::string& bad :
       {line_of("1", 360), line_of("1", 362), line_of("x", 361), line_of("0.5", 361),
        line_of("nan", 361), std::string("\n"), good.substr(0, good.size() - 2) + "-1\n"}) {
    EXPECT_NE(recording_of(good + bad).error.find("line 2"), std::string::npos) << bad;
  }
}

TEST(OccupancyGrid, ABeamIsFreeUpToItsEndAndLeavesTheRestUnknown) {
  for (const Cell to : {Cell{100, 37}, {-100, 37}, {37, -100}, {-64, -64}, {0, 9}, {9, 0}}) {
    OccupancyGrid grid(0.1);
    grid.trace({0, 0}, to);
    EXPECT_GT(grid.occupancy(to), 0);
    EXPECT_LT(grid.occupancy({0, 0}), 0);
    int known = 0;
    for (std::int32_t y = -128; y <= 128; ++y) {
      for (std::int32_t x = -128; x <= 128; ++x) known += grid.occupancy({x, y}) != 0 ? 1 : 0;
    }
    EXPECT_EQ(known, std::max(std::abs(to.x), std::abs(to.y)) + 1);  // one a column, or row
  }
}

TEST(OccupancyGrid, EvidenceAddsUpToCertaintyAndCanBeRevised) {
  OccupancyGrid grid(0.1);
  for (int i = 0; i < 1000; ++i) grid.trace({0, 0}, {5, 0});
  EXPECT_EQ(grid.occupancy({5, 0}), 1);
  EXPECT_EQ(grid.occupancy({4, 0}), -1);
  for (int i = 0; i < 1000; ++i) grid.trace({0, 0}, {9, 0});
  EXPECT_EQ(grid.occupancy({5, 0}), -1);
}

TEST(OccupancyGrid, FindsTheBoxOfWhatIsOccupied) {
  OccupancyGrid grid(0.1);
  for (const Cell to : {Cell{70, 3}, {-200, 10}, {1, -65}}) grid.trace({0, 0}, to);
  const auto [low, high] = grid.occupied_box(0.1, {0, 0});
  EXPECT_EQ(low, (Cell{-200, -65}));
  EXPECT_EQ(high, (Cell{70, 10}));
  EXPECT_EQ(grid.cell_at(-0.05, 0.05), (Cell{-1, 0}));
}

TEST(Statistics, TheNearestObstacleAheadIsWithinTheAngle) {
  Scan scan{};
  EXPECT_FALSE(nearest_ahead(scan, 1));
  scan.ranges_m.fill(10);
  scan.ranges_m[0] = 1;    // to the right
  scan.ranges_m[170] = 0;  // nothing valid
  scan.ranges_m[200] = 3;  // 10 degrees to the left
  const auto nearest = nearest_ahead(scan, kPi / 6);
  ASSERT_TRUE(nearest);
  EXPECT_EQ(nearest->range_m, 3);
  EXPECT_NEAR(nearest->angle_rad, kPi / 18, 1e-9);
}

TEST(Statistics, MedianAndWorstOfLatencies) {
  Latencies latencies;
  EXPECT_EQ(latencies.median_us(), 0);
  for (const std::int64_t latency_ns : {9000, 1000, 4000}) latencies.add(latency_ns);
  EXPECT_EQ(latencies.median_us(), 4);
  EXPECT_EQ(latencies.worst_us(), 9);
}

}  // namespace
}  // namespace robot_map
