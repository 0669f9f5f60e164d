// SPDX-License-Identifier: Apache-2.0
//
// One round trip of request and response between two pinned processes that poll: a request is
// loaned, written and sent, read by the server, answered in a loan of its own, and the response is
// read. Compared with the one-way floor, a bare sequence number that goes to and fro in the same
// two processes on two cache lines, before and after.
//
//   sluice_bench_round_trip [--quick] [--check]      --check: fails above 4.0 times the floor
#include "ping_pong.hpp"

namespace {

constexpr double kLimit = 4.0;

template <std::size_t kWords>
struct Payload {
  std::uint64_t number;
  std::uint64_t words[kWords - 1];
};

struct Plan {
  int rounds;
  int batches;  ///< in each measurement
  [[nodiscard]] int trips() const noexcept { return batches * bench::kTripsInBatch; }
};

template <typename T>
int answer(const std::string& root, bench::Floor& words, const Plan& plan, int core) {
  bench::pin_to(core);
  sluice::Node node("server", {.root = root});
  sluice::Server<T, T> server(node, "echo");
  while (server.clients() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  bench::FloorEnd floor(words);
  const auto echo = [&] {
    for (;;) {
      auto request = server.receive();
      if (!request) continue;
      auto response = request.loan();
      if (!response) sluice::abort_with(server.last_failure().message.c_str());
      response->number = request->number + 1;
      response->words[0] = 2 * request->words[0];
      request.respond(std::move(response));
      return;
    }
  };
  for (int round = 0; round <= plan.rounds; ++round) {
    for (int i = 0; i < plan.trips(); ++i) floor.answer();
    for (int i = 0; i < plan.trips(); ++i) echo();
    for (int i = 0; i < plan.trips(); ++i) floor.answer();
  }
  return 0;
}

template <typename T>
double ask(const std::string& root, bench::Floor& words, const Plan& plan, int core) {
  bench::pin_to(core);
  sluice::Node node("client", {.root = root});
  sluice::Client<T, T> client(node, "echo");
  while (client.servers() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  bench::FloorEnd floor(words);
  std::uint64_t sent = 0;
  const auto trip = [&] {
    auto request = client.loan();
    if (!request) sluice::abort_with(client.last_failure().message.c_str());
    request->number = ++sent;
    request->words[0] = sent;
    auto pending = client.send(std::move(request));
    for (;;) {
      const auto response = pending.receive();
      if (!response) continue;
      if (response->number != sent + 1 || response->words[0] != 2 * sent) {
        sluice::abort_with("round_trip: a wrong answer");
      }
      return;
    }
  };
  std::vector<double> ratios, times;
  std::printf(
      "%zu bytes\nround   floor before   sluice   floor after   ratio   (ns; floor one way)\n",
      sizeof(T));
  for (int round = 0; round <= plan.rounds; ++round) {
    const double before = bench::batch_ns(plan.batches, [&] { floor.ask(); }) / 2;
    const double time = bench::batch_ns(plan.batches, trip);
    const double after = bench::batch_ns(plan.batches, [&] { floor.ask(); }) / 2;
    if (round == 0) continue;  // to warm up
    ratios.push_back(time / ((before + after) / 2));
    times.push_back(time);
    std::printf("%5d %14.1f %8.1f %13.1f %7.2f\n", round, before, time, after, ratios.back());
  }
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  const double ratio = bench::median(ratios);
  std::printf("round trip: %.0f ns = %.2f times the one-way floor (needs at most %.1f)\n",
              bench::median(times), ratio, kLimit);
  std::printf("the ratio is a median of %d rounds: %.2f to %.2f\n", plan.rounds, *least, *most);
  return ratio;
}

template <typename T>
int measure(const Plan& plan, const std::vector<int>& cores, bool is_check) {
  return bench::with_root([&](const std::string& root) {
    auto& floor = bench::shared<bench::Floor>();
    const pid_t server = bench::spawn([&] { return answer<T>(root, floor, plan, cores[1]); });
    const double ratio = ask<T>(root, floor, plan, cores[0]);
    return bench::wait_for(server) != 0 || (is_check && ratio > kLimit) ? 1 : 0;
  });
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
  const int small = measure<Payload<2>>(plan, cores, is_check);
  const int large = measure<Payload<8>>(plan, cores, is_check);
  return small != 0 || large != 0 ? 1 : 0;
}
