// SPDX-License-Identifier: Apache-2.0
//
// One thread that waits for many things: samples, a descriptor (here the standard input), a rhythm,
// and what should have come and did not. Ends with Ctrl-C, or with its input.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <sluice/sluice.hpp>

using namespace std::chrono_literals;

struct Speed {
  int value;
};

int main() {
  sluice::Node node{"controller"};
  sluice::Publisher<Speed> commands{node, "speed/command"};
  sluice::Subscriber<Speed> measured{node, "speed/command"};  // in this example we hear ourselves
  sluice::Subscriber<Speed> joystick{node, "speed/joystick"};

  sluice::WaitSet wait_set;
  wait_set.attach(measured, [&] {
    while (auto speed = measured.receive()) std::printf("speed %d\n", speed->value);
  });
  wait_set.attach_fd(STDIN_FILENO, [&] {
    std::array<char, 256> text{};
    if (::read(STDIN_FILENO, text.data(), text.size() - 1) <= 0) return wait_set.stop();
    int value = 0;
    if (std::sscanf(text.data(), "%d", &value) == 1) commands.publish(Speed{value});
  });
  int ticks = 0;
  wait_set.attach_interval(10ms, [&] {
    if (++ticks == 3) std::puts("three ticks");
  });
  sluice::WaitSet::Attachment alarm;
  alarm = wait_set.attach_deadline(joystick, 50ms, [&] {
    std::puts("no joystick");
    wait_set.detach(alarm);  // once is enough
  });

  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  std::puts("running");
  if (wait_set.run() != sluice::Errc::ok) {
    std::fprintf(stderr, "%s\n", wait_set.last_failure().message.c_str());
    return 1;
  }
  std::puts("done");
}
