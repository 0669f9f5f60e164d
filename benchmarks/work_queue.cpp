// SPDX-License-Identifier: Apache-2.0
//
// A work queue between processes.
//
// Latency, two pinned processes that poll: a job of 16 bytes pushed by one and taken by the other,
// and one back through a second queue; half a round trip, each job done on the way. Compared with
// the floor as `latency` does: a bare sequence number that goes to and fro on two cache lines.
//
// Throughput: jobs a second from n producers to n workers, all of which sleep where they must wait.
//
//   sluice_bench_work_queue [--quick]
#include <atomic>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;

/// A batch is far shorter than a time slice: its median passes over what the scheduler took away.
constexpr int kTripsInBatch = 200;

struct Numbers {
  std::uint64_t number;
  std::uint64_t twice;
};
static_assert(sizeof(Numbers) == 16);

struct Plan {
  int rounds;
  int batches;         ///< in each measurement
  std::uint64_t jobs;  ///< of throughput, in all
  [[nodiscard]] int trips() const noexcept { return batches * kTripsInBatch; }
};

// ---- latency ------------------------------------------------------------------------------------

/// 256 bytes between the two: no prefetcher takes one for the other's neighbour.
struct Floor {
  alignas(256) std::atomic<std::uint64_t> there;
  alignas(256) std::atomic<std::uint64_t> back;
};

/// One end of the ping-pong.
struct Port {
  Port(const std::string& root, const char* name, const char* out_queue, const char* in_queue)
      : node(name, {.root = root}), out(node, out_queue), in(node, in_queue) {
    while (out.workers() == 0 || in.producers() == 0) std::this_thread::sleep_for(1ms);
  }

  void push(std::uint64_t number) noexcept {
    if (!out.push(out.loan(number, 2 * number))) {
      sluice::abort_with(out.last_failure().message.c_str());
    }
  }
  [[nodiscard]] std::uint64_t poll() noexcept {
    for (;;) {
      const auto job = in.receive();
      if (!job) continue;
      if (job->twice != 2 * job->number) sluice::abort_with("work_queue: a wrong job");
      return job->number;
    }
  }

  sluice::Node node;
  sluice::Producer<Numbers> out;
  sluice::Worker<Numbers> in;
};

std::uint64_t floor_sent = 0;
std::uint64_t sent = 0;

void floor_trip(Floor& words) noexcept {
  words.there.store(++floor_sent, std::memory_order_release);
  while (words.back.load(std::memory_order_acquire) != floor_sent) {
  }
}

void floor_echo(Floor& words) noexcept {
  ++floor_sent;
  while (words.there.load(std::memory_order_acquire) != floor_sent) {
  }
  words.back.store(floor_sent, std::memory_order_release);
}

void trip(Port& port) noexcept {
  port.push(++sent);
  if (port.poll() != sent) sluice::abort_with("work_queue: a wrong answer");
}

/// Nanoseconds one way: the median of the batches.
template <typename Trip>
double one_way_ns(const Plan& plan, Trip&& make_trip) {
  std::vector<double> batches;
  for (int batch = 0; batch < plan.batches; ++batch) {
    const std::int64_t start = bench::now_ns();
    for (int i = 0; i < kTripsInBatch; ++i) make_trip();
    batches.push_back(static_cast<double>(bench::now_ns() - start) / (2.0 * kTripsInBatch));
  }
  return bench::median(std::move(batches));
}

int answer(const std::string& root, Floor& words, const Plan& plan, int core) {
  bench::pin_to(core);
  Port port(root, "answerer", "pong", "ping");
  for (int round = 0; round <= plan.rounds; ++round) {
    for (int i = 0; i < plan.trips(); ++i) floor_echo(words);
    for (int i = 0; i < plan.trips(); ++i) port.push(port.poll());
    for (int i = 0; i < plan.trips(); ++i) floor_echo(words);
  }
  return 0;
}

int ask(const std::string& root, Floor& words, const Plan& plan, int core) {
  bench::pin_to(core);
  Port port(root, "asker", "ping", "pong");
  std::vector<double> ratios, latencies;
  std::printf("round   floor before   sluice   floor after   ratio   (ns one way)\n");
  for (int round = 0; round <= plan.rounds; ++round) {
    const double before = one_way_ns(plan, [&] { floor_trip(words); });
    const double latency = one_way_ns(plan, [&] { trip(port); });
    const double after = one_way_ns(plan, [&] { floor_trip(words); });
    if (round == 0) continue;  // to warm up
    ratios.push_back(latency / ((before + after) / 2));
    latencies.push_back(latency);
    std::printf("%5d %14.1f %8.1f %13.1f %7.2f\n", round, before, latency, after, ratios.back());
  }
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf("push to take: %.0f ns = %.2f times the floor\n", bench::median(latencies),
              bench::median(ratios));
  std::printf("the ratio is a median of %d rounds: %.2f to %.2f\n", plan.rounds, *least, *most);
  return 0;
}

int measure_latency(const std::string& root, const Plan& plan) {
  const std::vector<int> cores = bench::cores();
  if (cores.size() < 2) {
    std::printf("latency is left out: two processes that poll need two cores\n");
    return 0;
  }
  auto& words = bench::shared<Floor>();
  const pid_t answerer = bench::spawn([&] { return answer(root, words, plan, cores[1]); });
  const pid_t asker = bench::spawn([&] { return ask(root, words, plan, cores[0]); });
  const int code = bench::wait_for(asker);
  return bench::wait_for(answerer) != 0 ? 1 : code;
}

// ---- throughput ---------------------------------------------------------------------------------

struct Gate {
  std::atomic<int> ready;
  std::atomic<bool> is_open;
  std::atomic<bool> is_over;
};

int produce(const std::string& root, Gate& gate, std::uint64_t jobs, int workers) {
  const sluice::Node node("producer", {.root = root});
  sluice::Producer<Numbers> producer(node, "jobs", {.depth = 1024});
  while (producer.workers() < static_cast<std::uint32_t>(workers)) std::this_thread::sleep_for(1ms);
  ++gate.ready;
  while (!gate.is_open) std::this_thread::sleep_for(1ms);
  for (std::uint64_t i = 0; i < jobs; ++i) {
    if (!producer.push_for(10s, Numbers{i, 2 * i})) return 1;
  }
  return producer.wait_until_done(10s) ? 0 : 1;
}

int work(const std::string& root, const Gate& gate) {
  const sluice::Node node("worker", {.root = root});
  sluice::Worker<Numbers> worker(node, "jobs");
  while (!gate.is_over) {
    const auto job = worker.wait(10ms);
    if (job && job->twice != 2 * job->number) return 1;
  }
  return 0;
}

int measure_throughput(const std::string& root, std::uint64_t jobs, int pairs) {
  auto& gate = bench::shared<Gate>();
  std::vector<pid_t> workers, producers;
  for (int i = 0; i < pairs; ++i) workers.push_back(bench::spawn([&] { return work(root, gate); }));
  for (int i = 0; i < pairs; ++i) {
    producers.push_back(bench::spawn(
        [&] { return produce(root, gate, jobs / static_cast<std::uint64_t>(pairs), pairs); }));
  }
  while (gate.ready < pairs) std::this_thread::sleep_for(1ms);
  const std::int64_t start = bench::now_ns();
  gate.is_open = true;
  int code = 0;
  for (const pid_t producer : producers) code |= bench::wait_for(producer);
  const double seconds = static_cast<double>(bench::now_ns() - start) / 1e9;
  gate.is_over = true;
  for (const pid_t worker : workers) code |= bench::wait_for(worker);
  std::printf("%d producers, %d workers: %.2f million jobs a second\n", pairs, pairs,
              static_cast<double>(jobs) / seconds / 1e6);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = bench::has_flag(argc, argv, "--quick");
  const Plan plan = is_quick ? Plan{.rounds = 1, .batches = 5, .jobs = 100'000}
                             : Plan{.rounds = 21, .batches = 100, .jobs = 4'000'000};
  return bench::with_root([&](const std::string& root) {
    int code = measure_latency(root, plan);
    for (const int pairs : {1, 2, 4}) code |= measure_throughput(root, plan.jobs, pairs);
    return code;
  });
}
