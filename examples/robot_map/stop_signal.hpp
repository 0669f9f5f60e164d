// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and SIGTERM: programs end by leaving their loops, so that what they hold is given back.
#pragma once

#include <csignal>

namespace robot_map {

inline volatile std::sig_atomic_t stop_requested = 0;

/// From here on, Ctrl-C and SIGTERM set `stop_requested`.
inline void watch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { stop_requested = 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace robot_map
