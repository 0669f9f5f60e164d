// SPDX-License-Identifier: Apache-2.0
//
// Plays a recorded drive: publishes `scan` and `odometry` when they were taken, or faster.
//
// The whole drive is kept as history. So whoever comes late, or was killed and comes again, still
// gets every scan, and nobody has to be waited for: a slow or stopped reader costs nothing.
// Started again after a crash, it plays from the beginning.
#include <chrono>
#include <sluice/sluice.hpp>
#include <thread>

#include "arguments.hpp"
#include "messages.hpp"
#include "recording.hpp"
#include "statistics.hpp"
#include "stop_signal.hpp"
#include "terminal.hpp"

using namespace robot_map;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

namespace {

/// Sleeps until `until`, or until Ctrl-C.
void sleep_until(Clock::time_point until) {
  while (stop_requested == 0 && Clock::now() < until) {
    const Clock::duration longest = std::chrono::milliseconds{50};
    std::this_thread::sleep_for(std::min(longest, until - Clock::now()));
  }
}

Clock::time_point after(Clock::time_point start, double seconds) {
  return start + std::chrono::duration_cast<Clock::duration>(Seconds{seconds});
}

/// Waits until `publisher` has `count` subscribers, but not longer than `seconds`.
void wait_for_subscribers(sluice::Publisher<Scan>& publisher, double count, double seconds) {
  const auto end = after(Clock::now(), seconds);
  while (stop_requested == 0 && publisher.subscribers() < count) {
    if (Clock::now() >= end) {
      say("lidar_driver: not all subscribers are there; they can catch up");
      return;
    }
    sleep_until(after(Clock::now(), 0.01));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments{argc,
                      argv,
                      "Plays a recorded drive as the services `scan` and `odometry`.",
                      {{"data", ROBOT_MAP_DATA, "the recorded drive"},
                       {"speed", "1", "how many times faster than recorded"},
                       {"wait-for", "0", "subscribers of `scan` to wait for, 5 s at most"},
                       {"linger", "2", "seconds to stay at the end for those who come late"}}};
  const double speed = arguments.number("speed", 0.01);
  const double subscribers = arguments.number("wait-for", 0);
  const double linger_s = arguments.number("linger", 0);
  Recording drive = read_recording(arguments.text("data"));
  if (!drive.error.empty()) {
    std::fprintf(stderr, "lidar_driver: %s\n", drive.error.c_str());
    return EXIT_FAILURE;
  }
  watch_stop_signals();

  const auto count = static_cast<std::uint32_t>(drive.steps.size());
  sluice::Node node{"lidar_driver"};
  sluice::Publisher<Odometry> odometry{node, kOdometryService, {.history = count, .depth = count}};
  sluice::Publisher<Scan> scans{node, kScanService, {.history = count, .depth = count}};
  say("lidar_driver (process %d): %u scans, played %g times as fast", ::getpid(), count, speed);
  wait_for_subscribers(scans, subscribers, 5);

  ProgressBar bar{"lidar_driver", count};
  const auto start = Clock::now();
  const double start_s = drive.steps.front().scan.stamp_s;
  for (const Recording::Step& step : drive.steps) {
    sleep_until(after(start, (step.scan.stamp_s - start_s) / speed));
    if (stop_requested != 0) return EXIT_SUCCESS;
    auto scan = scans.loan(step.scan);  // built in shared memory, where the subscribers read it
    if (!scan || !odometry.publish(step.odometry)) {
      std::fprintf(stderr, "lidar_driver: there is no memory for a scan\n");
      return EXIT_FAILURE;
    }
    scan->published_ns = now_ns();
    scans.publish(std::move(scan));
    bar.show(step.scan.index + 1);
  }
  say("lidar_driver: the drive is over");
  sleep_until(after(Clock::now(), linger_s));
  return EXIT_SUCCESS;
}
