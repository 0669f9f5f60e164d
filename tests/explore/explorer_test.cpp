// SPDX-License-Identifier: Apache-2.0
//
// Does the explorer explore? Programs so small that the number of their executions is known.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "explore.hpp"

namespace explore {
namespace {

using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

struct State {
  std::atomic<std::uint64_t> word{0};
  std::atomic<std::uint64_t> flag{0};
  std::uint64_t payload = 0;
  unsigned ended = 0;
};
std::unique_ptr<State> state;

void setup() {
  state = std::make_unique<State>();
  name_words(&state->word, sizeof state->word, "word");
  name_words(&state->flag, sizeof state->flag, "flag");
  watch_payload(&state->payload, sizeof state->payload, "payload");
}
void nothing() {}

// One operation.
void count() {
  state->word.fetch_add(1, memory_order_relaxed);
  ++state->ended;
}
// Two operations.
void count_carelessly() {
  state->word.store(state->word.load(memory_order_relaxed) + 1, memory_order_relaxed);
  ++state->ended;
}
void all_are_counted() { require(state->word.load() == state->ended, "lost an update"); }

Scenario two(Options options, const std::function<void()>& fiber,
             const std::function<void()>& check = nothing) {
  return {"", options, 0, setup, {{"a", fiber}, {"b", fiber}}, check};
}

TEST(Explorer, WithoutPreemptionsTriesEachFiberFirst) {
  EXPECT_EQ(run(two({.preemptions = 0}, count)).executions, 2u);
  EXPECT_EQ(
      run({"", {.preemptions = 0}, 0, setup, {{"a", count}, {"b", count}, {"c", count}}, nothing})
          .executions,
      6u);
}

TEST(Explorer, OnePreemptionIsTriedAtEveryOperation) {
  const Report report = run(two({.preemptions = 1}, count_carelessly));
  // Either fiber first; it is preempted at its first operation, at its second, or not at all.
  EXPECT_EQ(report.executions, 2u * 3u);
  EXPECT_FALSE(report.failed);
}

TEST(Explorer, FindsALostUpdate) {
  EXPECT_FALSE(run(two({.preemptions = 0}, count_carelessly, all_are_counted)).failed);
  EXPECT_FALSE(run(two({.preemptions = 2}, count, all_are_counted)).failed);
  const Scenario careless = two({.preemptions = 1}, count_carelessly, all_are_counted);
  const Report report = run(careless);
  EXPECT_TRUE(report.failed);
  EXPECT_EQ(report.message, "lost an update");
  EXPECT_NE(report.trace.find("store relaxed word 0x1"), std::string::npos) << report.trace;
  EXPECT_EQ(replay(careless, report.schedule).message, report.message);
  EXPECT_FALSE(replay(careless, "").failed);
}

TEST(Explorer, KillsAFiberBeforeEachOfItsOperations) {
  std::vector<unsigned> seen(3);
  const Scenario scenario{"",
                          {.preemptions = 0, .crashes = 1},
                          0,
                          setup,
                          {{"a", count_carelessly}},
                          [&] {
                            ++seen[state->word.load() * 2 + crashed(0)]; }};
  // Killed before the load, before the store, not at all.
  seen.resize(4);
  EXPECT_EQ(run(scenario).executions, 3u);
  EXPECT_EQ(seen, (std::vector<unsigned>{0, 2, 1, 0}));
}

TEST(Explorer, KillsAFiberThatIsPreemptedWhileTheOtherGoesOn) {
  bool seen = false;
  const auto count_twice = [] {
    count();
    count();
  };
  const auto watch = [&] {
    const std::uint64_t first = state->word.load(memory_order_relaxed);
    const bool before = crashed(0);
    const bool after = crashed(0);
    const std::uint64_t last = state->word.load(memory_order_relaxed);
    seen = seen || (first == 1 && !before && after && last == 1);
  };
  const Scenario scenario{"",    {.preemptions = 2, .crashes = 1},          0,
                          setup, {{"a", count_twice}, {"b", watch, false}}, nothing};
  EXPECT_FALSE(run(scenario).failed);
  EXPECT_TRUE(seen);
}

TEST(Explorer, PreemptsAgainBeforeTheSameOperationWhenTheOtherYields) {
  bool seen = false;
  const auto yield_often = [&] {
    state->flag.store(1, memory_order_relaxed);
    for (int i = 0; i != 3; ++i) yield();
    seen = seen || state->word.load(memory_order_relaxed) == 0;
  };
  const auto count_late = [] {
    while (state->flag.load(memory_order_relaxed) == 0) yield();
    count();
  };
  const Scenario scenario{
      "", {.preemptions = 3}, 0, setup, {{"a", count_late}, {"b", yield_often}}, nothing};
  EXPECT_FALSE(run(scenario).failed);
  EXPECT_TRUE(seen);
}

TEST(Explorer, ReportsAnEndlessLoop) {
  const auto wait = [] {
    while (state->flag.load(memory_order_acquire) == 0) yield();
  };
  EXPECT_NE(run(two({}, wait)).message.find("endless loop"), std::string::npos);
  const Scenario raised{
      "", {}, 0, setup, {{"waits", wait}, {"raises", [] { state->flag.store(1); }}}, nothing};
  EXPECT_FALSE(run(raised).failed);
  Scenario killed = raised;
  killed.options.crashes = 1;
  EXPECT_TRUE(run(killed).failed);
}

// Each fiber raises its own flag and looks at the other one's: can both find it down?
Report both_look(unsigned late_stores, void (*between)() = nothing) {
  static std::uint64_t found[2];
  const auto raise_and_look = [=](int me) {
    auto& mine = me == 0 ? state->word : state->flag;
    auto& theirs = me == 0 ? state->flag : state->word;
    mine.store(1, memory_order_release);
    between();
    found[me] = theirs.load(memory_order_acquire);
    require(mine.load(memory_order_relaxed) == 1, "does not see its own store");
  };
  return run({"",
              {.preemptions = 2, .late_stores = late_stores},
              0,
              setup,
              {{"a", [=] { raise_and_look(0); }}, {"b", [=] { raise_and_look(1); }}},
              [] { require(found[0] + found[1] != 0, "both found it down"); }});
}

TEST(Explorer, FindsWhatALateStoreBreaks) {
  EXPECT_EQ(both_look(0).message, "");
  EXPECT_EQ(both_look(1).message, "both found it down");
}

TEST(Explorer, KnowsThatAStoreIsSeenBehindAFullFence) {
  EXPECT_EQ(both_look(2, [] { std::atomic_thread_fence(std::memory_order_seq_cst); }).message, "");
  EXPECT_EQ(both_look(2, [] { std::atomic_thread_fence(std::memory_order_acq_rel); }).message,
            "both found it down");
  EXPECT_EQ(both_look(2, [] { std::atomic<int>{}.fetch_add(1); }).message, "");
}

// a writes and raises the flag, b sees the flag and reads.
Report hand_over(std::memory_order store_order, std::memory_order load_order,
                 void (*before_store)() = nothing, void (*after_load)() = nothing) {
  const auto write = [=] {
    state->payload = 1;
    before_store();
    state->flag.store(1, store_order);
  };
  const auto read = [=] {
    if (state->flag.load(load_order) != 1) return;
    after_load();
    require(state->payload == 1, "read too early");
  };
  return run({"", {.preemptions = 1}, 0, setup, {{"a", write}, {"b", read}}, nothing});
}

TEST(Explorer, FindsADataRaceOnAPayload) {
  EXPECT_EQ(hand_over(memory_order_release, memory_order_acquire).message, "");
  EXPECT_EQ(hand_over(memory_order_relaxed, memory_order_acquire).message, "data race on payload");
  EXPECT_EQ(hand_over(memory_order_release, memory_order_relaxed).message, "data race on payload");
}

TEST(Explorer, KnowsThatFencesOrderRelaxedOperations) {
  const auto release_fence = [] { std::atomic_thread_fence(memory_order_release); };
  const auto acquire_fence = [] { std::atomic_thread_fence(memory_order_acquire); };
  EXPECT_EQ(
      hand_over(memory_order_relaxed, memory_order_relaxed, release_fence, acquire_fence).message,
      "");
  EXPECT_EQ(hand_over(memory_order_relaxed, memory_order_relaxed, release_fence).message,
            "data race on payload");
}

TEST(Explorer, KnowsThatAReadModifyWriteCarriesARelease) {
  const auto write = [] {
    state->payload = 1;
    state->flag.store(1, memory_order_release);
  };
  const auto carry = [](auto change) {
    return [change] {
      if (state->flag.load(memory_order_relaxed) == 1) change();
    };
  };
  const auto read = [] {
    if (state->flag.load(memory_order_acquire) == 2) require(state->payload == 1, "too early");
  };
  const auto explored = [&](std::function<void()> change) {
    return run({"", {}, 0, setup, {{"a", write}, {"b", std::move(change)}, {"c", read}}, nothing});
  };
  EXPECT_EQ(explored(carry([] { state->flag.fetch_add(1, memory_order_relaxed); })).message, "");
  EXPECT_EQ(explored(carry([] { state->flag.store(2, memory_order_relaxed); })).message,
            "data race on payload");
}

}  // namespace
}  // namespace explore
