// SPDX-License-Identifier: Apache-2.0
//
// What a process that wakes and the one that it wakes share, to measure how long that takes.
#pragma once

#include <atomic>
#include <fstream>
#include <sluice/platform/futex.hpp>

#include "support.hpp"

namespace bench {

struct WakeWords {
  alignas(64) std::atomic<std::uint32_t> bell;  ///< of a bare futex wake
  std::atomic<std::int64_t> sent_ns;
  alignas(64) std::atomic<std::uint32_t> woken;  ///< wake-ups so far
  std::atomic<std::int64_t> took_ns;             ///< the last one
};

/// Whether `process`, which has one thread, is off the processor and sleeps.
[[nodiscard]] inline bool is_asleep(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text[name_end + 2] == 'S';
}

/// The one who was woken has what was sent at `sent_ns`.
inline void report(WakeWords& words, std::int64_t sent_ns) noexcept {
  words.took_ns.store(now_ns() - sent_ns, std::memory_order_relaxed);
  // release: pairs with the acquire in `median_wake_ns`.
  words.woken.fetch_add(1, std::memory_order_release);
}

/// Sleeps until the bell is no longer `rung`, and reports that.
inline void sleep_on_bell(WakeWords& words, std::uint32_t rung) {
  while (words.bell.load(std::memory_order_acquire) == rung) {
    sluice::futex_wait(words.bell, rung, std::chrono::seconds(10));
  }
  report(words, words.sent_ns.load(std::memory_order_relaxed));
}

inline void ring_bell(WakeWords& words) {
  words.sent_ns.store(now_ns(), std::memory_order_relaxed);
  words.bell.fetch_add(1, std::memory_order_release);
  sluice::futex_wake_all(words.bell);
}

/// The median time of `wakes` calls of `wake(i)`, each made when `process` sleeps.
template <typename Wake>
[[nodiscard]] double median_wake_ns(WakeWords& words, pid_t process, int wakes, Wake&& wake) {
  std::vector<double> took;
  for (int i = 0; i < wakes; ++i) {
    const std::uint32_t woken = words.woken.load(std::memory_order_relaxed);
    while (!is_asleep(process)) ::sched_yield();
    wake(i);
    while (words.woken.load(std::memory_order_acquire) == woken) ::sched_yield();
    took.push_back(static_cast<double>(words.took_ns.load(std::memory_order_relaxed)));
  }
  return median(std::move(took));
}

}  // namespace bench
