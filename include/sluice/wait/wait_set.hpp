// SPDX-License-Identifier: Apache-2.0
//
// One thread that waits for many things: ports, file descriptors, intervals, and what should have
// come and did not.
//
//   WaitSet wait_set;
//   wait_set.attach(subscriber, [&] { while (auto sample = subscriber.receive()) use(*sample); });
//   wait_set.attach_interval(10ms, [&] { control(); });
//   wait_set.run();
//
// It sleeps in the kernel and is woken by who publishes. A callback is called as long as there is
// something for it (level-triggered), at most once a round, so none keeps the others from theirs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <sluice/core/result.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/wait/waitable.hpp>
#include <utility>

namespace sluice {

/// Thread safety: one thread at a time, on which its ports are used too; `stop` any thread.
/// Callbacks may attach, detach, stop, and destroy ports; they may not call `run` or `wait`, nor
/// destroy the set.
class WaitSet {
 public:
  using Callback = std::function<void()>;

  /// Tells attachments apart: for `detach`. False where there was a failure.
  class Attachment {
   public:
    Attachment() = default;
    [[nodiscard]] explicit operator bool() const noexcept { return number_ != 0; }
    /// Why it is false.
    [[nodiscard]] Errc error() const noexcept { return error_; }

   private:
    friend class WaitSet;
    std::uint64_t number_ = 0;
    Errc error_ = Errc::closed;
  };

  /// For `attach_fd`; add them for both. As in epoll.
  static constexpr std::uint32_t kReadable = 0x001;
  static constexpr std::uint32_t kWritable = 0x004;

  WaitSet();
  WaitSet(WaitSet&&) noexcept;
  WaitSet& operator=(WaitSet&&) noexcept;
  ~WaitSet();

  /// Calls `callback` in each round in which there is something to take from `port`, which may also
  /// be a watch. It should take all there is, or at least one: what is left there makes it be
  /// called again at once. A port that is destroyed is detached; it may be moved. Errors: forked;
  /// closed (the port was moved from); invalid_options (an empty callback, here and below); where
  /// pipes are needed (see docs/waiting.md) no_memory, no_permission, system.
  template <WaitablePort Port>
  Attachment attach(Port& port, Callback callback) noexcept {  // NOLINT: it is moved
    return attach_waitable(port.waitable(), {}, std::move(callback));
  }

  /// Calls `callback` in each round in which the descriptor is readable (or as `events` says), or
  /// broken. Detach it before you close it. Once a set. System calls in each round.
  /// Errors: forked, already_exists, no_memory, no_permission, system (no such descriptor, or a
  /// file, which is always ready).
  Attachment attach_fd(int fd, Callback callback, std::uint32_t events = kReadable) noexcept;

  /// Calls `callback` each time that `interval` is over, first after one `interval`. What was
  /// missed while another callback took its time is left out; the rhythm stays.
  /// Errors: forked, invalid_options (not longer than 0).
  template <typename Rep, typename Period>
  Attachment attach_interval(std::chrono::duration<Rep, Period> interval,
                             Callback callback) noexcept {  // NOLINT: it is moved
    return attach_period(to_timeout(interval), std::move(callback));
  }

  /// Calls `callback` when there was nothing to take from `port` for as long as `time`, and again
  /// after each `time` in which there still is nothing. Attach the port as well if it is to be
  /// read; where it is not, what lies there counts as coming. What comes and is taken within one
  /// callback of another attachment is not seen.
  /// Errors: as `attach`, invalid_options (not longer than 0).
  template <WaitablePort Port, typename Rep, typename Period>
  Attachment attach_deadline(Port& port, std::chrono::duration<Rep, Period> time,
                             Callback callback) noexcept {  // NOLINT: it is moved
    return attach_waitable(port.waitable(), to_timeout(time), std::move(callback));
  }

  /// Its callback is not called any more. Returns whether it was attached.
  bool detach(const Attachment& attachment) noexcept;
  /// How many there are.
  [[nodiscard]] std::size_t size() const noexcept;

  /// Calls callbacks until `stop`, SIGINT or SIGTERM. Meanwhile those two signals do nothing else;
  /// then the program's own handlers are back. If several sets run in several threads, a signal
  /// ends them all. What a callback throws ends it, too.
  /// Returns ok, forked, or why it cannot sleep: no_memory, no_permission, system.
  Errc run();

  /// One round: sleeps until there is something to call, at most `timeout`, and calls everything
  /// for which there is. Returns how many were called; 0 also after `stop`, or where it cannot
  /// sleep (`last_failure()`). Signals are the program's own matter.
  template <typename Rep, typename Period>
  std::size_t wait(std::chrono::duration<Rep, Period> timeout) {
    return wait_for(to_timeout(timeout));
  }

  /// Ends the `run` or `wait` that is going on as soon as the running callback returns; if there is
  /// none, the next one. From any thread, also in a signal handler; system calls.
  void stop() noexcept;

  /// Why the last `attach`, `run` or `wait` failed, in words; Errc::ok if it did not.
  [[nodiscard]] const Failure& last_failure() const noexcept;

 private:
  struct State;

  Attachment attach_waitable(Attachable& waitable, std::optional<std::chrono::nanoseconds> deadline,
                             Callback callback) noexcept;
  Attachment attach_period(std::chrono::nanoseconds interval, Callback callback) noexcept;
  std::size_t wait_for(std::chrono::nanoseconds timeout);
  Attachment attached(Result<std::uint64_t> number) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace sluice
