// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <sluice/core/result.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/wait/silence.hpp>
#include <span>
#include <type_traits>
#include <utility>

namespace sluice {

/// Whether a copy was sent as a response, or why it was not. May be ignored.
class Responded : public Result<void> {
 public:
  using Result::Result;
};

/// What requests of every type have in common.
class RequestBase {
 public:
  RequestBase() = default;
  RequestBase(ServerPort* owner, const Taken& taken) noexcept : owner_(owner), taken_(taken) {}
  RequestBase(RequestBase&& other) noexcept
      : owner_(other.owner_),
        taken_(std::exchange(other.taken_, {.error = Errc::closed})),
        is_dead_(other.is_dead_),
        silence_(other.silence_) {}
  RequestBase& operator=(RequestBase&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = other.owner_;
      taken_ = std::exchange(other.taken_, {.error = Errc::closed});
      is_dead_ = other.is_dead_;
      silence_ = other.silence_;
    }
    return *this;
  }
  ~RequestBase() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return taken_.payload != nullptr; }
  /// Why there is no request: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a client that cannot be read), closed (moved from or reset).
  [[nodiscard]] Errc error() const noexcept { return taken_.error; }

  /// Whether nobody wants responses any more: the client has dropped the request, or is gone. Any
  /// thread; a system call at most every 100 ms. Precondition, here and below: holds a request.
  [[nodiscard]] bool abandoned() noexcept {
    if (is_dead_ || owner_->is_forked() || ServerPort::is_abandoned(taken_)) return true;
    if (silence_.is_long()) is_dead_ = ServerPort::is_abandoned_or_dead(taken_);
    return is_dead_;
  }
  /// The client counts its requests from 1.
  [[nodiscard]] std::uint64_t number() const noexcept { return taken_.number; }
  /// Tells the service's clients apart.
  [[nodiscard]] std::uint64_t client() const noexcept { return ServerPort::client(taken_); }

  /// Ends the stream of responses and gives the request's memory back to the client. Wait-free; a
  /// system call only if somebody sleeps.
  void reset() noexcept {
    if (taken_.payload == nullptr) return;
    owner_->end(std::exchange(taken_, {.error = Errc::closed}));
  }

 protected:
  ServerPort* owner_ = nullptr;
  Taken taken_{.error = Errc::closed};

 private:
  bool is_dead_ = false;  // the client
  Silence silence_;
};

/// The payload of a request, which is read where its client wrote it.
template <typename Q>
class RequestPayload : public RequestBase {
 public:
  using RequestBase::RequestBase;

  /// Precondition, here and below: holds a request.
  [[nodiscard]] const Q* get() const noexcept { return reinterpret_cast<const Q*>(taken_.payload); }
  [[nodiscard]] const Q& operator*() const noexcept { return *get(); }
  [[nodiscard]] const Q* operator->() const noexcept { return get(); }
};

/// A slice: elements that are read where their client wrote them.
template <typename Q>
class RequestPayload<Q[]> : public RequestBase {
 public:
  using RequestBase::RequestBase;

  /// Precondition, here and below: holds a request; its slice may be empty.
  [[nodiscard]] const Q* data() const noexcept {
    return reinterpret_cast<const Q*>(taken_.payload);
  }
  [[nodiscard]] std::size_t size() const noexcept { return taken_.count; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] const Q* begin() const noexcept { return data(); }
  [[nodiscard]] const Q* end() const noexcept { return data() + size(); }
  [[nodiscard]] const Q& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<const Q> span() const noexcept { return {data(), size()}; }
};

/// A request of type `Q`, to be answered with any number of responses of type `R`. False where
/// there was none. Move-only; destroying it ends the stream of its responses. It stays readable
/// when its client dies; may outlive its server, and be destroyed on any thread.
/// Thread safety: `loan`, `loan_for` and `respond` as the server.
template <typename Q, typename R>
class [[nodiscard]] Request : public RequestPayload<Q> {
 public:
  using RequestPayload<Q>::RequestPayload;

  /// A response to write: `R{args…}`, or left as it is in memory without arguments. Of slices:
  /// `loan(count)`. Wait-free; system calls only when ports have come or gone, or memory is short.
  /// Errors: would_block (the client has not read on: `ServerOptions::depth`), abandoned (nobody
  /// will), too_many_loans, no_memory, no_address_space, forked.
  template <typename... Args>
  requires(!is_slice<R>)
      [[nodiscard]] Loan<R> loan(Args&&... args) noexcept(noexcept(R{std::declval<Args>()...})) {
    return construct<R>(this->owner_, this->owner_->loan(this->taken_.cell),
                        std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<R> loan(std::size_t count) noexcept requires(is_slice<R>) {
    return Loan<R>(this->owner_, this->owner_->loan_slice(this->taken_.cell, count));
  }

  /// The same, but waits until the client has read on, at most `timeout`; then the error is
  /// timed_out.
  template <typename... Args>
  requires(!is_slice<R>) [[nodiscard]] Loan<R> loan_for(std::chrono::nanoseconds timeout,
                                                        Args&&... args) noexcept(noexcept(R{
      std::declval<Args>()...})) {
    return construct<R>(this->owner_, this->owner_->loan_for(this->taken_.cell, timeout),
                        std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<R> loan_for(std::chrono::nanoseconds timeout, std::size_t count) noexcept
      requires(is_slice<R>) {
    return Loan<R>(this->owner_, this->owner_->loan_slice_for(this->taken_.cell, timeout, count));
  }

  /// Sends a loan of this request. Never fails. Wait-free; a system call only if somebody sleeps.
  /// Aborts where `loan` is empty or of another request: a programmer's error.
  void respond(Loan<R>&& loan) noexcept {
    if (!*this) [[unlikely]]
      abort_with("respond to a request that is not held");
    this->owner_->respond(this->taken_.cell,
                          loan.hand_on(this->owner_, "respond with a loan that is empty"));
  }

  /// Sends a copy of `value`. Errors: as for `loan`.
  Responded respond(const R& value) noexcept requires(!is_slice<R>) {
    const Loaned loaned = this->owner_->loan(this->taken_.cell);
    if (loaned.payload == nullptr) return this->owner_->last_failure();
    new (loaned.payload) R(value);
    this->owner_->respond(this->taken_.cell, loaned.cell);
    return {};
  }
  /// The same for a slice.
  Responded respond(std::span<const std::remove_extent_t<R>> elements) noexcept
      requires(is_slice<R>) {
    const Loaned loaned = this->owner_->loan_slice(this->taken_.cell, elements.size());
    if (loaned.payload == nullptr) return this->owner_->last_failure();
    if (!elements.empty()) std::memcpy(loaned.payload, elements.data(), elements.size_bytes());
    this->owner_->respond(this->taken_.cell, loaned.cell);
    return {};
  }
};

}  // namespace sluice
