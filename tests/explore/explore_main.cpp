// SPDX-License-Identifier: Apache-2.0
//
// Explores every scenario of a test.
//
//   <test>                               all of them must hold
//   <test> --expect "<part of message>"  one of them must fail with that message (mutants)
//   <test> --replay "<name>" "<schedule>"  prints one execution
#include <chrono>
#include <cstdio>
#include <string>

#include "explore.hpp"

namespace {

void print_failure(const explore::Scenario& scenario, const explore::Report& report) {
  std::printf("  failed: %s\n%s  replay: --replay \"%s\" \"%s\"\n", report.message.c_str(),
              report.trace.c_str(), scenario.name.c_str(), report.schedule.c_str());
}

explore::Report explore_one(const explore::Scenario& scenario) {
  const auto start = std::chrono::steady_clock::now();
  const explore::Report report = explore::run(scenario);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const auto executions = static_cast<double>(report.executions);
  std::printf("%-66s %10.0f executions, %3.0f steps each, %5.2f s, %8.0f a second\n",
              scenario.name.c_str(), executions, static_cast<double>(report.steps) / executions,
              seconds.count(), executions / seconds.count());
  if (report.failed) print_failure(scenario, report);
  std::fflush(stdout);
  return report;
}

int all_hold() {
  int failures = 0;
  std::uint64_t executions = 0;
  for (const auto& scenario : explore::scenarios()) {
    const explore::Report report = explore_one(scenario);
    executions += report.executions;
    if (!report.failed && report.executions < scenario.min_executions) {
      std::printf("  failed: at least %llu executions were expected\n",
                  static_cast<unsigned long long>(scenario.min_executions));
      ++failures;
    }
    failures += report.failed;
  }
  std::printf("%llu executions\n", static_cast<unsigned long long>(executions));
  return failures != 0 || executions == 0;
}

int one_fails(const std::string& expected) {
  for (const auto& scenario : explore::scenarios()) {
    const explore::Report report = explore_one(scenario);
    if (!report.failed) continue;
    if (report.message.find(expected) != std::string::npos) return 0;
    std::printf("expected: %s\n", expected.c_str());
    return 1;
  }
  std::printf("the bug was not found\n");
  return 1;
}

int print_one(const std::string& name, const std::string& schedule) {
  for (const auto& scenario : explore::scenarios()) {
    if (scenario.name != name) continue;
    const explore::Report report = explore::replay(scenario, schedule);
    std::printf("%s%s\n", report.trace.c_str(),
                report.failed ? report.message.c_str() : "no failure");
    return report.failed;
  }
  std::printf("no scenario of that name\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--expect" && argc == 3) return one_fails(argv[2]);
  if (mode == "--replay" && argc == 4) return print_one(argv[2], argv[3]);
  return all_hold();
}
