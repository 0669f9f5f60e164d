// SPDX-License-Identifier: Apache-2.0
//
// Publishes where a robot is, ten times a second, until Ctrl-C.
#include <chrono>
#include <cmath>
#include <csignal>
#include <sluice/sluice.hpp>
#include <thread>

#include "pose.hpp"

using namespace std::chrono_literals;

volatile std::sig_atomic_t stop = 0;

int main() {
  std::signal(SIGINT, [](int) { stop = 1; });
  sluice::Node node{"odometry"};
  sluice::Publisher<Pose> publisher{node, "robot/pose", {.history = 1}};
  for (double t = 0; stop == 0; t += 0.1) {
    if (auto pose = publisher.loan()) {  // a Pose in shared memory
      pose->x = 2 * std::cos(t);
      pose->y = 2 * std::sin(t);
      pose->heading = t;
      publisher.publish(std::move(pose));  // nothing is copied
    }
    std::this_thread::sleep_for(100ms);
  }
}
