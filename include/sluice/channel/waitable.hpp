// SPDX-License-Identifier: Apache-2.0
//
// What can be slept for: a port, or a pending response, that others fill and ring for. Its own
// `wait` sleeps on the doorbell's futex; a wait set and a file descriptor sleep for several at
// once.
#pragma once

#include <sys/types.h>

#include <memory>
#include <sluice/channel/doorbell.hpp>
#include <sluice/platform/file.hpp>

namespace sluice {

/// Thread safety: as the port.
class Waitable {
 public:
  Waitable() = default;
  Waitable(const Waitable&) = delete;
  Waitable& operator=(const Waitable&) = delete;

  /// Rung after each change that may make it ready.
  [[nodiscard]] virtual Doorbell& doorbell() noexcept = 0;
  /// Where the doorbell's wake pipes are, and the mode of a new one.
  [[nodiscard]] virtual const Directory& pipes() const noexcept = 0;
  [[nodiscard]] virtual mode_t pipe_mode() const noexcept = 0;
  /// Whether there is something to take, as far as can be seen without taking it. System calls only
  /// when ports have come or gone.
  [[nodiscard]] virtual bool is_ready() noexcept = 0;
  /// Looks who came, left or died without a word. To be called when a sleep of kLongestSleep is
  /// over. System calls.
  virtual void look() noexcept = 0;

  /// Leads here, and to null once this is gone.
  [[nodiscard]] std::shared_ptr<Waitable* const> link() {
    if (!link_) link_ = std::make_shared<Waitable*>(this);
    return link_;
  }

 protected:
  ~Waitable() { cut_link(); }
  /// For what nobody can wait for any more.
  void cut_link() noexcept {
    if (link_) *link_ = nullptr;
    link_.reset();
  }

 private:
  std::shared_ptr<Waitable*> link_;
};

}  // namespace sluice
