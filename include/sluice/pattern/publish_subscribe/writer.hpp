// SPDX-License-Identifier: Apache-2.0
#pragma once

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
};

/// Writes the newest value of something, of any size, for any number of readers to look at in
/// place. A writer is a publisher that keeps its last sample for those who come later; subscribers
/// of the same service get every value. The value lasts as long as its writer, and with each reader
/// that has looked for it by then. Thread safety: one thread at a time.
template <typename T>
class Writer {
 public:
  /// Joins `service`, or creates it. System calls. Errors (thrown as `Error`): as for `Publisher`.
  explicit Writer(const Node& node, std::string_view service, const WriterOptions& options = {})
      : publisher_(node, service, publisher_options(options)) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Writer> create(const Node& node, std::string_view service,
                                             const WriterOptions& options = {}) noexcept {
    auto publisher = Publisher<T>::create(node, service, publisher_options(options));
    if (!publisher) return publisher.failure();
    return Writer(std::move(*publisher));
  }

  /// A value to fill in before others see it; as `Publisher::loan`.
  template <typename... Args>
  [[nodiscard]] Loan<T> loan(Args&&... args) noexcept(
      noexcept(std::declval<Publisher<T>&>().loan(std::declval<Args>()...))) {
    return publisher_.loan(std::forward<Args>(args)...);
  }
  /// Makes a loan of this writer the newest value; returns how many there were before it.
  /// Wait-free; a system call only if a reader sleeps. Aborts as `Publisher::publish`.
  std::uint64_t write(Loan<T>&& loan) noexcept { return publisher_.publish(std::move(loan)); }
  /// The same for a copy of `value`. Errors: as for `Publisher::loan`.
  Published write(const T& value) noexcept requires(!is_slice<T> && !DynamicPayload<T>) {
    return publisher_.publish(value);
  }
  Published write(std::span<const std::remove_extent_t<T>> elements) noexcept
      requires(is_slice<T>) {
    return publisher_.publish(elements);
  }

  /// Readers (and subscribers) of the service now. System calls.
  [[nodiscard]] std::uint32_t readers() noexcept { return publisher_.subscribers(); }
  /// What samples of this writer say in `Sample::publisher()`.
  [[nodiscard]] std::uint64_t id() const noexcept { return publisher_.id(); }
  /// Why the last loan failed, in words and numbers.
  [[nodiscard]] const Failure& last_failure() const noexcept { return publisher_.last_failure(); }

 private:
  explicit Writer(Publisher<T> publisher) noexcept : publisher_(std::move(publisher)) {}

  /// Two entries: the one before the newest is overwritten while the newest stands.
  static PublisherOptions publisher_options(const WriterOptions& options) noexcept {
    return {.history = 1,
            .depth = 2,
            .max_loans = options.max_loans,
            .delivery = Delivery::latest,
            .heap_bytes = options.heap_bytes};
  }

  Publisher<T> publisher_;
};

}  // namespace sluice
