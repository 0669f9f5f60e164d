// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/wait/silence.hpp>
#include <utility>

namespace sluice {

/// Whether a copy was sent as a response, or why it was not. May be ignored.
class Responded {
 public:
  explicit Responded(Errc error) noexcept : error_(error) {}

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == Errc::ok; }
  /// Why it was not, `Errc::ok` where it was. `Server::last_failure()` has the words.
  [[nodiscard]] Errc error() const noexcept { return error_; }

 private:
  Errc error_;
};

/// What requests of every type have in common.
class RequestBase : public Handle<ServerPort, Borrowed> {
 public:
  using Handle::Handle;

  /// Why there is no request: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a client that cannot be read), closed (moved from or reset).
  using Handle::error;
  /// Ends the stream of responses and gives the request's memory back to the client. Wait-free; a
  /// system call only if somebody sleeps.
  using Handle::reset;

  /// Whether nobody wants responses any more: the client has dropped the request, or is gone. Any
  /// thread; a system call at most every 100 ms. Precondition, here and below: holds a request.
  [[nodiscard]] bool abandoned() noexcept {
    if (is_dead_ || owner_->is_forked() || owner_->is_abandoned(what_.cell)) return true;
    if (silence_.is_long()) is_dead_ = owner_->is_abandoned_or_dead(what_.cell);
    return is_dead_;
  }
  /// The client counts its requests from 1.
  [[nodiscard]] std::uint64_t number() const noexcept { return what_.sequence; }
  /// Tells the service's clients apart.
  [[nodiscard]] std::uint64_t client() const noexcept { return what_.publisher; }

 private:
  bool is_dead_ = false;  // the client
  Silence silence_;
};

/// A request of type `Q`, read where its client wrote it, to be answered with any number of
/// responses of type `R`. False where there was none. Move-only; destroying it ends the stream of
/// its responses. It stays readable when its client dies; may outlive its server, and be destroyed
/// on any thread. Thread safety: `loan`, `loan_for` and `respond` as the server.
template <typename Q, typename R>
class [[nodiscard]] Request : public PayloadHandle<RequestBase, const Q> {
 public:
  using PayloadHandle<RequestBase, const Q>::PayloadHandle;

  /// A response to write: `R{args…}`, or left as it is in memory without arguments. Of slices:
  /// `loan(count)`. Of a class with containers: `R(args…, allocator)`; filling it allocates in
  /// shared memory. Wait-free; system calls only when ports have come or gone, or memory is short.
  /// Errors: would_block (the client has not read on: `ServerOptions::depth`), abandoned (nobody
  /// will), too_many_loans, no_memory, no_address_space, forked.
  template <typename... Args>
  requires(!is_slice<R>) [[nodiscard]] Loan<R> loan(Args&&... args) noexcept(
      constructs_without_throwing<R, Args...>()) {
    return construct<R>(this->owner_, this->owner_->loan(this->what_.cell),
                        std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<R> loan(std::size_t count) noexcept requires(is_slice<R>) {
    return Loan<R>(this->owner_, this->owner_->loan_slice(this->what_.cell, count));
  }

  /// The same, but waits until the client has read on, at most `timeout`; then the error is
  /// timed_out.
  template <typename Rep, typename Period, typename... Args>
  requires(!is_slice<R>) [[nodiscard]] Loan<R> loan_for(
      std::chrono::duration<Rep, Period> timeout,
      Args&&... args) noexcept(constructs_without_throwing<R, Args...>()) {
    return construct<R>(this->owner_, this->owner_->loan_for(this->what_.cell, to_timeout(timeout)),
                        std::forward<Args>(args)...);
  }
  template <typename Rep, typename Period>
  requires(is_slice<R>) [[nodiscard]] Loan<R> loan_for(std::chrono::duration<Rep, Period> timeout,
                                                       std::size_t count) noexcept {
    return Loan<R>(this->owner_,
                   this->owner_->loan_slice_for(this->what_.cell, to_timeout(timeout), count));
  }

  /// Sends a loan of this request. Never fails. Wait-free; a system call only if somebody sleeps.
  /// Aborts where `loan` is empty or of another request: a programmer's error.
  void respond(Loan<R>&& loan) noexcept {
    if (!*this) [[unlikely]]
      abort_with("respond to a request that is not held");
    this->owner_->respond(this->what_.cell,
                          loan.hand_on(this->owner_, "respond with a loan that is empty"));
  }

  /// Sends a copy of `value`, or of a slice's elements, from anything that converts to a
  /// `std::span` of them. Not of a class with containers. Errors: as for `loan`.
  Responded respond(Original<R> value) noexcept requires(!DynamicPayload<R>) {
    const Loaned loaned = loan_copy<R>(this->owner_, value, this->what_.cell);
    if (loaned.payload == nullptr) return Responded(loaned.error);
    this->owner_->respond(this->what_.cell, loaned.cell);
    return Responded(Errc::ok);
  }
};

}  // namespace sluice
