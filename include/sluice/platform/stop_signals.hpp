// SPDX-License-Identifier: Apache-2.0
//
// SIGINT and SIGTERM as an orderly end: noticed by whoever sleeps, instead of ending the process.
#pragma once

#include <cstdint>

namespace sluice {

/// As long as one lives, SIGINT and SIGTERM ring the process bell and do nothing else, even where
/// they were ignored before. The first that is made takes the place of the program's handlers, the
/// last that goes puts them back. Thread safe.
class StopSignals {
 public:
  StopSignals() noexcept;
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether one of the two came since this was made. All who live at that time see it.
  [[nodiscard]] bool arrived() const noexcept;

 private:
  std::uint32_t before_;
  std::uint32_t generation_;  // of the process that made it
};

}  // namespace sluice
