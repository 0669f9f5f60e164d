// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/queue/work_index_queue.hpp>
#include <string>
#include <vector>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::WorkIndexQueue;

constexpr std::uint32_t kMostJobs = 6;
constexpr std::size_t kMostSlots = 2;
constexpr std::uint32_t kMostWorkers = 3;
constexpr std::uint32_t kNobody = ~std::uint32_t{0};

// What the workers do with a job that nobody had before.
enum class FirstTry { finish, put_back, first_worker_puts_back_and_leaves };

struct Counts {
  std::size_t capacity;
  std::uint32_t producers;
  std::uint32_t workers;
  std::uint32_t jobs_each;
  std::uint32_t slots_each = 1;
  std::uint64_t start = 0;  // position at which the queue is when it begins
  FirstTry first_try = FirstTry::finish;
};

struct Job {
  bool pushed = false;
  bool done = false;
  std::uint32_t tries = 0;
  std::uint32_t worker = kNobody;  // who is at it
};

// Producers write their jobs into slots, again and again the same ones, and workers do the jobs
// until the producers are gone and nothing is left. Each has an object of its own, as in a process
// of its own.
struct Work {
  explicit Work(const Counts& c)
      : counts(c),
        words(*WorkIndexQueue::Words::create(memory.data(), c.capacity)),
        producing(c.producers) {
    words.tail = words.head = c.start;
    for (std::size_t i = 0; i != c.capacity; ++i) words.cells()[i] = (c.start / c.capacity) << 40;
    for (std::uint32_t i = 0; i != c.workers; ++i) queues.emplace_back(words, c.capacity);
  }

  Counts counts;
  alignas(64) std::array<unsigned char, WorkIndexQueue::Words::bytes(2)> memory{};
  WorkIndexQueue::Words& words;
  std::vector<WorkIndexQueue> queues;  // the workers'
  std::array<std::uint64_t, 2 * kMostSlots> payloads{};
  std::array<Job, kMostJobs> jobs{};
  std::array<bool, kMostWorkers> reaped{};
  std::size_t producing;

  // The producers are the first fibers.
  [[nodiscard]] bool no_more() const {
    std::size_t dead = 0;
    for (std::size_t i = 0; producing != 0 && i != counts.producers; ++i) {
      dead += explore::crashed(i);
    }
    return producing == dead;
  }
  [[nodiscard]] bool worker_crashed(std::uint32_t worker) const {
    return explore::crashed(counts.producers + worker);
  }
  [[nodiscard]] std::uint32_t crashed_workers() const {
    std::uint32_t dead = 0;
    for (std::uint32_t i = 0; i != counts.workers; ++i) dead += worker_crashed(i);
    return dead;
  }
};

std::unique_ptr<Work> state;

void setup(const Counts& counts) {
  state = std::make_unique<Work>(counts);
  explore::name_words(&state->words.tail, 8, "tail");
  explore::name_words(&state->words.head, 8, "head");
  explore::name_words(&state->words.returned, 8, "returned");
  explore::name_words(state->words.cells(), 8 * counts.capacity, "cell");
  explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
}

void produce(std::uint32_t producer) {
  const Counts& counts = state->counts;
  WorkIndexQueue queue(state->words, counts.capacity);
  std::array<std::optional<std::uint64_t>, kMostSlots> positions{};
  for (std::uint32_t i = 0; i != counts.jobs_each; ++i) {
    const std::uint32_t slot = i % counts.slots_each;
    const std::uint32_t id = producer * counts.jobs_each + i;
    auto& position = positions[slot];
    while (position && queue.is_pending(*position, producer, slot)) {
      if (state->crashed_workers() == counts.workers) return;
      explore::yield();
    }
    state->payloads[producer * kMostSlots + slot] = id;
    while (!(position = queue.push(producer, slot))) {
      if (state->crashed_workers() == counts.workers) return;
      explore::yield();
    }
    state->jobs[id].pushed = true;
  }
  --state->producing;
}

// `require`, for `check`, which a failure does not end.
bool holds(bool condition, const char* message) {
  require(condition, message);
  return condition;
}

Job& begin(std::uint32_t worker, const WorkIndexQueue::Job& taken) {
  const Counts& counts = state->counts;
  require(taken.producer < counts.producers && taken.slot < counts.slots_each, "an invented slot");
  const std::uint64_t id =
      state->payloads[taken.producer % 2 * kMostSlots + taken.slot % kMostSlots];
  require(id / counts.jobs_each == taken.producer, "a payload came too late");
  Job& job = state->jobs[id];
  require(!job.done, "a job that is done is done again");
  require(job.worker == kNobody || state->worker_crashed(job.worker), "two workers have one job");
  job.worker = worker;
  ++job.tries;
  require(taken.attempt >= job.tries, "an attempt was not counted");
  return job;
}

// Whether something was put back.
bool reap(std::uint32_t reaper) {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i != state->counts.workers; ++i) {
    if (i == reaper || state->reaped[i] || !state->worker_crashed(i)) continue;
    count += state->queues[reaper].put_back_all(i);
    state->reaped[i] = true;
  }
  return count != 0;
}

// Nothing when everything is done.
std::optional<WorkIndexQueue::Job> wait(std::uint32_t worker) {
  for (;;) {
    const bool last = state->no_more();
    if (const auto taken = state->queues[worker].take(worker)) return taken;
    if (reap(worker)) continue;
    if (last) return std::nullopt;
    explore::yield();
  }
}

void work(std::uint32_t worker) {
  const FirstTry first_try = state->counts.first_try;
  const bool leaves = worker == 0 && first_try == FirstTry::first_worker_puts_back_and_leaves;
  WorkIndexQueue& queue = state->queues[worker];
  while (const auto taken = wait(worker)) {
    Job& job = begin(worker, *taken);
    if (taken->attempt == 1 && (first_try == FirstTry::put_back || leaves)) {
      job.worker = kNobody;
      require(queue.put_back(*taken), "a living worker lost its job");
      if (leaves) return;
    } else {
      require(queue.finish(*taken), "a living worker lost its job");
      job.worker = kNobody;
      job.done = true;
    }
  }
}

void check() {
  const Counts& counts = state->counts;
  // Once more, as if the reapers had been killed too.
  for (std::uint32_t i = 0; i != counts.workers; ++i) {
    if (state->worker_crashed(i)) state->queues[i].put_back_all(i);
  }
  // Nobody was killed: every job that was put back was announced to the last worker.
  const bool hinted = state->crashed_workers() == 0;
  const std::uint32_t worker = counts.workers - 1;
  WorkIndexQueue& queue = state->queues[worker];
  for (;;) {
    const bool seen = queue.has_ready();
    auto taken = queue.take(worker);
    if (!taken && !hinted) taken = queue.take_returned(worker);
    if (!taken) break;
    require(seen || !hinted, "a sleeper would not wake up");
    Job& job = begin(worker, *taken);
    require(taken->attempt <= 2 + state->crashed_workers(), "an attempt that never was");
    require(queue.has_jobs_of(taken->producer), "a producer whose job is not done has no jobs");
    if (!holds(queue.finish(*taken), "a living worker lost its job")) return;
    job.done = true;
    job.worker = kNobody;
  }
  for (const Job& job : state->jobs) {
    if (!holds(job.done || !job.pushed, "lost a job")) return;
  }
  for (std::uint32_t i = 0; i != counts.producers; ++i) {
    require(!queue.has_jobs_of(i), "a producer whose jobs are done has jobs");
  }
  // The survivors find a queue that works, and that is as large as it ever was.
  require(queue.empty(), "a cell is not free");
  for (std::uint32_t round = 0; round != 2; ++round) {
    std::array<std::optional<std::uint64_t>, 2> positions{};
    for (std::uint32_t i = 0; i != counts.capacity; ++i) {
      positions[i] = queue.push(7, i);
      if (!holds(positions[i].has_value(), "the queue has become smaller")) return;
    }
    if (!holds(!queue.push(7, 9), "the queue has become larger")) return;
    for (std::uint32_t i = 0; i != counts.capacity; ++i) {
      const auto taken = queue.take(worker);
      const bool in_order =
          taken && taken->position == positions[i] && taken->slot == i && taken->attempt == 1;
      if (!holds(in_order, "the queue is out of order")) return;
      require(queue.is_pending(*positions[i], 7, i), "a job is done before it is done");
      require(queue.finish(*taken), "a living worker lost its job");
      require(!queue.is_pending(*positions[i], 7, i), "a job is never done");
    }
    require(!queue.take(worker) && !queue.take_returned(worker), "the queue is never empty");
  }
}

void add(std::vector<Scenario>& all, const Counts& counts, unsigned preemptions, unsigned crashes,
         std::uint64_t min_executions) {
  static constexpr const char* kFirstTries[] = {"", ", all put back once", ", one puts back"};
  Scenario scenario;
  scenario.name =
      std::to_string(counts.producers) + " to " + std::to_string(counts.workers) + ", capacity " +
      std::to_string(counts.capacity) + ", " + std::to_string(counts.jobs_each) + " jobs each" +
      kFirstTries[static_cast<int>(counts.first_try)] + ", " + std::to_string(preemptions) +
      " preemptions, " + std::to_string(crashes) + " crashes";
  scenario.options = {.preemptions = preemptions, .crashes = crashes};
  scenario.min_executions = min_executions;
  scenario.setup = [counts] { setup(counts); };
  for (std::uint32_t i = 0; i != counts.producers; ++i) {
    scenario.fibers.push_back({"producer " + std::to_string(i), [i] { produce(i); }});
  }
  for (std::uint32_t i = 0; i != counts.workers; ++i) {
    scenario.fibers.push_back({"worker " + std::to_string(i), [i] { work(i); }});
  }
  scenario.check = check;
  all.push_back(scenario);
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  // Where laps, and where positions, start again from zero.
  constexpr std::uint64_t kLastLap = (std::uint64_t{1} << 24) - 1;
  constexpr std::uint64_t kLastPosition = ~std::uint64_t{0} - 1;
  constexpr FirstTry kPutBack = FirstTry::put_back;
  constexpr FirstTry kLeave = FirstTry::first_worker_puts_back_and_leaves;
  std::vector<Scenario> all;
  add(all, {2, 1, 2, 2, 2, 0, kLeave}, 2, 0, 5'000);
  add(all, {2, 1, 2, 2, 1, 0, kPutBack}, 2, 0, 25'000);
  add(all, {1, 2, 2, 2}, 2, 0, 150'000);
  add(all, {2, 2, 2, 2}, 2, 0, 130'000);
  add(all, {1, 1, 3, 1}, 1, 2, 800'000);
  add(all, {2, 1, 2, 1, 1, 0, kPutBack}, 2, 1, 150'000);
  add(all, {1, 1, 2, 2, 1, kLastLap}, 2, 1, 600'000);
  add(all, {2, 1, 2, 2, 2, kLastPosition}, 2, 1, 200'000);
  add(all, {1, 2, 2, 1}, 2, 1, 2'500'000);
  add(all, {2, 2, 2, 1}, 1, 1, 40'000);
  return all;
}
