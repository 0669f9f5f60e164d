// SPDX-License-Identifier: Apache-2.0
//
// A named pipe in a service's directory, for who waits for file descriptors too, or for more than
// a futex can wait for. It can be read as soon as a waker has written a byte, which wakers do only
// while a doorbell of that service is armed for pipes.
//
//   services/<key>/waiter.<16 hexadecimal digits>
//
// It gets its name when its owner holds it open. So one without a reader is a dead owner's, which
// any waker or reaper removes; names are random, so that the name means no other meanwhile.
#pragma once

#include <sluice/platform/file.hpp>
#include <string>

namespace sluice {

/// Move-only. Thread safety: none. Its destructor removes it. The directory must outlive it.
class WakePipe {
 public:
  /// Errors: Errc::no_permission, Errc::no_memory, Errc::not_found (the directory is gone), system.
  [[nodiscard]] static Result<WakePipe> create(const Directory& directory, mode_t mode);

  /// Readable after a wake-up, until `drain`.
  [[nodiscard]] int fd() const noexcept { return file_.file().fd(); }
  /// Makes it readable.
  void ring() noexcept;
  /// Takes out what wakers wrote; returns whether there was anything. System calls.
  bool drain() noexcept;

 private:
  NewFile file_;
};

/// Whether `file_name` is that of a wake pipe.
[[nodiscard]] bool is_wake_pipe(const std::string& file_name) noexcept;

/// Writes a byte into every pipe of `directory`, and removes those of dead owners. System calls.
void wake_pipes(const Directory& directory) noexcept;

}  // namespace sluice
