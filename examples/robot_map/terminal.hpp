// SPDX-License-Identifier: Apache-2.0
//
// Lines and a progress bar that get along on one terminal, also when several processes write to it.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

namespace robot_map {

/// Prints one line in a single write. On a terminal it takes the place of a progress bar.
[[gnu::format(printf, 1, 2)]] inline void say(const char* format, ...) {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  char text[400];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::printf("%s%s\n", terminal ? "\r\033[K" : "", text);
  std::fflush(stdout);
}

/// How far something is. On a terminal, a bar that is redrawn; elsewhere, four lines in all.
class ProgressBar {
 public:
  ProgressBar(std::string name, std::uint32_t total) : name_(std::move(name)), total_(total) {}

  void show(std::uint32_t done) {
    if (terminal_) {
      constexpr std::uint32_t kWidth = 40;
      const std::uint32_t filled = done * kWidth / total_;
      std::printf("\r\033[K%s [%s%s] %u of %u", name_.c_str(), std::string(filled, '#').c_str(),
                  std::string(kWidth - filled, '.').c_str(), done, total_);
      std::fflush(stdout);
    } else if (done * 4 / total_ != quarters_) {
      quarters_ = done * 4 / total_;
      say("%s: %u of %u", name_.c_str(), done, total_);
    }
  }

 private:
  std::string name_;
  std::uint32_t total_;
  std::uint32_t quarters_ = 0;
  bool terminal_ = ::isatty(STDOUT_FILENO) == 1;
};

}  // namespace robot_map
