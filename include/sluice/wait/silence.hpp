// SPDX-License-Identifier: Apache-2.0
//
// For who polls and never sleeps: when to look whether those who do not answer are still alive. It
// reads a clock at the first empty poll, then at every second, fourth, eighth and so on; but at
// every one if polls are rare.
#pragma once

#include <cstdint>
#include <sluice/platform/clock.hpp>
#include <sluice/wait/doorbell.hpp>

namespace sluice {

/// Thread safety: none. Makes no system call.
class Silence {
 public:
  static constexpr std::uint32_t kMostPolls = 16;  ///< between two looks at the clock

  /// Something came, or is expected from now on.
  void end() noexcept { *this = {}; }

  /// To be called at each poll that finds nothing. True: it has lasted for kLongestSleep since the
  /// first of them, or since this was true. Late by kMostPolls polls once, if they become rare.
  [[nodiscard]] bool is_long() noexcept {
    if (++polls_ < stride_) return false;
    polls_ = 0;
    const std::int64_t now_ns = coarse_now_ns();
    if (since_ns_ == 0) since_ns_ = last_ns_ = now_ns;
    const bool is_rare = now_ns - last_ns_ > kRareNs;
    stride_ = is_rare ? 1 : stride_ < kMostPolls ? 2 * stride_ : kMostPolls;
    last_ns_ = now_ns;
    if (now_ns - since_ns_ < kLongNs) return false;
    since_ns_ = now_ns;
    return true;
  }

 private:
  static constexpr std::int64_t kLongNs = std::chrono::nanoseconds(kLongestSleep).count();
  static constexpr std::int64_t kRareNs = 10'000'000;

  std::int64_t since_ns_ = 0;
  std::int64_t last_ns_ = 0;
  std::uint32_t polls_ = 0;
  std::uint32_t stride_ = 1;
};

}  // namespace sluice
