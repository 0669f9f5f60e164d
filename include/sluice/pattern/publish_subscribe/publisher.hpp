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
#include <sluice/pattern/publish_subscribe/options.hpp>
#include <sluice/pattern/publish_subscribe/publisher_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice {

/// The sequence number of a copy that was published, or why it was not. May be ignored.
class Published {
 public:
  explicit Published(std::uint64_t sequence) noexcept : sequence_(sequence) {}
  explicit Published(Errc error) noexcept : error_(error) {}

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == Errc::ok; }

  /// Why it was not, `Errc::ok` where it was. `last_failure()` of the port has the words.
  [[nodiscard]] Errc error() const noexcept { return error_; }
  /// Precondition: it was published.
  [[nodiscard]] std::uint64_t operator*() const noexcept { return sequence_; }
  /// The number. Throws `Error` where there is none (aborts without exceptions).
  [[nodiscard]] std::uint64_t value() const {
    if (error_ != Errc::ok) raise({error_, "nothing was published, last_failure() says why"});
    return sequence_;
  }

 private:
  std::uint64_t sequence_ = 0;
  Errc error_ = Errc::ok;
};

/// Publishes samples to every subscriber of a service: of `T`, any trivially copyable type without
/// pointers; of `T[]`, slices of as many `T` as each loan asks for; or of a class with containers
/// (sluice/containers.hpp), which are filled in place, and destroyed when the slot is used again.
/// Thread safety: one thread at a time; different publishers are independent.
template <typename T>
class Publisher : public PortOwner<PublisherPort> {
  static_assert(require_port_payload<T>());

 public:
  /// Joins `service`, or creates it. Errors: see `PortOwner`; delivery_mismatch; already_exists
  /// where an exclusive writer lives (`WriterOptions::exclusive`).
  explicit Publisher(const Node& node, std::string_view service,
                     const PublisherOptions& options = {})
      : Publisher(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Publisher> create(const Node& node, std::string_view service,
                                                const PublisherOptions& options = {}) noexcept {
    return create(node, service, options, {});
  }

  /// A payload to write: `T{args…}`, or left as it is in memory (like `T x;`) without arguments. Of
  /// slices: `loan(count)`, elements left as they are in memory. Of a class with containers:
  /// `T(args…, allocator)`; filling it allocates in shared memory, which is not wait-free.
  /// Wait-free; a system call only when ports have come or gone, or memory is short. A slice that
  /// is larger than those before takes time to find memory for. Errors: too_many_loans, would_block
  /// (lossless delivery), no_memory, no_address_space (slices: `heap_bytes` are used up), forked.
  template <typename... Args>
  requires(!is_slice<T>) [[nodiscard]] Loan<T> loan(Args&&... args) noexcept(
      constructs_without_throwing<T, Args...>()) {
    return construct<T>(port_, port_->loan(), std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<T> loan(std::size_t count) noexcept requires(is_slice<T>) {
    return Loan<T>(port_, port_->loan_slice(count));
  }

  /// The same, but waits for room, at most `timeout`, under lossless delivery; then the error is
  /// timed_out.
  template <typename Rep, typename Period, typename... Args>
  requires(!is_slice<T>) [[nodiscard]] Loan<T> loan_for(
      std::chrono::duration<Rep, Period> timeout,
      Args&&... args) noexcept(constructs_without_throwing<T, Args...>()) {
    return construct<T>(port_, port_->loan_for(to_timeout(timeout)), std::forward<Args>(args)...);
  }
  template <typename Rep, typename Period>
  requires(is_slice<T>) [[nodiscard]] Loan<T> loan_for(std::chrono::duration<Rep, Period> timeout,
                                                       std::size_t count) noexcept {
    return Loan<T>(port_, port_->loan_slice_for(to_timeout(timeout), count));
  }

  /// Publishes a loan of this publisher; returns its sequence number, which counts from 0. Never
  /// fails. Wait-free; a system call only if a subscriber sleeps, or ports have come or gone.
  /// Aborts where `loan` is empty or another publisher's: a programmer's error.
  std::uint64_t publish(Loan<T>&& loan) noexcept {
    return port_->publish(
        loan.hand_on(port_, "publish of a loan that is empty or of another publisher"));
  }

  /// Publishes a copy of `value`, a plain payload. Errors: as for `loan`.
  Published publish(const T& value) noexcept requires(!is_slice<T> && !DynamicPayload<T>) {
    const Loaned loaned = port_->loan();
    if (loaned.payload == nullptr) return Published(loaned.error);
    new (loaned.payload) T(value);
    return Published(port_->publish(loaned.cell));
  }
  /// The same for a slice.
  Published publish(std::span<const std::remove_extent_t<T>> elements) noexcept
      requires(is_slice<T>) {
    const Loaned loaned = port_->loan_slice(elements.size());
    if (loaned.payload == nullptr) return Published(loaned.error);
    if (!elements.empty()) std::memcpy(loaned.payload, elements.data(), elements.size_bytes());
    return Published(port_->publish(loaned.cell));
  }

  /// Subscribers of the service now. What is published from here on reaches them, whatever becomes
  /// of this publisher. System calls.
  [[nodiscard]] std::uint32_t subscribers() noexcept { return port_->subscribers(); }

  /// Sleeps until there are at least `count` subscribers, which then miss nothing of what is
  /// published, at most `timeout`. Returns ok, or why not (`last_failure()` says the same):
  /// timed_out, with how many there are; forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_subscribers(std::uint32_t count,
                                    std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("subscribers", count, timeout, &PublisherPort::subscribers);
  }

  /// What samples of this publisher say in `Sample::publisher()`.
  [[nodiscard]] std::uint64_t id() const noexcept { return port_->incarnation(); }

 protected:
  /// The same for a `Writer`.
  [[nodiscard]] static Result<Publisher> create(const Node& node, std::string_view service,
                                                const PublisherOptions& options,
                                                const WriterRole& role) noexcept {
    return own<Publisher>(PublisherPort::create(node,
                                                service_of<T>(Pattern::publish_subscribe, service),
                                                port_layout<T>(options.heap_bytes), options, role));
  }

 private:
  using PortOwner::PortOwner;
};

}  // namespace sluice
