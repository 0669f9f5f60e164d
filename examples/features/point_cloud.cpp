// SPDX-License-Identifier: Apache-2.0
//
// A payload with containers: a point cloud of any size, with a name and labels. The driver fills it
// in shared memory, and the viewer, another process, reads it there.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;
struct Point {
  float x, y, z;
};

struct Cloud {
  explicit Cloud(sluice::Allocator<> a) : frame{a}, points{a}, labels{a} {}
  sluice::String frame;
  sluice::Vector<Point> points;
  sluice::Map<sluice::String, sluice::Vector<int>> labels;  // points by what they belong to
};

int driver() {
  sluice::Node node{"lidar_driver"};
  sluice::Publisher<Cloud> clouds{node, "cloud", {.heap_bytes = std::size_t{1} << 30}};
  while (clouds.subscribers() == 0) std::this_thread::sleep_for(1ms);
  for (int i = 1; i <= 3; ++i) {
    auto cloud = clouds.loan();
    if (!cloud) return 1;
    cloud->frame = "lidar_front";
    cloud->points.resize(static_cast<std::size_t>(i) * 10'000);
    cloud->labels["wall"] = {0, 1, 2};
    clouds.publish(std::move(cloud));
  }
  while (clouds.subscribers() > 0) std::this_thread::sleep_for(1ms);  // until all was received
  return 0;
}

int viewer() {
  sluice::Node node{"viewer"};
  sluice::Subscriber<Cloud> clouds{node, "cloud"};
  for (int i = 0; i < 3; ++i) {
    const auto cloud = clouds.wait(10s);  // checked: every container lies in the driver's memory
    if (!cloud) return 1;
    std::printf("%s: %zu points, %zu of a wall\n", cloud->frame.c_str(), cloud->points.size(),
                cloud->labels.at("wall").size());
  }
  return 0;
}

int main() {
  if (::fork() == 0) return driver();  // before any node: ports do not survive a fork
  const int failed = viewer();
  int status = 0;
  ::wait(&status);
  return failed != 0 || status != 0 ? 1 : 0;
}
