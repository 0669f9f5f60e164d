// SPDX-License-Identifier: Apache-2.0
//
// A publisher and a subscriber in one program.
#include <cstdio>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>

struct Pose {
  double x, y, heading;
};

struct Cloud {
  explicit Cloud(sluice::Allocator<> a) : frame{a}, points{a} {}
  sluice::String frame;
  sluice::Vector<Pose> points;
};

int main() {
  Cloud cloud{sluice::Allocator<>()};
  cloud.frame = "lidar_front";
  cloud.points.resize(30'000);
  sluice::Node node{"consumer"};
  sluice::Subscriber<Pose> subscriber{node, "robot/pose"};
  sluice::Publisher<Pose> publisher{node, "robot/pose"};
  publisher.publish(Pose{1, 2, 3});
  const auto pose = subscriber.receive();
  if (!pose || pose->y != 2) {
    std::fprintf(stderr, "the sample did not arrive: %s\n",
                 subscriber.last_failure().message.c_str());
    return 1;
  }
  std::printf("received sample %llu\n", static_cast<unsigned long long>(pose.sequence()));
}
