// SPDX-License-Identifier: Apache-2.0
//
// Text and lists of fixed capacity in a plain payload: the joints of an arm, by name. The payload
// needs no allocator and no heap, and what does not fit is told when it is written.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;

struct Joint {
  sluice::StaticString<23> name;
  double position_rad;
};

struct JointStates {
  sluice::StaticString<31> arm = "left";
  sluice::StaticVector<Joint, 7> joints;
};

int arm() {
  sluice::Node node{"arm"};
  sluice::Publisher<JointStates> states{node, "arm/joints"};
  while (states.subscribers() == 0) std::this_thread::sleep_for(1ms);
  auto loan = states.loan();
  if (!loan) return 1;
  loan->joints = {{"shoulder", 0.5}, {"elbow", 1.25}};
  Joint wrist{{}, -0.75};
  if (!wrist.name.assign("wrist, a name longer than there is room for")) wrist.name = "wrist";
  if (!loan->joints.try_push_back(wrist)) return 1;
  states.publish(std::move(loan));
  while (states.subscribers() > 0) std::this_thread::sleep_for(1ms);  // until it was received
  return 0;
}

int viewer() {
  sluice::Node node{"viewer"};
  sluice::Subscriber<JointStates> states{node, "arm/joints"};
  const auto state = states.wait(10s);
  if (!state) return 1;
  std::printf("%s arm, %zu joints\n", state->arm.c_str(), state->joints.size());
  for (const Joint& joint : state->joints) {
    std::printf("%s %.2f\n", joint.name.c_str(), joint.position_rad);
  }
  return 0;
}

int main() {
  const pid_t child = ::fork();  // before any node: ports do not survive a fork
  if (child == 0) return arm();
  const int failed = viewer();
  int status = 0;
  ::waitpid(child, &status, 0);
  return failed != 0 || status != 0 ? 1 : 0;
}
