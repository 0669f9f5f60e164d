// SPDX-License-Identifier: Apache-2.0
//
// Ports with handles that the user holds, which may outlive the port and be given back on any
// thread.
#pragma once

#include <cstdint>
#include <sluice/core/handle_cells.hpp>
#include <sluice/pattern/participant.hpp>

namespace sluice {

/// Lives until it is closed and the last of its handles is given back.
class HandleOwner : public Participant {
 public:
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

 protected:
  HandleOwner(const char* kind, std::uint32_t handles) : Participant(kind), cells_(handles) {}
  virtual ~HandleOwner() = default;
  /// On the port's thread, in a forked child too.
  virtual void before_close() noexcept {}

  HandleCells cells_;
};

}  // namespace sluice
