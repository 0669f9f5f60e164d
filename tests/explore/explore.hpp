// SPDX-License-Identifier: Apache-2.0
//
// Runs a few fibers over shared words in every order that has up to N preemptions, and kills one of
// them at every place where it can be killed.
//
// The code under test is the shipped headers, compiled with -fsanitize=thread, but linked with
// tsan_runtime.cpp in place of ThreadSanitizer: each atomic operation first asks the scheduler
// which fiber goes on. An execution is a sequence of such choices; `run` walks the tree of choices
// depth first, each time from a fresh `setup`. Without a preemption a fiber runs until it ends or
// yields. Most bugs need two preemptions (Musuvathi and Qadeer, "Iterative context bounding",
// 2007).
//
// What it sees: wrong values and broken invariants in any interleaving, endless loops, and data
// races on the words given to `watch_payload`, by the happens-before that the memory orders of the
// executed operations give (vector clocks; an order that is too weak to protect a payload is
// found). With `late_stores` also stores that other processors see late, as in a store buffer, so
// that a missing seq_cst fence is found. What it cannot see: other executions that are not
// interleavings, where a load returns an old value although the store is long done.
//
// Rules for a scenario: all state is made afresh in `setup`; fibers share only what `setup` made
// and do not allocate what a killed one should have freed; who waits for another fiber calls
// `yield`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace explore {

inline constexpr std::size_t kMaxFibers = 4;

struct Fiber {
  std::string name;
  std::function<void()> run;
  bool may_crash = true;
};

struct Options {
  unsigned preemptions = 2;          ///< switches away from a fiber that could go on
  unsigned crashes = 0;              ///< fibers abandoned, each before any of its atomic operations
  unsigned late_stores = 0;          ///< stores that the others do not see before a full fence
  std::uint64_t max_steps = 20'000;  ///< atomic operations of one execution; more is a failure
  std::uint64_t max_executions = 100'000'000;  ///< more is a failure
};

struct Scenario {
  std::string name;
  Options options;
  std::uint64_t min_executions;  ///< fewer mean that something was not explored
  std::function<void()> setup;
  std::vector<Fiber> fibers;
  std::function<void()> check;  ///< after all fibers ended or crashed
};

struct Report {
  std::uint64_t executions = 0;
  std::uint64_t steps = 0;
  bool failed = false;
  std::string message;
  std::string schedule;  ///< for `replay`: "place:choice" of every choice that is not the first one
  std::string trace;     ///< every operation of the failed execution
};

/// Explores until the first failure, or completely.
Report run(const Scenario& scenario);
/// Runs the one execution that `schedule` describes.
Report replay(const Scenario& scenario, const std::string& schedule);

// In `setup`:

/// Plain words whose accesses must not race. Checked in units of eight bytes.
void watch_payload(const void* address, std::size_t bytes, const char* name);
/// A name for atomic words in the trace.
void name_words(const void* address, std::size_t bytes, const char* name);

// In a fiber, or in `check`:

/// Fails the execution unless `condition`.
void require(bool condition, const char* message);
/// Lets somebody else go on first.
void yield();
/// Whether that fiber was killed. Everything it did happened before, as with a lock that the kernel
/// drops.
bool crashed(std::size_t fiber);

/// Defined by each test, for explore_main.cpp.
std::vector<Scenario> scenarios();

}  // namespace explore
