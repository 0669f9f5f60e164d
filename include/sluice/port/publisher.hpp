// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <new>
#include <sluice/core/result.hpp>
#include <sluice/port/options.hpp>
#include <sluice/port/publisher_port.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/schema.hpp>
#include <string_view>
#include <utility>

namespace sluice {

template <typename T>
class Publisher;

/// A payload in shared memory that its publisher may write until it is published. False where there
/// was none to be had. Move-only; one that is destroyed unpublished gives its memory back. May
/// outlive its publisher, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Loan {
 public:
  Loan() = default;
  Loan(Loan&& other) noexcept
      : port_(std::exchange(other.port_, nullptr)),
        payload_(std::exchange(other.payload_, nullptr)),
        cell_(other.cell_),
        error_(std::exchange(other.error_, Errc::closed)) {}
  Loan& operator=(Loan&& other) noexcept {
    if (this != &other) {
      reset();
      port_ = std::exchange(other.port_, nullptr);
      payload_ = std::exchange(other.payload_, nullptr);
      cell_ = other.cell_;
      error_ = std::exchange(other.error_, Errc::closed);
    }
    return *this;
  }
  ~Loan() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return payload_ != nullptr; }
  /// Why there is no loan: would_block, timed_out, too_many_loans, no_memory, forked; closed where
  /// it was moved from, published or reset.
  [[nodiscard]] Errc error() const noexcept { return error_; }

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] T* get() const noexcept { return payload_; }
  [[nodiscard]] T& operator*() const noexcept { return *payload_; }
  [[nodiscard]] T* operator->() const noexcept { return payload_; }

  /// Gives the memory back unpublished.
  void reset() noexcept {
    if (payload_ == nullptr) return;
    payload_ = nullptr;
    error_ = Errc::closed;
    std::exchange(port_, nullptr)->drop(cell_);
  }

 private:
  friend class Publisher<T>;

  Loan(PublisherPort* port, const PublisherPort::Loaned& loaned, T* payload) noexcept
      : port_(port), payload_(payload), cell_(loaned.cell), error_(loaned.error) {}

  PublisherPort* port_ = nullptr;
  T* payload_ = nullptr;
  std::uint32_t cell_ = 0;
  Errc error_ = Errc::closed;
};

/// The sequence number of a copy that was published, or why it was not. May be ignored.
class Published : public Result<std::uint64_t> {
 public:
  using Result::Result;
};

/// Publishes samples of `T`, any trivially copyable type without pointers, to every subscriber of a
/// service. Thread safety: one thread at a time; different publishers are independent.
template <typename T>
class Publisher {
  static_assert(require_payload<T>());
  static_assert(alignof(T) <= kMaxPayloadAlignment,
                "sluice: a payload's alignment is at most 4096 bytes");

 public:
  /// Joins `service`, or creates it. System calls.
  /// Errors (thrown as `Error`): invalid_name, invalid_options, type_mismatch, delivery_mismatch,
  /// version_mismatch, corrupted, too_many_ports (1024 publishers), no_memory, no_address_space,
  /// no_permission, forked, timed_out, system.
  explicit Publisher(const Node& node, std::string_view service,
                     const PublisherOptions& options = {})
      : Publisher(take(create(node, service, options))) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Publisher> create(const Node& node, std::string_view service,
                                                const PublisherOptions& options = {}) noexcept {
    auto port = PublisherPort::create(node, service, schema_of<T>(), options);
    if (!port) return port.failure();
    return Publisher(*port);
  }

  Publisher(Publisher&& other) noexcept : port_(std::exchange(other.port_, nullptr)) {}
  Publisher& operator=(Publisher&& other) noexcept {
    std::swap(port_, other.port_);
    return *this;
  }
  /// Leaves the service. Samples that subscribers hold stay readable.
  ~Publisher() {
    if (port_ != nullptr) port_->close();
  }

  /// A payload to write: `T{args…}`, or left as it is in memory (like `T x;`) without arguments.
  /// Wait-free; a system call only when ports have come or gone, or memory is short.
  /// Errors: too_many_loans, would_block (lossless delivery), no_memory, no_address_space, forked.
  template <typename... Args>
  [[nodiscard]] Loan<T> loan(Args&&... args) noexcept(noexcept(T{std::declval<Args>()...})) {
    return construct(port_->loan(), std::forward<Args>(args)...);
  }

  /// The same, but waits for room, at most `timeout`, under lossless delivery; then the error is
  /// timed_out.
  template <typename... Args>
  [[nodiscard]] Loan<T> loan_for(std::chrono::nanoseconds timeout,
                                 Args&&... args) noexcept(noexcept(T{std::declval<Args>()...})) {
    return construct(port_->loan_for(timeout), std::forward<Args>(args)...);
  }

  /// Publishes a loan of this publisher; returns its sequence number, which counts from 0. Never
  /// fails. Wait-free; a system call only if a subscriber sleeps. Aborts where `loan` is empty or
  /// another publisher's: a programmer's error.
  std::uint64_t publish(Loan<T>&& loan) noexcept {
    if (loan.port_ != port_ || port_ == nullptr) [[unlikely]]
      abort_with("publish of a loan that is empty or of another publisher");
    loan.port_ = nullptr;
    loan.payload_ = nullptr;
    loan.error_ = Errc::closed;
    return port_->publish(loan.cell_);
  }

  /// Publishes a copy of `value`. Errors: as for `loan`.
  Published publish(const T& value) noexcept {
    const PublisherPort::Loaned loaned = port_->loan();
    if (loaned.payload == nullptr) return port_->last_failure();
    new (loaned.payload) T(value);
    return port_->publish(loaned.cell);
  }

  /// Subscribers of the service now. What is published from here on reaches them, if this publisher
  /// stays until they next receive or wait. System calls.
  [[nodiscard]] std::uint32_t subscribers() noexcept { return port_->subscribers(); }

  /// What samples of this publisher say in `Sample::publisher()`.
  [[nodiscard]] std::uint64_t id() const noexcept { return port_->incarnation(); }

  /// Why the last loan failed, in words and numbers.
  [[nodiscard]] const Failure& last_failure() const noexcept { return port_->last_failure(); }

 private:
  explicit Publisher(PublisherPort* port) noexcept : port_(port) {}

  static Publisher take(Result<Publisher> created) {
    if (!created) raise(created.failure());
    return std::move(*created);
  }

  template <typename... Args>
  Loan<T> construct(const PublisherPort::Loaned& loaned, Args&&... args) {
    if (loaned.payload == nullptr) [[unlikely]]
      return Loan<T>(nullptr, loaned, nullptr);
    // Before the payload is constructed: if that throws, the loan is given back.
    Loan<T> loan(port_, loaned, reinterpret_cast<T*>(loaned.payload));
    if constexpr (sizeof...(Args) == 0) {
      new (loaned.payload) T;
    } else {
      new (loaned.payload) T{std::forward<Args>(args)...};
    }
    return loan;
  }

  PublisherPort* port_;
};

}  // namespace sluice
