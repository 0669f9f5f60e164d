// SPDX-License-Identifier: Apache-2.0
//
// Watches `scan` for obstacles ahead and says once a second what it sees, and how fast the scans
// come through. It may come and go as it likes. Ends with the drive, on Ctrl-C, or when there was a
// driver and there has been none for a while.
#include <chrono>
#include <cmath>
#include <optional>
#include <sluice/sluice.hpp>

#include "arguments.hpp"
#include "messages.hpp"
#include "statistics.hpp"
#include "stop_signal.hpp"
#include "terminal.hpp"

using namespace robot_map;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

void report(const char* when, const std::optional<Obstacle>& nearest, std::uint64_t received,
            std::uint64_t lost, Latencies& latencies) {
  char obstacle[80] = "nothing ahead";
  if (nearest) {
    const int degrees = static_cast<int>(std::lround(nearest->angle_rad * 180 / kPi));
    std::snprintf(obstacle, sizeof obstacle, "%5.2f m ahead, %2d degrees to the %s",
                  nearest->range_m, std::abs(degrees), degrees < 0 ? "right" : "left");
  }
  say("guard, %s: %s; %llu received, %llu lost; latency %.1f us, at worst %.1f us", when, obstacle,
      static_cast<unsigned long long>(received), static_cast<unsigned long long>(lost),
      latencies.median_us(), latencies.worst_us());
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments{
      argc,
      argv,
      "Prints the nearest obstacle ahead, once a second.",
      {{"aside", "30", "degrees that still count as ahead, to either side"},
       {"patience", "10", "seconds without a driver, after there was one, before it ends"}}};
  const double aside_rad = arguments.number("aside", 0) * kPi / 180;
  const std::chrono::duration<double> patience{arguments.number("patience", 0)};
  watch_stop_signals();

  sluice::Node node{"guard"};
  sluice::Subscriber<Scan> scans{
      node, kScanService, {.depth = 8, .history = 0}};  // old scans are of no use
  say("guard (process %d): ready", ::getpid());

  std::optional<Obstacle> nearest;
  std::uint64_t received = 0;
  Latencies latencies;  // of the last second
  Latencies all_latencies;
  bool drive_is_over = false;
  auto next_report = Clock::now() + 1s;
  auto last_seen = Clock::time_point::max();  // the driver
  while (stop_requested == 0 && !drive_is_over) {
    if (auto scan = scans.wait(100ms)) {
      const std::int64_t latency_ns = now_ns() - scan->published_ns;
      latencies.add(latency_ns);
      all_latencies.add(latency_ns);
      ++received;
      nearest = nearest_ahead(*scan, aside_rad);
      drive_is_over = scan->index + 1 == scan->scan_count;
    }
    const auto now = Clock::now();
    if (scans.publishers() > 0) {
      last_seen = now;
    } else if (last_seen < now - std::chrono::duration_cast<Clock::duration>(patience)) {
      break;
    }
    if (now >= next_report) {
      next_report += 1s;
      report("now", nearest, received, scans.lost(), latencies);
      latencies.clear();
    }
  }
  report("in all", nearest, received, scans.lost(), all_latencies);
}
