// SPDX-License-Identifier: Apache-2.0
//
// From publish until the callback of a wait set that sleeps for 1, 16 or 100 subscribers holds the
// sample, on futexes and on pipes. Compared with a bare futex wake in the same two processes,
// before and after. And what such a set costs when nothing comes.
//
//   sluice_bench_wait_set [--quick]
#include <fcntl.h>
#include <sys/resource.h>

#include <atomic>
#include <functional>
#include <memory>

#include "wake_words.hpp"

namespace {

using namespace std::chrono_literals;

struct Payload {
  std::int64_t sent_ns;
};

enum class Way { futex, pipes, descriptor };

struct Plan {
  Way way;
  int ports;
  int rounds;
  int wakes;  ///< in each measurement
  std::chrono::milliseconds idle;
};

struct Words : bench::WakeWords {
  std::atomic<std::int64_t> idle_cpu_ns;  ///< in a second
  std::atomic<std::int64_t> idle_sleeps;  ///< in a second
};

std::string service(int number) { return "alarm" + std::to_string(number); }

std::int64_t cpu_ns(const rusage& usage) {
  const auto ns = [](const timeval& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_usec} * 1000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

/// What sleeping for `plan.idle` took, scaled to a second.
void measure_idle(Words& words, const Plan& plan, const std::function<void()>& sleep) {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const std::int64_t begin = bench::now_ns();
  while (bench::now_ns() - begin < std::chrono::nanoseconds(plan.idle).count()) sleep();
  ::getrusage(RUSAGE_SELF, &after);
  const double seconds = static_cast<double>(bench::now_ns() - begin) / 1e9;
  const auto a_second = [seconds](std::int64_t amount) {
    return static_cast<std::int64_t>(static_cast<double>(amount) / seconds);
  };
  words.idle_cpu_ns.store(a_second(cpu_ns(after) - cpu_ns(before)), std::memory_order_relaxed);
  words.idle_sleeps.store(a_second(after.ru_nvcsw - before.ru_nvcsw), std::memory_order_relaxed);
}

int sleeper(const std::string& root, Words& words, const Plan& plan, int core) {
  bench::pin_to(core);
  sluice::Node node("sleeper", {.root = root});
  std::vector<std::unique_ptr<sluice::Subscriber<Payload>>> subscribers;
  sluice::WaitSet wait_set;
  const auto take = [&words](sluice::Subscriber<Payload>& subscriber) {
    while (auto sample = subscriber.receive()) report(words, sample->sent_ns);
  };
  for (int i = 0; i < plan.ports; ++i) {
    subscribers.push_back(std::make_unique<sluice::Subscriber<Payload>>(node, service(i)));
    auto& subscriber = *subscribers.back();
    if (plan.way == Way::descriptor) {
      wait_set.attach_fd(subscriber.fd(), [&] { take(subscriber); });
    } else {
      wait_set.attach(subscriber, [&] { take(subscriber); });
    }
  }
  int silent[2];
  if (::pipe2(silent, O_CLOEXEC) != 0) return 1;
  if (plan.way == Way::pipes) wait_set.attach_fd(silent[0], [] {});

  std::uint32_t rung = 0;
  for (int round = 0; round <= plan.rounds; ++round) {
    for (int i = 0; i < plan.wakes; ++i) sleep_on_bell(words, rung++);
    const std::uint32_t until = words.woken.load() + static_cast<std::uint32_t>(plan.wakes);
    while (words.woken.load(std::memory_order_relaxed) != until) {
      if (wait_set.wait(10s) == 0) return 1;
    }
    for (int i = 0; i < plan.wakes; ++i) sleep_on_bell(words, rung++);
  }
  measure_idle(words, plan, [&] { wait_set.wait(plan.idle); });
  return 0;
}

const char* to_string(Way way) {
  if (way == Way::futex) return "futexes";
  return way == Way::pipes ? "pipes" : "fd()";
}

int measure(const std::string& root, const Plan& plan, int own_core, int sleepers_core) {
  auto& words = bench::shared<Words>();
  const pid_t process = bench::spawn([&] { return sleeper(root, words, plan, sleepers_core); });
  bench::pin_to(own_core);
  sluice::Node node("waker", {.root = root});
  std::vector<std::unique_ptr<sluice::Publisher<Payload>>> publishers;
  for (int i = 0; i < plan.ports; ++i) {
    publishers.push_back(std::make_unique<sluice::Publisher<Payload>>(node, service(i)));
    bench::wait_for_subscribers(*publishers.back(), 1);
  }
  const auto wake_bare = [&](int) { ring_bell(words); };
  const auto wake_set = [&](int i) {
    publishers[static_cast<std::size_t>(i % plan.ports)]->publish(Payload{bench::now_ns()});
  };

  const auto median_ns = [&](auto&& wake) {
    return median_wake_ns(words, process, plan.wakes, wake);
  };
  std::vector<double> ratios, floors, times;
  for (int round = 0; round <= plan.rounds; ++round) {
    const double before = median_ns(wake_bare);
    const double time = median_ns(wake_set);
    const double after = median_ns(wake_bare);
    if (round == 0) continue;  // to warm up
    floors.push_back((before + after) / 2);
    times.push_back(time);
    ratios.push_back(time / floors.back());
  }
  const int code = bench::wait_for(process);
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  std::printf(
      "%-7s %3d ports: %6.1f us = %5.2f times a bare futex wake of %4.1f us (%d rounds: %.2f to "
      "%.2f); idle: %5.2f ms of processor and %lld sleeps a second\n",
      to_string(plan.way), plan.ports, bench::median(times) / 1000, bench::median(ratios),
      bench::median(floors) / 1000, plan.rounds, *least, *most,
      static_cast<double>(words.idle_cpu_ns) / 1e6, static_cast<long long>(words.idle_sleeps));
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_quick = bench::has_flag(argc, argv, "--quick");
  const std::vector<int> cores = bench::cores();
  const int own_core = cores[0];
  const int sleepers_core = cores.size() >= 2 ? cores[1] : cores[0];
  return bench::with_root([&](const std::string& root) {
    for (const Way way : {Way::futex, Way::pipes, Way::descriptor}) {
      for (const int ports : {1, 16, 100}) {
        const Plan plan{.way = way,
                        .ports = ports,
                        .rounds = is_quick ? 1 : 5,
                        .wakes = is_quick ? 5 : 200,
                        .idle = is_quick ? 20ms : 2000ms};
        if (measure(root, plan, own_core, sleepers_core) != 0) return 1;
      }
    }
    return 0;
  });
}
