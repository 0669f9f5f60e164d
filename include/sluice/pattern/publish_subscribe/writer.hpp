// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/pattern/publish_subscribe/publisher.hpp>
#include <string_view>
#include <utility>

namespace sluice {

/// Values outside the limits are refused with Errc::invalid_options.
struct WriterOptions {
  /// Loans that may be held at once. 1 to 256.
  std::uint32_t max_loans = 2;
  /// As `PublisherOptions::heap_bytes`.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
  /// No other writer or publisher may be in the service at the same time: joining fails with
  /// Errc::already_exists where one lives, and so does any that joins while this one lives. Of two
  /// that join at the same moment, both may fail. One that has left or was killed is in nobody's
  /// way.
  bool exclusive = false;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

/// Writes the newest value of something, of any size, for any number of readers to look at in
/// place. A writer is a publisher that keeps its last sample for those who come later; subscribers
/// of the same service get every value. The last value outlives its writer, until another one
/// writes or nobody is in the service. Thread safety: one thread at a time.
template <typename T>
class Writer : private Publisher<T> {
 public:
  /// Joins `service`, or creates it. Errors: as for `Publisher`; already_exists.
  explicit Writer(const Node& node, std::string_view service, const WriterOptions& options = {})
      : Writer(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Writer> create(const Node& node, std::string_view service,
                                             const WriterOptions& options = {}) noexcept {
    auto publisher = Publisher<T>::create(node, service, publisher_options(options),
                                          {.is_writer = true, .is_exclusive = options.exclusive});
    if (!publisher) return publisher.failure();
    return Writer(std::move(*publisher));
  }

  /// A value to fill in before others see it.
  using Publisher<T>::loan;
  /// Makes a loan of this writer the newest value; returns how many there were before it.
  /// Wait-free; a system call only if a reader sleeps, or ports have come or gone. Aborts as
  /// `Publisher::publish`.
  std::uint64_t write(Loan<T>&& value) noexcept { return this->publish(std::move(value)); }
  /// The same for a copy of `value`. Errors: as for `Publisher::loan`.
  Published write(const T& value) noexcept requires(!is_slice<T> && !DynamicPayload<T>) {
    return this->publish(value);
  }
  Published write(std::span<const std::remove_extent_t<T>> elements) noexcept
      requires(is_slice<T>) {
    return this->publish(elements);
  }

  /// Readers (and subscribers) of the service now. System calls.
  [[nodiscard]] std::uint32_t readers() noexcept { return this->subscribers(); }
  /// As `Publisher::wait_for_subscribers`: until there are at least `count` readers (or
  /// subscribers), at most `timeout`.
  template <typename Rep, typename Period>
  Result<void> wait_for_readers(std::uint32_t count,
                                std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_subscribers(count, timeout);
  }
  using Publisher<T>::id;
  using Publisher<T>::interrupt;
  using Publisher<T>::last_failure;

 private:
  explicit Writer(Publisher<T> publisher) noexcept : Publisher<T>(std::move(publisher)) {}

  /// Two entries: the one before the newest is overwritten while the newest stands.
  static PublisherOptions publisher_options(const WriterOptions& options) noexcept {
    return {.history = 1,
            .depth = 2,
            .max_loans = options.max_loans,
            .delivery = Delivery::latest,
            .heap_bytes = options.heap_bytes,
            .mode = options.mode};
  }
};

}  // namespace sluice
