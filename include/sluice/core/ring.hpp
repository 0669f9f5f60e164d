// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

namespace sluice {

/// A queue of at most so many elements, the oldest first. Allocates when it is made, and then no
/// more. Thread safety: none.
template <typename T>
class Ring {
 public:
  explicit Ring(std::size_t most) : elements_(most) {}

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// Precondition: `i` < `count()`.
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept {
    return elements_[wrapped(first_ + i)];
  }
  /// Precondition: there is room.
  void push_back(const T& element) noexcept { elements_[wrapped(first_ + count_++)] = element; }
  /// Precondition: not empty.
  T pop_front() noexcept {
    const T element = elements_[first_];
    first_ = wrapped(first_ + 1);
    --count_;
    return element;
  }

 private:
  [[nodiscard]] std::size_t wrapped(std::size_t i) const noexcept {
    return i < elements_.size() ? i : i - elements_.size();
  }

  std::vector<T> elements_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace sluice
