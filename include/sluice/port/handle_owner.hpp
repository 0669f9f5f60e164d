// SPDX-License-Identifier: Apache-2.0
//
// What all ports have in common: handles that the user holds, which may outlive the port and be
// given back on any thread, and that a forked child must leave alone.
#pragma once

#include <cstdint>
#include <sluice/core/handle_cells.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {

/// Lives until it is closed and the last of its handles is given back.
class HandleOwner {
 public:
  HandleOwner(const HandleOwner&) = delete;
  HandleOwner& operator=(const HandleOwner&) = delete;

  /// Gives a handle back. Any thread. Afterwards this may be gone.
  void drop(std::uint32_t cell) noexcept {
    if (is_forked()) [[unlikely]]
      return;
    if (cells_.give_back(cell)) delete this;
  }

  /// The port is gone; its handles may live on.
  void close() noexcept {
    before_close();
    if (is_forked()) return;  // the parent's: left as it is
    if (cells_.close()) delete this;
  }

  /// Whether this process is a forked child of the one that made the port.
  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }

 protected:
  explicit HandleOwner(std::uint32_t handles)
      : cells_(handles), fork_generation_(fork_generation()) {}
  virtual ~HandleOwner() = default;
  /// On the port's thread, in a forked child too.
  virtual void before_close() noexcept {}

  HandleCells cells_;

 private:
  std::uint32_t fork_generation_;
};

}  // namespace sluice
