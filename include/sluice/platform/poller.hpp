// SPDX-License-Identifier: Apache-2.0
//
// Sleeping for several file descriptors at once: epoll.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <sluice/platform/file.hpp>
#include <span>
#include <vector>

namespace sluice {

/// Move-only. In a forked child it is closed, and does nothing. Thread safety: none.
class Poller {
 public:
  [[nodiscard]] static Result<Poller> create();

  /// Can be read as soon as one of the descriptors is ready.
  [[nodiscard]] int fd() const noexcept { return file_.fd(); }
  [[nodiscard]] bool is_open() const noexcept { return file_.is_open(); }

  /// `events` and `tag` as epoll has them. Errors: Errc::already_exists, Errc::system.
  [[nodiscard]] Result<void> add(int fd, std::uint32_t events, std::uint64_t tag);
  /// Nothing, if the descriptor is not there, or closed by now.
  void remove(int fd) noexcept;
  /// Sleeps until a descriptor is ready, for at most `timeout`. Returns what there is, valid until
  /// the next call. May return early.
  std::span<const epoll_event> wait(std::chrono::nanoseconds timeout) noexcept;

 private:
  File file_;
  std::vector<epoll_event> events_;  // room for one of each descriptor
};

}  // namespace sluice
