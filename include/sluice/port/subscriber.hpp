// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/port/options.hpp>
#include <sluice/port/subscriber_port.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/schema.hpp>
#include <string_view>
#include <utility>

namespace sluice {

template <typename T>
class Subscriber;

/// A published payload, read where its publisher wrote it. False where there was none. Move-only;
/// destroying it gives the memory back. It stays readable when its publisher dies; may outlive its
/// subscriber, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Sample {
 public:
  Sample() = default;
  Sample(Sample&& other) noexcept
      : port_(other.port_), borrowed_(std::exchange(other.borrowed_, {.error = Errc::closed})) {}
  Sample& operator=(Sample&& other) noexcept {
    if (this != &other) {
      reset();
      port_ = other.port_;
      borrowed_ = std::exchange(other.borrowed_, {.error = Errc::closed});
    }
    return *this;
  }
  ~Sample() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return borrowed_.payload != nullptr; }
  /// Why there is no sample: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a publisher that cannot be read), closed (moved from or reset).
  [[nodiscard]] Errc error() const noexcept { return borrowed_.error; }

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] const T* get() const noexcept {
    return reinterpret_cast<const T*>(borrowed_.payload);
  }
  [[nodiscard]] const T& operator*() const noexcept { return *get(); }
  [[nodiscard]] const T* operator->() const noexcept { return get(); }

  /// Counts the publisher's samples from 0; a gap is what was lost.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return borrowed_.sequence; }
  /// Tells the service's publishers apart: `Publisher::id()`.
  [[nodiscard]] std::uint64_t publisher() const noexcept {
    return borrowed_.connection->publisher();
  }

  /// Gives the memory back.
  void reset() noexcept {
    if (borrowed_.payload == nullptr) return;
    const auto was = std::exchange(borrowed_, {.error = Errc::closed});
    port_->drop(was.connection, was.cell);
  }

 private:
  friend class Subscriber<T>;

  Sample(SubscriberPort* port, const SubscriberPort::Borrowed& borrowed) noexcept
      : port_(port), borrowed_(borrowed) {}

  SubscriberPort* port_ = nullptr;
  SubscriberPort::Borrowed borrowed_{.error = Errc::closed};
};

/// Receives the samples of every publisher of a service, in the order in which each published them,
/// publishers in turn. Thread safety: one thread at a time; different subscribers are independent.
template <typename T>
class Subscriber {
  static_assert(require_payload<T>());

 public:
  /// Joins `service`, or creates it; publishers may come later. System calls.
  /// Errors (thrown as `Error`): invalid_name, invalid_options, type_mismatch, version_mismatch,
  /// corrupted, too_many_ports (1024 subscribers), no_memory, no_address_space, no_permission,
  /// forked, timed_out, system.
  explicit Subscriber(const Node& node, std::string_view service,
                      const SubscriberOptions& options = {})
      : Subscriber(take(create(node, service, options))) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Subscriber> create(const Node& node, std::string_view service,
                                                 const SubscriberOptions& options = {}) noexcept {
    auto port = SubscriberPort::create(node, service, schema_of<T>(), options);
    if (!port) return port.failure();
    return Subscriber(*port);
  }

  Subscriber(Subscriber&& other) noexcept : port_(std::exchange(other.port_, nullptr)) {}
  Subscriber& operator=(Subscriber&& other) noexcept {
    std::swap(port_, other.port_);
    return *this;
  }
  /// Leaves the service once the last of its samples is given back.
  ~Subscriber() {
    if (port_ != nullptr) port_->close();
  }

  /// The next sample; does not block. Wait-free; system calls only when ports have come or gone.
  [[nodiscard]] Sample<T> receive() noexcept {
    return Sample<T>(port_, port_->receive(SubscriberPort::Want::oldest));
  }

  /// The same, but sleeps until there is one, at most `timeout`.
  [[nodiscard]] Sample<T> wait(std::chrono::nanoseconds timeout) noexcept {
    return Sample<T>(port_, port_->wait(timeout));
  }

  /// The newest sample that was not received yet, passing over older ones, which are not counted as
  /// lost. With several publishers: the newest of each in turn.
  [[nodiscard]] Sample<T> latest() noexcept {
    return Sample<T>(port_, port_->receive(SubscriberPort::Want::newest));
  }

  /// Samples that this subscriber was too slow for, of all publishers together.
  [[nodiscard]] std::uint64_t lost() const noexcept { return port_->lost(); }

  /// Publishers of the service that this subscriber reads from now. System calls.
  [[nodiscard]] std::uint32_t publishers() noexcept { return port_->publishers(); }

  /// Why the last `receive`, `wait` or `latest` failed, in words and numbers.
  [[nodiscard]] const Failure& last_failure() const noexcept { return port_->last_failure(); }

 private:
  explicit Subscriber(SubscriberPort* port) noexcept : port_(port) {}

  static Subscriber take(Result<Subscriber> created) {
    if (!created) raise(created.failure());
    return std::move(*created);
  }

  SubscriberPort* port_;
};

}  // namespace sluice
