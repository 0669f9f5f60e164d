// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <memory>
#include <sluice/queue/mpmc_index_queue.hpp>
#include <string>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::MpmcIndexQueue;

constexpr std::uint32_t kMostValues = 6;

struct Counts {
  std::size_t capacity;
  std::size_t producers;
  std::size_t consumers;
  std::uint32_t values_each;
  std::uint64_t start;  // position at which the queue is when it begins
};

// Producers push their values, consumers pop until the producers are gone and nothing is left.
struct Stream {
  explicit Stream(const Counts& c)
      : counts(c),
        words(*MpmcIndexQueue::Words::create(memory.data(), c.capacity)),
        queue(words, c.capacity),
        producing(c.producers) {
    words.tail = words.head = c.start;
    for (std::size_t i = 0; i != c.capacity; ++i) {
      words.cells()[i] = 2 * (c.start / c.capacity) << 32;
    }
  }

  Counts counts;
  alignas(64) std::array<unsigned char, MpmcIndexQueue::Words::bytes(2)> memory{};
  MpmcIndexQueue::Words& words;
  MpmcIndexQueue queue;
  std::array<std::uint64_t, kMostValues> payloads{};
  std::array<std::uint32_t, kMostValues> popped{};  // how often
  std::array<bool, kMostValues> pushed{};
  std::size_t producing;

  // The producers are the first fibers.
  [[nodiscard]] std::size_t crashed(std::size_t first, std::size_t count) const {
    std::size_t dead = 0;
    for (std::size_t i = first; i != first + count; ++i) dead += explore::crashed(i);
    return dead;
  }
  [[nodiscard]] bool all_crashed(std::size_t first, std::size_t count) const {
    return crashed(first, count) == count;
  }
};

std::unique_ptr<Stream> state;

void setup(const Counts& counts) {
  state = std::make_unique<Stream>(counts);
  explore::name_words(&state->words.tail, 8, "tail");
  explore::name_words(&state->words.head, 8, "head");
  explore::name_words(state->words.cells(), 8 * counts.capacity, "cell");
  explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
}

void produce(std::uint32_t producer) {
  const Counts& counts = state->counts;
  for (std::uint32_t i = 0; i != counts.values_each; ++i) {
    const std::uint32_t value = producer * counts.values_each + i;
    state->payloads[value] = ~std::uint64_t{value};
    while (!state->queue.try_push(value)) {
      if (state->all_crashed(counts.producers, counts.consumers)) return;
      explore::yield();
    }
    state->pushed[value] = true;
  }
  --state->producing;
}

void take(std::uint32_t value, bool by_consumer) {
  require(value < state->counts.producers * state->counts.values_each, "popped an invented value");
  require(++state->popped[value] == 1, "popped a value twice");
  if (by_consumer) {
    require(state->payloads[value] == ~std::uint64_t{value}, "a payload came too late");
  }
}

void consume() {
  const Counts& counts = state->counts;
  for (;;) {
    const bool last = state->producing == state->crashed(0, counts.producers);
    if (const auto value = state->queue.try_pop()) {
      take(*value, true);
    } else {
      if (last) return;
      explore::yield();
    }
  }
}

void check() {
  const Counts& counts = state->counts;
  while (const auto value = state->queue.try_pop()) take(*value, false);
  std::size_t lost = 0;
  for (std::uint32_t value = 0; value != counts.producers * counts.values_each; ++value) {
    lost += state->pushed[value] && state->popped[value] == 0;
  }
  require(lost <= state->crashed(counts.producers, counts.consumers), "lost a value");
  // The survivors find a queue that works, and that is as large as it ever was.
  for (std::uint32_t round = 0; round != 2; ++round) {
    for (std::uint32_t i = 0; i != counts.capacity; ++i) {
      require(state->queue.try_push(i), "the queue has become smaller");
    }
    require(!state->queue.try_push(9), "the queue has become larger");
    for (std::uint32_t i = 0; i != counts.capacity; ++i) {
      require(state->queue.try_pop() == i, "the queue is out of order");
    }
    require(!state->queue.try_pop(), "the queue is never empty");
  }
}

void add(std::vector<Scenario>& all, const Counts& counts, unsigned preemptions, unsigned crashes,
         std::uint64_t min_executions) {
  Scenario scenario;
  scenario.name = std::to_string(counts.producers) + " to " + std::to_string(counts.consumers) +
                  ", capacity " + std::to_string(counts.capacity) + ", " +
                  std::to_string(counts.values_each) + " values each, " +
                  std::to_string(preemptions) + " preemptions, " + std::to_string(crashes) +
                  " crashes";
  scenario.options = {.preemptions = preemptions, .crashes = crashes};
  scenario.min_executions = min_executions;
  scenario.setup = [counts] { setup(counts); };
  for (std::uint32_t i = 0; i != counts.producers; ++i) {
    scenario.fibers.push_back({"producer " + std::to_string(i), [i] { produce(i); }});
  }
  for (std::uint32_t i = 0; i != counts.consumers; ++i) {
    scenario.fibers.push_back({"consumer " + std::to_string(i), consume});
  }
  scenario.check = check;
  all.push_back(scenario);
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  // Where turns, and where positions, start again from zero.
  constexpr std::uint64_t kLastTurn = (std::uint64_t{1} << 32) - 2;
  constexpr std::uint64_t kLastPosition = ~std::uint64_t{0} - 1;
  std::vector<Scenario> all;
  add(all, {1, 2, 2, 2, 0}, 2, 0, 80'000);
  add(all, {2, 2, 2, 2, 0}, 2, 0, 40'000);
  add(all, {1, 2, 2, 1, 0}, 2, 1, 1'000'000);
  add(all, {2, 2, 2, 1, 0}, 2, 1, 600'000);
  add(all, {1, 2, 1, 2, kLastPosition}, 2, 1, 700'000);
  add(all, {1, 1, 2, 3, 0}, 2, 1, 700'000);
  add(all, {2, 2, 1, 2, kLastTurn}, 2, 1, 200'000);
  add(all, {2, 1, 2, 3, 0}, 2, 1, 300'000);
  return all;
}
