// SPDX-License-Identifier: Apache-2.0
//
// History: a subscriber that comes late, here another process, still gets the last samples. The
// publisher says how many it keeps, the subscriber how many of them it wants: all, where it does
// not say.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <sluice/sluice.hpp>

struct Setting {
  int number;
};

int come_late() {
  sluice::Node node{"late"};
  sluice::Subscriber<Setting> none{node, "settings", {.history = 0}};
  sluice::Subscriber<Setting> last{node, "settings", {.history = 1}};
  sluice::Subscriber<Setting> all{node, "settings"};

  int count = 0;
  while (none.receive()) ++count;
  std::printf("without history: %d samples\n", count);
  while (auto setting = last.receive()) std::printf("history 1: %d\n", setting->number);
  while (auto setting = all.receive()) std::printf("history 5: %d\n", setting->number);
  return 0;
}

int main() {
  sluice::Node node{"early"};
  sluice::Publisher<Setting> publisher{node, "settings", {.history = 5, .depth = 8}};
  for (int number = 1; number <= 20; ++number) {
    if (!publisher.publish(Setting{number})) return 1;
  }
  if (::fork() == 0) return come_late();  // the child makes a node of its own
  int status = 0;
  ::wait(&status);
  return status == 0 ? 0 : 1;
}
