// SPDX-License-Identifier: Apache-2.0
//
// Times: how long until a wait is over, and what the system calls take.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

namespace sluice {

/// Any duration as a time to wait, in whole nanoseconds, rounded down: 0 for a negative one (and
/// not a number), the most there is (292 years) for a longer one, `hours::max()` and infinity among
/// them.
template <typename Rep, typename Period>
[[nodiscard]] constexpr std::chrono::nanoseconds to_timeout(
    std::chrono::duration<Rep, Period> time) noexcept {
  using std::chrono::nanoseconds;
  // Wide enough for every count of 64 bits, and for its product with any period.
  using Wide = std::chrono::duration<long double, std::nano>;
  static_assert(std::numeric_limits<long double>::digits >= 63);
  const Wide wide(time);
  if (!(wide > Wide::zero())) return nanoseconds::zero();
  if (wide >= Wide(nanoseconds::max())) return nanoseconds::max();
  return nanoseconds(static_cast<nanoseconds::rep>(wide.count()));
}
/// The same where there is nothing to convert.
[[nodiscard]] constexpr std::chrono::nanoseconds to_timeout(
    std::chrono::nanoseconds time) noexcept {
  return time.count() > 0 ? time : std::chrono::nanoseconds::zero();
}

/// `now + time`; saturates instead of overflowing.
[[nodiscard]] constexpr std::chrono::steady_clock::time_point later(
    std::chrono::steady_clock::time_point now, std::chrono::nanoseconds time) noexcept {
  constexpr auto kMax = std::chrono::steady_clock::time_point::max();
  return time > kMax - now ? kMax : now + time;
}

/// A point in time after which a wait is over. Monotonic.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(std::chrono::nanoseconds timeout) noexcept
      : at_(later(Clock::now(), timeout)) {}

  /// Time that is left, 0 or more.
  [[nodiscard]] std::chrono::nanoseconds left() const noexcept {
    const auto now = Clock::now();
    return now >= at_ ? std::chrono::nanoseconds{0} : at_ - now;
  }

 private:
  Clock::time_point at_;
};

/// Whole milliseconds, for messages.
[[nodiscard]] constexpr std::int64_t to_ms(std::chrono::nanoseconds time) noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

[[nodiscard]] constexpr timespec to_timespec(std::chrono::nanoseconds time) noexcept {
  return {.tv_sec = static_cast<time_t>(time.count() / 1'000'000'000),
          .tv_nsec = static_cast<long>(time.count() % 1'000'000'000)};
}

/// Nanoseconds of the steady clock, which is the same for all processes of a machine (of a time
/// namespace). More than 0. No system call, where the kernel offers that.
[[nodiscard]] inline std::uint64_t steady_now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

/// Nanoseconds of a monotonic clock that moves on every few milliseconds, and costs as many
/// nanoseconds to read. No system call.
[[nodiscard]] inline std::int64_t coarse_now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace sluice
