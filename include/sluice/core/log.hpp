// SPDX-License-Identifier: Apache-2.0
//
// What the library passes over and goes on: a peer that is refused, a file that is skipped. Nobody
// is told unless a handler is set.
#pragma once

#include <functional>
#include <sluice/core/result.hpp>

namespace sluice {

using LogHandler = std::function<void(const Failure&)>;

/// Has `handler` called with the cause, and a message with the file and what to do, whenever
/// something is passed over; an empty one ends that. The message is one line of UTF-8, in which
/// control characters (of names that others chose) are escaped. One handler for the process. It is
/// called in the thread that met the cause, in calls that make system calls (joining, looking for
/// peers, discovery), never in the hot path; it must not throw, and may set another handler. Thread
/// safety: any thread at any time; the old handler may still be running when this returns.
void set_log_handler(LogHandler handler);

/// For the library: whether there is a handler; and tells it.
[[nodiscard]] bool has_log_handler() noexcept;
void log_passed_over(const Failure& cause) noexcept;

}  // namespace sluice
