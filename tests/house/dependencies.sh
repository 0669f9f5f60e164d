#!/usr/bin/env bash
# A program with a publisher and containers is compiled without a header of Boost or fmt, which may
# therefore be missing where it is compiled.
# usage: dependencies.sh <compiler> <source directory>
set -euo pipefail
program='
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
struct Pose { double x, y, heading; };
int main() {
  sluice::Node node{"odometry"};
  sluice::Publisher<Pose> publisher{node, "robot/pose"};
  publisher.publish(Pose{1, 2, 3});
  sluice::Map<sluice::String, sluice::Vector<Pose>> poses;
}'
headers=$(echo "$program" | "$1" -std=c++20 -I"$2/include" -M -x c++ -)
grep -q 'sluice/pattern/publish_subscribe/publisher.hpp' <<<"$headers"
if grep -E '/(boost|fmt)/' <<<"$headers"; then
  echo "headers of Boost or fmt are included, see above" >&2
  exit 1
fi
