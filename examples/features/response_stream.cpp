// SPDX-License-Identifier: Apache-2.0
//
// A stream of responses: a planner sends better and better routes until its client has had enough.
//
//   response_stream plan                  runs until it is killed
//   response_stream drive <routes>        takes so many routes; 0: all
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sluice/sluice.hpp>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

struct Goal {
  double x, y;
};
struct Route {
  int number;
  double length;
};
constexpr int kRoutes = 500;

int plan() {
  sluice::Node node{"planner"};
  sluice::Server<Goal, Route> planner{node, "route", {.depth = 4}};
  for (;;) {
    auto goal = planner.wait(1s);
    if (!goal) continue;
    double length = 2 * (goal->x + goal->y);
    for (int number = 1; number <= kRoutes; ++number, length *= 0.999) {
      auto route = goal.loan_for(10s, number, length);  // waits while the client does not read on
      if (!route || goal.abandoned()) break;            // the client has had enough, or is dead
      goal.respond(std::move(route));
      std::this_thread::sleep_for(1ms);  // hard work
    }
  }  // the end of the handle: the stream has ended
}

int drive(int wanted) {
  sluice::Node node{"driver"};
  sluice::Client<Goal, Route> client{node, "route"};
  auto routes = client.send(Goal{30, 40});
  while (const auto route = routes.wait(10s)) {
    std::printf("route %d: %.1f m\n", route->number, route->length);
    std::fflush(stdout);
    if (route->number == wanted) return 0;  // destroying `routes` tells the planner
  }
  if (routes.finished()) std::printf("that is the best one\n");
  if (routes.error() == sluice::Errc::peer_died) std::printf("the planner died\n");
  return routes.finished() ? 0 : 1;
}

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "plan") return plan();
  return role == "drive" && argc == 3 ? drive(std::atoi(argv[2])) : 2;
}
