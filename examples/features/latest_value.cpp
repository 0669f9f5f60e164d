// SPDX-License-Identifier: Apache-2.0
//
// Latest value: a robot's state, written by one process and looked at by another whenever it likes.
// The writer is killed; its last value stays with the reader until a successor writes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;

struct State {
  int battery_percent;
  char mode[16];
};

/// A process that writes one value and then works on something else.
pid_t start_writer(const State& state) {
  const pid_t child = ::fork();  // a child makes its own node: ports do not survive a fork
  if (child != 0) return child;
  sluice::Node node{"controller"};
  sluice::Writer<State> writer{node, "robot/state"};
  writer.write(state);
  for (;;) std::this_thread::sleep_for(1s);
}

void kill_writer(pid_t writer) {
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
}

int main() {
  sluice::Node node{"display"};
  sluice::Reader<State> reader{node, "robot/state"};
  std::printf("at first: %s\n", reader.read() ? "a value" : "nothing");

  const pid_t first = start_writer({80, "driving"});
  auto state = reader.wait(10s);  // sleeps until there is a value that was not read yet
  if (!state) return 1;
  std::printf("%s, %d %%\n", state->mode, state->battery_percent);

  kill_writer(first);
  state = reader.read();  // the newest, whether it was read before or not
  std::printf("%u writers, still %s\n", reader.writers(), state ? state->mode : "nothing");

  const pid_t second = start_writer({79, "parked"});
  state = reader.wait(10s);
  std::printf("%s, updated: %s\n", state ? state->mode : "nothing",
              reader.updated() ? "yes" : "no");
  kill_writer(second);
}
