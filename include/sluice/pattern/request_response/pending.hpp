// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/pattern/sample.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {

/// What pending requests of every type have in common.
class PendingBase : public Handle<ClientPort, Borrowed> {
 public:
  using Handle::Handle;
  explicit PendingBase(Errc error) noexcept : Handle(nullptr, {.error = error}) {}

  /// Drops the request: servers are told that responses are not wanted any more. Wait-free; a
  /// system call only if somebody sleeps.
  using Handle::reset;

  /// Of a request: peer_died if no server that had it lived to end it, corrupted if one was broken,
  /// and ok otherwise; so not before all responses are taken. Without a request: why there is none
  /// (as for `Client::loan`; closed where it was moved from or reset).
  [[nodiscard]] Errc error() const noexcept {
    return *this ? owner_->error_of(what_.cell) : what_.error;
  }
  /// Whether all responses were taken and nothing more will come: each server that had the request
  /// has ended it or is gone, and at least one has ended it.
  [[nodiscard]] bool finished() const noexcept {
    return *this && owner_->fate(what_.cell) == RequestFate::ended;
  }
  /// Whether a server has the request, or had it; until then it waits for one.
  [[nodiscard]] bool delivered() const noexcept {
    return *this && owner_->fate(what_.cell) != RequestFate::untaken;
  }
  /// Counts the requests of this client from 1.
  [[nodiscard]] std::uint64_t number() const noexcept { return what_.sequence; }

  /// For `WaitSet`: ready when `receive` would return something, or nothing will come any more.
  /// Precondition: there is a request.
  [[nodiscard]] Waitable& waitable() noexcept { return owner_->waitable(what_.cell); }

  /// As `Subscriber::fd`: readable when `waitable()` may be ready. Precondition: there is a
  /// request.
  [[nodiscard]] int fd() noexcept { return owner_->fd(what_.cell); }
};

/// A request that was sent, and its responses, of type `R`. Move-only; destroying it tells the
/// servers that no more are wanted. May outlive its client, and be destroyed on any thread (not
/// while it is attached to a wait set of another). Thread safety: as the client.
template <typename R>
class [[nodiscard]] Pending : public PendingBase {
 public:
  using PendingBase::PendingBase;

  /// The next response; does not block. Its `publisher()` is the server's id, its `sequence()`
  /// counts that server's responses to this request from 0. False with ok: nothing there yet, or
  /// `finished()`. Wait-free; system calls only when ports have come or gone, or nothing was there
  /// for 100 ms. Errors: too_many_borrowed, forked, corrupted or version_mismatch (a server that
  /// cannot be read).
  [[nodiscard]] Sample<R> receive() noexcept {
    return Sample<R>(owner_, *this ? owner_->receive(what_.cell) : Borrowed{.error = what_.error});
  }

  /// The same, but sleeps until there is one, at most `timeout`. False with ok: `finished()`.
  /// Errors besides: timed_out, peer_died (within 200 ms of the last server's death).
  template <typename Rep, typename Period>
  [[nodiscard]] Sample<R> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return Sample<R>(owner_, *this ? owner_->wait(what_.cell, to_timeout(timeout))
                                   : Borrowed{.error = what_.error});
  }
};

}  // namespace sluice
