// SPDX-License-Identifier: Apache-2.0
//
// A subscriber that blocks a lossless publisher is killed with SIGKILL: how long until loan_for
// goes on. The kills are spread over the publisher's sleep, so that the worst case is among them.
//
//   sluice_bench_recovery [--quick] [--check]      --check: fails where one took over 200 ms
#include <atomic>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;

constexpr double kLimitMs = 200;
constexpr auto kSpread = 100ms;  // no sleep in sluice is longer

struct Payload {
  std::uint64_t number;
};

struct Words {
  std::atomic<bool> is_blocked;
  std::atomic<std::int64_t> killed_ns;
};

/// Joins, reads nothing, and kills itself `delay` after the publisher is blocked.
int idler(const std::string& root, Words& words, std::chrono::nanoseconds delay) {
  sluice::Node node("idler", {.root = root});
  sluice::Subscriber<Payload> subscriber(node, "stream");
  while (subscriber.publishers() == 0) std::this_thread::sleep_for(1ms);
  // acquire: pairs with the release in `recovery_ms`.
  while (!words.is_blocked.load(std::memory_order_acquire)) std::this_thread::sleep_for(100us);
  std::this_thread::sleep_for(delay);
  // release: pairs with the acquire in `recovery_ms`.
  words.killed_ns.store(bench::now_ns(), std::memory_order_release);
  ::kill(::getpid(), SIGKILL);
  return 1;
}

double recovery_ms(const std::string& root, std::chrono::nanoseconds delay) {
  auto& words = bench::shared<Words>();
  const pid_t process = bench::spawn([&] { return idler(root, words, delay); });
  sluice::Node node("sender", {.root = root});
  sluice::Publisher<Payload> publisher(node, "stream", {.delivery = sluice::Delivery::lossless});
  bench::wait_for_subscribers(publisher, 1);
  for (;;) {
    auto loan = publisher.loan();
    if (!loan) break;  // would_block: the subscriber is behind by its depth
    publisher.publish(std::move(loan));
  }
  words.is_blocked.store(true, std::memory_order_release);
  auto loan = publisher.loan_for(10s);
  const std::int64_t went_on_ns = bench::now_ns();
  if (!loan) sluice::abort_with(publisher.last_failure().message.c_str());
  bench::wait_for(process);
  const std::int64_t killed_ns = words.killed_ns.load(std::memory_order_acquire);
  if (killed_ns == 0) sluice::abort_with("recovery: the publisher did not wait");
  ::munmap(&words, sizeof words);
  return static_cast<double>(went_on_ns - killed_ns) / 1e6;
}

int measure(const std::string& root, int rounds, bool is_check) {
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    times.push_back(recovery_ms(root, kSpread * round / rounds));
  }
  const double worst = *std::max_element(times.begin(), times.end());
  std::printf(
      "from SIGKILL to the next loan: median %.1f ms, worst %.1f ms of %d (limit %.0f ms)\n",
      bench::median(times), worst, rounds, kLimitMs);
  return is_check && worst > kLimitMs ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = bench::has_flag(argc, argv, "--quick");
  const bool is_check = bench::has_flag(argc, argv, "--check") && !is_quick;
  return bench::with_root(
      [&](const std::string& root) { return measure(root, is_quick ? 4 : 20, is_check); });
}
