// SPDX-License-Identifier: Apache-2.0
//
// Slices: scans of a laser that have another number of ranges each time. The publisher asks for as
// many elements as it needs, and the subscriber, another process, reads them in place.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;

int laser() {
  sluice::Node node{"laser"};
  sluice::Publisher<float[]> ranges{node, "scan/ranges"};
  while (ranges.subscribers() == 0) std::this_thread::sleep_for(1ms);
  for (const std::size_t count : {361U, 721U, 181U}) {
    auto scan = ranges.loan(count);
    if (!scan) {
      std::fprintf(stderr, "%s\n", ranges.last_failure().message.c_str());
      return 1;
    }
    for (std::size_t i = 0; i < scan.size(); ++i) scan[i] = 1.0F + static_cast<float>(i) * 0.01F;
    ranges.publish(std::move(scan));
  }
  while (ranges.subscribers() > 0) std::this_thread::sleep_for(1ms);  // until all was received
  return 0;
}

int guard() {
  sluice::Node node{"guard"};
  sluice::Subscriber<float[]> ranges{node, "scan/ranges"};
  for (int i = 0; i < 3; ++i) {
    const auto scan = ranges.wait(10s);
    if (!scan) return 1;
    std::printf("%zu ranges, %.2f to %.2f m\n", scan.size(),
                static_cast<double>(*std::min_element(scan.begin(), scan.end())),
                static_cast<double>(scan.span().back()));
  }
  return 0;
}

int main() {
  const pid_t child = ::fork();  // before any node: ports do not survive a fork
  if (child == 0) return laser();
  const int failed = guard();
  int status = 0;
  ::waitpid(child, &status, 0);
  return failed != 0 || status != 0 ? 1 : 0;
}
