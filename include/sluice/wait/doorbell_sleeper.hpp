// SPDX-License-Identifier: Apache-2.0
//
// One thread that sleeps for many wakers, and for file descriptors of others. Two ways:
//
//   futex_waitv   on the bells themselves and on the process bell: up to 127 doorbells
//   epoll         on a wake pipe for each directory, on the descriptors, and on the process bell:
//                 where there are descriptors, more doorbells, or no futex_waitv
//
// Either way: arm every doorbell, fence, look once more, sleep. So who rings makes no system call
// while nobody sleeps.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <sluice/platform/poller.hpp>
#include <sluice/wait/doorbell.hpp>
#include <span>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class DoorbellSleeper {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::size_t kMaxFutexBells = kMaxFutexWaits - 1;

  /// Sleeps for `wakers` from now on, each once; doorbells, directories and descriptors must live
  /// until they are no longer among them. Errors: as WakePipe::create and Poller::create; not where
  /// wakers were only taken out. After an error, set those from before again.
  [[nodiscard]] Result<void> set_wakers(const std::vector<Waker>& wakers);

  /// `tag` is reported when the descriptor is ready. Errors: the same, and already_exists.
  [[nodiscard]] Result<void> add(int fd, std::uint32_t epoll_events, std::uint64_t tag);
  void remove(int fd) noexcept;

  /// Sleeps until a doorbell or the process bell is rung, a descriptor is ready, or `until`, unless
  /// `ready()` is true once every doorbell is armed. May return early.
  /// Errors: as `set_wakers`, if futex_waitv turns out to be missing.
  template <typename Ready>
  [[nodiscard]] Result<void> sleep_unless(Ready&& ready, Time until) {
    read_bells();
    for (const Waker& bell : bells_) bell.doorbell->arm(who_);
    if (ready()) return {};
    return sleep(until);
  }

  /// The tags of the descriptors that are ready. Valid until the next call of anything.
  [[nodiscard]] std::span<const std::uint64_t> ready_descriptors();

 private:
  Result<void> choose();
  Result<void> make_pipes();
  Result<void> poll_sources();
  void read_bells();
  Result<void> sleep(Time until);
  void poll(std::chrono::nanoseconds timeout);

  std::vector<Waker> bells_;                 // those with a doorbell, by that
  std::vector<int> sources_;                 // the descriptors of the others, in order
  std::uint32_t who_ = Doorbell::kSleepers;  // what they are armed with
  bool has_futex_ = true;
  std::vector<FutexWait> futexes_;  // as they were before arming
  Poller poller_;                   // open while it sleeps on descriptors
  std::vector<int> polled_;         // those of the sources that it knows
  std::map<const Directory*, WakePipe> pipes_;
  std::size_t descriptors_ = 0;
  std::vector<std::uint64_t> ready_;
  bool is_fresh_ = false;  // `ready_` was found by the last sleep
};

}  // namespace sluice
