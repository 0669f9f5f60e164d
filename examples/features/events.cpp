// SPDX-License-Identifier: Apache-2.0
//
// Events: a door and a guard, each its own process. The guard sleeps until something happens. The
// door is killed in the end, and the guard is told.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;

constexpr sluice::EventId kOpened{1};
constexpr sluice::EventId kShut{2};
constexpr sluice::EventId kGone{3};

int door() {
  sluice::Node node{"door"};
  sluice::Notifier notifier{node, "door", {.on_death = kGone}};
  while (notifier.listeners() == 0) std::this_thread::sleep_for(1ms);
  notifier.notify(kOpened);
  notifier.notify(kShut);
  std::raise(SIGKILL);  // without a word
  return 1;
}

int guard() {
  sluice::Node node{"guard"};
  sluice::Listener listener{node, "door"};
  for (;;) {
    const auto events = listener.wait(10s);
    if (!events) return 1;  // nothing came in time
    for (const sluice::EventId id : events) {
      if (id == kOpened) std::puts("the door was opened");
      if (id == kShut) std::puts("the door was shut");
      if (id == kGone) std::puts("the door is gone");
    }
    if (events.contains(kGone)) return 0;
  }
}

int main() {
  const pid_t child = ::fork();  // before any node: ports do not survive a fork
  if (child == 0) return door();
  const int failed = guard();
  ::waitpid(child, nullptr, 0);
  return failed;
}
