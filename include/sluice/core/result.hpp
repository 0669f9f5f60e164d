// SPDX-License-Identifier: Apache-2.0
//
// A value, or the failure that took its place.
#pragma once

#include <sluice/core/error.hpp>
#include <utility>
#include <variant>

namespace sluice {

/// Holds a `T` or a `Failure`. Converts to `true` when it holds a value.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}            // NOLINT
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return state_.index() == 0; }
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  /// The cause of the failure, `Errc::ok` where there is a value.
  [[nodiscard]] Errc error() const noexcept { return has_value() ? Errc::ok : failure().code; }
  /// Precondition: holds a failure.
  [[nodiscard]] const Failure& failure() const noexcept { return *std::get_if<1>(&state_); }

  /// The value. Throws `Error` where there is none (aborts without exceptions).
  [[nodiscard]] T& value() & { return checked(), *std::get_if<0>(&state_); }
  [[nodiscard]] const T& value() const& { return checked(), *std::get_if<0>(&state_); }
  [[nodiscard]] T&& value() && { return checked(), std::move(*std::get_if<0>(&state_)); }

  /// Precondition: holds a value.
  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

 private:
  void checked() const {
    if (!has_value()) raise(failure());
  }

  std::variant<T, Failure> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)) {}  // NOLINT

  [[nodiscard]] explicit operator bool() const noexcept { return failure_.code == Errc::ok; }
  [[nodiscard]] bool has_value() const noexcept { return failure_.code == Errc::ok; }
  [[nodiscard]] Errc error() const noexcept { return failure_.code; }
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  void value() const {
    if (!has_value()) raise(failure_);
  }

 private:
  Failure failure_;
};

}  // namespace sluice
