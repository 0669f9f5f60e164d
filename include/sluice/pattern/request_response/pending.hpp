// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/pattern/sample.hpp>
#include <utility>

namespace sluice {

/// What pending requests of every type have in common.
class PendingBase {
 public:
  PendingBase() = default;
  PendingBase(ClientPort* owner, Cell cell, std::uint64_t number) noexcept
      : owner_(owner), cell_(cell), number_(number), error_(Errc::ok) {}
  explicit PendingBase(Errc error) noexcept : error_(error) {}
  PendingBase(PendingBase&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        cell_(other.cell_),
        number_(other.number_),
        may_wait_(other.may_wait_),
        error_(std::exchange(other.error_, Errc::closed)) {}
  PendingBase& operator=(PendingBase&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = std::exchange(other.owner_, nullptr);
      cell_ = other.cell_;
      number_ = other.number_;
      may_wait_ = other.may_wait_;
      error_ = std::exchange(other.error_, Errc::closed);
    }
    return *this;
  }
  ~PendingBase() { reset(); }

  /// Whether there is a request.
  [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }

  /// Of a request: peer_died if no server that had it lived to end it, corrupted if one was broken,
  /// and ok otherwise; so not before all responses are taken. Without a request: why there is none
  /// (as for `Client::loan`; closed where it was moved from or reset).
  [[nodiscard]] Errc error() const noexcept {
    return owner_ == nullptr ? error_ : owner_->error_of(cell_);
  }
  /// Whether all responses were taken and nothing more will come: each server that had the request
  /// has ended it or is gone, and at least one has ended it.
  [[nodiscard]] bool finished() const noexcept {
    return owner_ != nullptr && owner_->outcome(cell_) == ClientPort::Outcome::ended;
  }
  /// Whether a server has the request, or had it; until then it waits for one.
  [[nodiscard]] bool delivered() const noexcept {
    return owner_ != nullptr && owner_->outcome(cell_) != ClientPort::Outcome::waiting;
  }
  /// Counts the requests of this client from 1.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

  /// For `WaitSet`: ready when `receive` would return something, or nothing will come any more.
  /// Precondition: there is a request.
  [[nodiscard]] Waitable& waitable() noexcept { return owner_->waitable(cell_); }

  /// As `Subscriber::fd`: readable when `waitable()` may be ready. Precondition: there is a
  /// request.
  [[nodiscard]] int fd() noexcept { return owner_->fd(cell_); }

  /// Drops the request: servers are told that responses are not wanted any more. Wait-free; a
  /// system call only if somebody sleeps.
  void reset() noexcept {
    ClientPort* const owner = std::exchange(owner_, nullptr);
    error_ = Errc::closed;
    if (owner == nullptr) return;
    owner->cut_link(cell_);
    if (owner->is_forked()) [[unlikely]]
      return;  // the parent's
    // relaxed: nothing is ordered by it; the port's thread writes it again after `drop`.
    owner->wanted(cell_).store(0, std::memory_order_relaxed);
    if (may_wait_) owner->announce_abandoned();
    owner->drop(cell_);
  }

 protected:
  ClientPort* owner_ = nullptr;
  Cell cell_;
  std::uint64_t number_ = 0;
  bool may_wait_ = true;  // a server, for room for its next response
  Errc error_ = Errc::closed;
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
    if (owner_ == nullptr) return Sample<R>(nullptr, {.error = error_});
    return Sample<R>(owner_, owner_->receive(cell_, may_wait_));
  }

  /// The same, but sleeps until there is one, at most `timeout`. False with ok: `finished()`.
  /// Errors besides: timed_out, peer_died (within 200 ms of the last server's death).
  [[nodiscard]] Sample<R> wait(std::chrono::nanoseconds timeout) noexcept {
    if (owner_ == nullptr) return Sample<R>(nullptr, {.error = error_});
    return Sample<R>(owner_, owner_->wait(cell_, timeout, may_wait_));
  }
};

}  // namespace sluice
