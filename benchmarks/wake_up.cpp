// SPDX-License-Identifier: Apache-2.0
//
// From publish until a subscriber that sleeps in wait() holds the sample, and from notify until a
// listener that sleeps has the event, on another core and on the same one. Each compared with a
// bare futex wake in the same two processes, before and after.
//
//   sluice_bench_wake_up [--quick] [--check]      --check: fails above 1.1 times the bare wake
#include "wake_words.hpp"

namespace {

using namespace std::chrono_literals;

constexpr double kLimit = 1.1;

struct Payload {
  std::int64_t sent_ns;
};

using Words = bench::WakeWords;

struct Plan {
  int rounds;
  int wakes;  ///< in each measurement
};

int sleeper(const std::string& root, Words& words, const Plan& plan, int core) {
  bench::pin_to(core);
  sluice::Node node("sleeper", {.root = root});
  sluice::Subscriber<Payload> subscriber(node, "alarm");
  sluice::Listener listener(node, "alarm");
  std::uint32_t rung = 0;
  const auto sleep_on_futex = [&] {
    sleep_on_bell(words, rung++);
    return true;
  };
  const auto sleep_in_subscriber = [&] {
    auto sample = subscriber.wait(10s);
    if (sample) report(words, sample->sent_ns);
    return bool(sample);
  };
  const auto sleep_in_listener = [&] {
    const sluice::EventSet events = listener.wait(10s);
    if (events) report(words, words.sent_ns.load(std::memory_order_relaxed));
    return bool(events);
  };
  const auto sleep = [&](auto&& once) {
    for (int i = 0; i < plan.wakes; ++i) {
      if (!once()) return false;
    }
    return true;
  };
  for (int round = 0; round <= plan.rounds; ++round) {
    sleep(sleep_on_futex);
    if (!sleep(sleep_in_subscriber)) return 1;
    sleep(sleep_on_futex);
    if (!sleep(sleep_in_listener)) return 1;
    sleep(sleep_on_futex);
  }
  return 0;
}

/// What one way of waking takes, with the floors measured before and after.
class Ratios {
 public:
  explicit Ratios(const char* what) : what_(what) {}

  void add(double before, double time, double after) {
    floors_.push_back((before + after) / 2);
    times_.push_back(time);
    ratios_.push_back(time / floors_.back());
  }
  /// Returns whether it is below the limit.
  bool print(const char* where) const {
    const auto [least, most] = std::minmax_element(ratios_.begin(), ratios_.end());
    std::printf("%-13s %-12s %7.1f us = %.2f times a bare futex wake of %.1f us (%zu rounds: ",
                where, what_, bench::median(times_) / 1000, bench::median(ratios_),
                bench::median(floors_) / 1000, ratios_.size());
    std::printf("%.2f to %.2f)\n", *least, *most);
    return bench::median(ratios_) <= kLimit;
  }

 private:
  const char* what_;
  std::vector<double> ratios_, floors_, times_;
};

int measure(const std::string& root, const Plan& plan, int own_core, int sleepers_core,
            bool is_check) {
  auto& words = bench::shared<Words>();
  const pid_t process = bench::spawn([&] { return sleeper(root, words, plan, sleepers_core); });
  bench::pin_to(own_core);
  sluice::Node node("waker", {.root = root});
  sluice::Publisher<Payload> publisher(node, "alarm");
  sluice::Notifier notifier(node, "alarm");
  const auto wake_bare = [&](int) { ring_bell(words); };
  const auto wake_subscriber = [&](int) { publisher.publish(Payload{bench::now_ns()}); };
  const auto wake_listener = [&](int) {
    words.sent_ns.store(bench::now_ns(), std::memory_order_relaxed);
    notifier.notify(sluice::EventId{1});
  };

  Ratios sample("a sample:");
  Ratios event("an event:");
  const auto median_ns = [&](auto&& wake) {
    return median_wake_ns(words, process, plan.wakes, wake);
  };
  for (int round = 0; round <= plan.rounds; ++round) {
    const double before = median_ns(wake_bare);
    const double sample_time = median_ns(wake_subscriber);
    const double between = median_ns(wake_bare);
    const double event_time = median_ns(wake_listener);
    const double after = median_ns(wake_bare);
    if (round == 0) continue;  // to warm up
    sample.add(before, sample_time, between);
    event.add(between, event_time, after);
  }
  const char* where = own_core == sleepers_core ? "on one core:" : "across cores:";
  const bool sample_is_fast = sample.print(where);
  const bool event_is_fast = event.print(where);
  const int code = bench::wait_for(process);
  return is_check && !(sample_is_fast && event_is_fast) ? 1 : code;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = bench::has_flag(argc, argv, "--quick");
  const bool is_check = bench::has_flag(argc, argv, "--check") && !is_quick;
  const Plan plan = is_quick ? Plan{.rounds = 1, .wakes = 20} : Plan{.rounds = 41, .wakes = 300};
  const std::vector<int> cores = bench::cores();
  return bench::with_root([&](const std::string& root) {
    int code = 0;
    if (cores.size() >= 2) code = measure(root, plan, cores[0], cores[1], is_check);
    return code | measure(root, plan, cores[0], cores[0], is_check);
  });
}
