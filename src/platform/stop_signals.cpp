// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <array>
#include <atomic>
#include <mutex>
#include <sluice/platform/process.hpp>
#include <sluice/platform/process_bell.hpp>
#include <sluice/platform/stop_signals.hpp>

namespace sluice {
namespace {

constexpr std::array<int, 2> kSignals{SIGINT, SIGTERM};

std::atomic<std::uint32_t> arrivals{0};

struct Installed {
  std::mutex mutex;
  std::uint32_t users = 0;
  std::array<struct sigaction, kSignals.size()> before{};
  /// Of the process that installed them. relaxed: in place before the handler can run.
  std::atomic<std::uint32_t> generation{0};
};
Installed installed;

void restore() noexcept {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &installed.before[i], nullptr);
  }
}

void on_signal(int number) noexcept {
  if (installed.generation.load(std::memory_order_relaxed) != fork_generation()) {
    // A forked child inherits the handler, but nobody in it waits for the signal.
    restore();
    ::raise(number);  // delivered when this handler returns
    return;
  }
  // release: pairs with the acquire in `arrived`.
  arrivals.fetch_add(1, std::memory_order_release);
  ring_process_bell();
}

}  // namespace

StopSignals::StopSignals() noexcept
    // relaxed: what arrived before is not this one's matter.
    : before_(arrivals.load(std::memory_order_relaxed)), generation_(fork_generation()) {
  const std::lock_guard lock(installed.mutex);
  // What a forked child inherits stands for threads that are not in it.
  const bool is_inherited =
      installed.users != 0 && installed.generation.load(std::memory_order_relaxed) != generation_;
  if (!is_inherited && installed.users++ != 0) return;
  for (std::size_t i = 0; i < kSignals.size() && !is_inherited; ++i) {
    ::sigaction(kSignals[i], nullptr, &installed.before[i]);
  }
  installed.users = 1;
  installed.generation.store(generation_, std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // what other threads do goes on
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
}

StopSignals::~StopSignals() {
  if (generation_ != fork_generation()) return;
  const std::lock_guard lock(installed.mutex);
  if (--installed.users == 0) restore();
}

bool StopSignals::arrived() const noexcept {
  // acquire: pairs with the increment in `on_signal`.
  return arrivals.load(std::memory_order_acquire) != before_;
}

}  // namespace sluice
