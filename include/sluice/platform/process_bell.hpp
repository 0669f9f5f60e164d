// SPDX-License-Identifier: Apache-2.0
//
// Wakes the sleepers of this process, for what comes from other threads and from signal handlers.
// There is one, which never goes away, so that a handler may ring it at any time. All who listen
// wake up, and look whether it concerns them.
#pragma once

#include <atomic>
#include <cstdint>
#include <sluice/core/result.hpp>

namespace sluice {

/// Read it, look at what is waited for, then sleep while it is what it was. Changed by each ring.
[[nodiscard]] const std::atomic<std::uint32_t>& process_bell() noexcept;

/// The same for who sleeps on descriptors: an edge at each ring. To be watched with EPOLLIN |
/// EPOLLET, and not to be read. Thread safe. Errors: Errc::system (too many descriptors).
[[nodiscard]] Result<int> process_bell_fd();

/// After what it tells of is stored. Thread safe, also in a signal handler.
void ring_process_bell() noexcept;

}  // namespace sluice
