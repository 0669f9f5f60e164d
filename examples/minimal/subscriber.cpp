// SPDX-License-Identifier: Apache-2.0
//
// Prints where the robot is, until Ctrl-C.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <sluice/sluice.hpp>

#include "pose.hpp"

using namespace std::chrono_literals;

volatile std::sig_atomic_t stop = 0;

int main() {
  std::signal(SIGINT, [](int) { stop = 1; });
  sluice::Node node{"planner"};
  sluice::Subscriber<Pose> subscriber{node, "robot/pose"};
  while (stop == 0) {
    if (auto pose = subscriber.wait(100ms)) {  // read where the publisher wrote it
      std::printf("pose %llu: x %.2f, y %.2f\n", static_cast<unsigned long long>(pose.sequence()),
                  pose->x, pose->y);
      std::fflush(stdout);
    }
  }
}
