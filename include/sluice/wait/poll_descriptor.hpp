// SPDX-License-Identifier: Apache-2.0
//
// A descriptor that can be read when a port may have something: for epoll, Qt, asio. It stands for
// a wake pipe, which wakers write to, and a timer of kLongestSleep, because a peer can be killed
// between its store and its wake. In the place of the pipe may be another descriptor.
//
//   fd ── epoll ─┬─ wake pipe   a waker found the doorbell armed for pipes
//                └─ timer       time to look who is alive
//
// Nothing is written while the doorbell is not armed. So the owner settles it whenever it finds
// nothing: takes out what made it readable, arms the doorbell, and looks once more.
#pragma once

#include <sluice/platform/poller.hpp>
#include <sluice/wait/wake_pipe.hpp>

namespace sluice {

/// Move-only. Thread safety: none.
class PollDescriptor {
 public:
  /// A pipe of permissions `mode` in `pipes`, which must outlive this. Errors: as
  /// WakePipe::create; system (too many descriptors).
  [[nodiscard]] static Result<PollDescriptor> create(const Directory& pipes, mode_t mode);
  /// For `source`, which its owner makes unreadable, or for the timer alone (-1).
  /// Errors: system (too many descriptors).
  [[nodiscard]] static Result<PollDescriptor> create(int source);

  [[nodiscard]] int fd() const noexcept { return poller_.fd(); }
  /// Makes it readable.
  void ring() noexcept { pipe_.ring(); }
  /// Makes it unreadable. Returns whether it is time to look who is alive. System calls.
  bool clear() noexcept;

 private:
  PollDescriptor() = default;

  WakePipe pipe_;
  File timer_;
  Poller poller_;
};

}  // namespace sluice
