// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/work_queue/options.hpp>
#include <sluice/pattern/work_queue/producer_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>
#include <utility>

namespace sluice {

/// Whether a job is in the queue. May be ignored.
class Pushed {
 public:
  explicit Pushed(Errc error) noexcept : error_(error) {}

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == Errc::ok; }
  /// Why it is not: would_block (the queue is full), timed_out, forked; of a copy, also what `loan`
  /// can say. `Producer::last_failure()` has the words.
  [[nodiscard]] Errc error() const noexcept { return error_; }

 private:
  Errc error_;
};

/// Puts jobs into the queue of a service, each of which goes to one of its workers: payloads of
/// `T`, any trivially copyable type without pointers; of `T[]`, slices of as many `T` as each loan
/// asks for; or of a class with containers (sluice/containers.hpp), which are filled in place, and
/// destroyed when the slot is used again. A job is there as long as somebody is in the service,
/// also when its producer has left or died. If nobody is in the service any more, it ends, and its
/// jobs with it: see `wait_until_done`. Thread safety: one thread at a time; different producers
/// are independent.
template <typename T>
class Producer : public PortOwner<ProducerPort> {
  static_assert(require_port_payload<T>());

 public:
  /// Joins `service`, or creates it. Errors: see `PortOwner`; invalid_options also for another
  /// `depth` than the service has.
  explicit Producer(const Node& node, std::string_view service, const ProducerOptions& options = {})
      : Producer(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Producer> create(const Node& node, std::string_view service,
                                               const ProducerOptions& options = {}) noexcept {
    return own<Producer>(ProducerPort::create(node, service_of<T>(Pattern::work_queue, service),
                                              port_layout<T>(options.heap_bytes), options));
  }

  /// A payload to write: `T{args…}`, or left as it is in memory (like `T x;`) without arguments. Of
  /// slices: `loan(count)`, elements left as they are in memory. Of a class with containers:
  /// `T(args…, allocator)`; filling it allocates in shared memory.
  /// Constant time on average; a system call only when more payloads are in use than ever before.
  /// Errors: too_many_loans, no_memory, no_address_space, forked.
  template <typename... Args>
  requires(!is_slice<T>) [[nodiscard]] Loan<T> loan(Args&&... args) noexcept(
      constructs_without_throwing<T, Args...>()) {
    return construct<T>(port_, port_->loan(), std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<T> loan(std::size_t count) noexcept requires(is_slice<T>) {
    return Loan<T>(port_, port_->loan_slice(count));
  }

  /// Puts a loan of this producer into the queue. False when the queue is full: then `loan` is as
  /// it was, for another try. Lock-free; a system call only if a worker sleeps, or, at most every
  /// 100 ms, where the queue is full. Errors: would_block, forked. Aborts where `loan` is empty or
  /// another producer's: a programmer's error.
  Pushed push(Loan<T>&& loan) noexcept {  // NOLINT: moved from only where it succeeds
    const Errc error = port_->push(loan.cell_in(port_, kNotItsLoan));
    if (error == Errc::ok) (void)loan.hand_on(port_, kNotItsLoan);
    return Pushed(error);
  }
  /// The same, but waits for room, at most `timeout`. Errors: timed_out, forked.
  template <typename Rep, typename Period>
  Pushed push_for(std::chrono::duration<Rep, Period> timeout,
                  Loan<T>&& loan) noexcept {  // NOLINT: moved from only where it succeeds
    const Errc error = port_->push_for(loan.cell_in(port_, kNotItsLoan), to_timeout(timeout));
    if (error == Errc::ok) (void)loan.hand_on(port_, kNotItsLoan);
    return Pushed(error);
  }

  /// Puts a copy of `value` into the queue, or of a slice's elements, from anything that converts
  /// to a `std::span` of them. Not of a class with containers. Errors: as for both.
  Pushed push(Original<T> value) noexcept requires(!DynamicPayload<T>) {
    if (const Errc error = port_->check_room(); error != Errc::ok) return Pushed(error);
    return push_copy(value, [&](Cell cell) { return port_->push(cell); });
  }
  template <typename Rep, typename Period>
  requires(!DynamicPayload<T>) Pushed
      push_for(std::chrono::duration<Rep, Period> timeout, Original<T> value)
  noexcept {
    return push_copy(value, [&](Cell cell) { return port_->push_for(cell, to_timeout(timeout)); });
  }

  /// Jobs of this producer that are not done.
  [[nodiscard]] std::uint32_t pending() const noexcept { return port_->pending(); }
  /// Sleeps until all jobs of this producer are done, at most `timeout`. Returns whether they are.
  template <typename Rep, typename Period>
  [[nodiscard]] bool wait_until_done(std::chrono::duration<Rep, Period> timeout) noexcept {
    return port_->wait_until_done(to_timeout(timeout));
  }

  /// Workers of the service now. System calls.
  [[nodiscard]] std::uint32_t workers() noexcept { return port_->workers(); }

  /// Sleeps until there are at least `count` workers, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_workers(std::uint32_t count,
                                std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("workers", count, timeout, &ProducerPort::workers);
  }

 private:
  static constexpr const char* kNotItsLoan = "push of a loan that is empty or of another producer";

  using PortOwner::PortOwner;

  template <typename Push>
  Pushed push_copy(Original<T> value, Push&& push) noexcept {
    const Loaned loaned = loan_copy<T>(port_, value);
    if (loaned.payload == nullptr) return Pushed(loaned.error);
    const Errc error = push(loaned.cell);
    if (error != Errc::ok) port_->drop(loaned.cell);
    return Pushed(error);
  }
};

}  // namespace sluice
