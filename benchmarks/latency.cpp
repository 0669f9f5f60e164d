// SPDX-License-Identifier: Apache-2.0
//
// One-way latency between two pinned processes that poll: 16 bytes written by one and read by the
// other, and back on a second service; half a round trip. Compared with the floor, a bare sequence
// number that goes to and fro in the same two processes on two cache lines, before and after.
//
//   sluice_bench_latency [--quick] [--check]      --check: fails above 2.0 times the floor
#include "ping_pong.hpp"

namespace {

constexpr double kLimit = 2.0;
struct Payload {
  std::uint64_t number;
  std::uint64_t twice;
};
static_assert(sizeof(Payload) == 16);

struct Plan {
  int rounds;
  int batches;  ///< in each measurement
  [[nodiscard]] int trips() const noexcept { return batches * bench::kTripsInBatch; }
};

/// One end of the ping-pong through sluice.
struct Port {
  Port(const std::string& root, const char* name, const char* out_service, const char* in_service)
      : node(name, {.root = root}), out(node, out_service), in(node, in_service) {}

  void send(std::uint64_t number) noexcept {
    auto loan = out.loan();
    if (!loan) sluice::abort_with(out.last_failure().message.c_str());
    loan->number = number;
    loan->twice = 2 * number;
    out.publish(std::move(loan));
  }
  /// A subscriber joins a publisher that came later when it next looks; until then, both look.
  void connect() {
    while (out.subscribers() == 0 || in.publishers() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  [[nodiscard]] sluice::Sample<Payload> poll() noexcept {
    for (;;) {
      auto sample = in.receive();
      if (sample) return sample;
    }
  }

  sluice::Node node;
  sluice::Publisher<Payload> out;
  sluice::Subscriber<Payload> in;
};

std::uint64_t sent = 0;

void trip(Port& port) noexcept {
  port.send(++sent);
  const auto answer = port.poll();
  if (answer->number != sent + 1 || answer->twice != 2 * (sent + 1)) {
    sluice::abort_with("latency: a wrong answer");
  }
}

void echo(Port& port) noexcept {
  const auto question = port.poll();
  if (question->twice != 2 * question->number) sluice::abort_with("latency: a wrong question");
  port.send(question->number + 1);
}

int answer(const std::string& root, bench::Floor& words, const Plan& plan, int core) {
  bench::pin_to(core);
  Port port(root, "answerer", "pong", "ping");
  port.connect();
  bench::FloorEnd floor(words);
  for (int round = 0; round <= plan.rounds; ++round) {
    for (int i = 0; i < plan.trips(); ++i) floor.answer();
    for (int i = 0; i < plan.trips(); ++i) echo(port);
    for (int i = 0; i < plan.trips(); ++i) floor.answer();
  }
  return 0;
}

int ask(const std::string& root, bench::Floor& words, const Plan& plan, int core, bool is_check) {
  bench::pin_to(core);
  Port port(root, "asker", "ping", "pong");
  port.connect();
  bench::FloorEnd floor(words);
  std::vector<double> ratios, latencies;
  std::printf("round   floor before   sluice   floor after   ratio   (ns one way)\n");
  for (int round = 0; round <= plan.rounds; ++round) {
    const double before = bench::batch_ns(plan.batches, [&] { floor.ask(); }) / 2;
    const double latency = bench::batch_ns(plan.batches, [&] { trip(port); }) / 2;
    const double after = bench::batch_ns(plan.batches, [&] { floor.ask(); }) / 2;
    if (round == 0) continue;  // to warm up
    const double ratio = latency / ((before + after) / 2);
    ratios.push_back(ratio);
    latencies.push_back(latency);
    std::printf("%5d %14.1f %8.1f %13.1f %7.2f\n", round, before, latency, after, ratio);
  }
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  const double ratio = bench::median(ratios);
  std::printf("one way: %.0f ns = %.2f times the floor (needs at most %.1f)\n",
              bench::median(latencies), ratio, kLimit);
  std::printf("the ratio is a median of %d rounds: %.2f to %.2f\n", plan.rounds, *least, *most);
  return is_check && ratio > kLimit ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = bench::has_flag(argc, argv, "--quick");
  const bool is_check = bench::has_flag(argc, argv, "--check") && !is_quick;
  const std::vector<int> cores = bench::cores();
  if (cores.size() < 2) {
    std::printf("left out: two processes that poll need two cores\n");
    return 0;
  }
  const Plan plan = is_quick ? Plan{.rounds = 1, .batches = 5} : Plan{.rounds = 21, .batches = 100};
  return bench::with_root([&](const std::string& root) {
    auto& words = bench::shared<bench::Floor>();
    const pid_t answerer = bench::spawn([&] { return answer(root, words, plan, cores[1]); });
    const int code = ask(root, words, plan, cores[0], is_check);
    return bench::wait_for(answerer) != 0 ? 1 : code;
  });
}
