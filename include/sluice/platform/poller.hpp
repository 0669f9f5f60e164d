// SPDX-License-Identifier: Apache-2.0
//
// Sleeping for several file descriptors at once: epoll.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/platform/file.hpp>

struct epoll_event;

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
  /// Sleeps until a descriptor is ready, for at most `timeout`. Fills in up to `most` events and
  /// returns their number. May return early.
  std::size_t wait(epoll_event* events, std::size_t most,
                   std::chrono::nanoseconds timeout) noexcept;

 private:
  File file_;
};

}  // namespace sluice
