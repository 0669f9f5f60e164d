// SPDX-License-Identifier: Apache-2.0
//
// What a wait set can wait for (`Attachable`), and what of it has a doorbell (`Waitable`): a port,
// or a pending response, that others fill and ring for. Its own `wait` sleeps on the doorbell's
// futex; a wait set sleeps for several at once, and whoever has an event loop of another kind
// sleeps on a descriptor.
//
// A class of ports takes part by deriving from `Waitable`, offering `waitable()` and `fd()`,
// calling `settle_descriptor()` where it finds nothing, and `cut_link()` when it is closed.
#pragma once

#include <sys/types.h>

#include <concepts>
#include <memory>
#include <sluice/platform/file.hpp>
#include <sluice/wait/doorbell.hpp>
#include <vector>

namespace sluice {

class PollDescriptor;

/// Thread safety: as the port.
class Attachable {
 public:
  /// Who sleeps for it together with others.
  class Watcher {
   public:
    /// It is closed: from here on neither it nor its waker may be used.
    virtual void on_closed() noexcept = 0;

   protected:
    ~Watcher() = default;
  };

  Attachable() noexcept = default;
  Attachable(const Attachable&) = delete;
  Attachable& operator=(const Attachable&) = delete;

  /// Why nobody can wait for it, where that is so: then nothing else may be called. Stays where it
  /// is.
  [[nodiscard]] virtual const Failure* refusal() const noexcept { return nullptr; }
  /// What wakes who sleeps for it together with others, after each change that may make it ready.
  /// The same at each call.
  [[nodiscard]] virtual Waker waker() noexcept = 0;
  /// Whether there is something to take, as far as can be seen without taking it. System calls only
  /// when ports have come or gone.
  [[nodiscard]] virtual bool is_ready() noexcept = 0;
  /// Looks who came, left or died without a word. To be called when a sleep of kLongestSleep is
  /// over. System calls.
  virtual void look() noexcept = 0;

  /// Until it is closed, or `watcher` is removed.
  void add_watcher(Watcher& watcher) { watchers_.push_back(&watcher); }
  void remove_watcher(Watcher& watcher) noexcept { std::erase(watchers_, &watcher); }

 protected:
  ~Attachable() { cut_link(); }
  /// Nobody can wait for it any more. Precondition: its waker is there still.
  void cut_link() noexcept;

 private:
  std::vector<Watcher*> watchers_;
};

/// Thread safety: as the port.
class Waitable : public Attachable {
 public:
  Waitable() noexcept;

  /// Rung after each change that may make it ready.
  [[nodiscard]] virtual Doorbell& doorbell() noexcept = 0;
  /// Where the doorbell's wake pipes are, and the mode of a new one.
  [[nodiscard]] virtual const Directory& pipes() const noexcept = 0;
  [[nodiscard]] virtual mode_t pipe_mode() const noexcept = 0;
  [[nodiscard]] Waker waker() noexcept final {
    return {.doorbell = &doorbell(), .pipes = &pipes(), .pipe_mode = pipe_mode()};
  }

  /// For `fd()`: a descriptor that can be read when there may be something; the same one at each
  /// call. Precondition: not in a forked child. Errors: as PollDescriptor::create.
  [[nodiscard]] Result<int> descriptor() noexcept;

 protected:
  ~Waitable();

  /// To be called where nothing was found. True: somebody sleeps on the descriptor, which is no
  /// longer readable, and the doorbell is armed: look once more. System calls, if it was handed
  /// out.
  [[nodiscard]] bool settle_descriptor() noexcept {
    return descriptor_ != nullptr && clear_and_arm();
  }
  /// Nobody can wait for it any more. Precondition: the directory is there still.
  void cut_link() noexcept;

 private:
  bool clear_and_arm() noexcept;

  std::unique_ptr<PollDescriptor> descriptor_;
};

/// A port, a handle or a watch that a wait set can wait for. `waitable()` stays where it is when
/// the port is moved.
template <typename Port>
concept WaitablePort = requires(Port& port) {
  { port.waitable() } -> std::convertible_to<Attachable&>;
};

}  // namespace sluice
