// SPDX-License-Identifier: Apache-2.0
//
// A pointer that means the same wherever the memory that holds it is mapped: it stores the distance
// from itself to what it points to. Both ends must lie in one mapping, or the pointer on the stack
// of the process that uses it. The technique is that of Boost.Interprocess.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

namespace sluice {

/// Behaves like `T*`, also as an iterator and as the pointer of an allocator. `T` may be `void`,
/// and may be incomplete.
///
/// Copying computes the distance anew, so that an object which holds one must be copied by its copy
/// constructor and never by `memcpy`. Zeroed memory is no null pointer: initialise it. It is not
/// atomic: a reader may follow one that was stored before the object around it was made known.
template <typename T>
class offset_ptr {  // named after what it stands for, as `std::unique_ptr` is
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using difference_type = std::ptrdiff_t;
  using pointer = offset_ptr;
  using reference = std::add_lvalue_reference_t<T>;
  using iterator_category = std::random_access_iterator_tag;

  offset_ptr() noexcept = default;
  offset_ptr(T* target) noexcept : distance_(distance_to(target)) {}  // NOLINT
  offset_ptr(const offset_ptr& other) noexcept : offset_ptr(other.get()) {}
  /// From any pointer that `static_cast` turns into a `T*`; explicit where `static_cast` is needed.
  template <typename U>
  requires(requires(U* pointer) {
    static_cast<T*>(pointer);
  }) explicit(!std::is_convertible_v<U*, T*>) offset_ptr(const offset_ptr<U>& other) noexcept
      : offset_ptr(static_cast<T*>(other.get())) {}

  offset_ptr& operator=(const offset_ptr& other) noexcept { return *this = other.get(); }
  offset_ptr& operator=(T* target) noexcept {
    distance_ = distance_to(target);
    return *this;
  }

  /// A pointer to `target`, as `std::pointer_traits` asks for.
  template <typename U>
  requires(std::is_same_v<U, T> && !std::is_void_v<U>) [[nodiscard]] static offset_ptr
      pointer_to(U& target) noexcept {
    return offset_ptr(std::addressof(target));
  }

  [[nodiscard]] T* get() const noexcept {
    if (distance_ == kNull) return nullptr;
    return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(this) +  // NOLINT: an address
                                static_cast<std::uintptr_t>(distance_));
  }
  [[nodiscard]] T* operator->() const noexcept { return get(); }
  [[nodiscard]] reference operator*() const noexcept requires(!std::is_void_v<T>) { return *get(); }
  [[nodiscard]] reference operator[](difference_type i) const noexcept
      requires(!std::is_void_v<T>) {
    return get()[i];
  }
  [[nodiscard]] explicit operator bool() const noexcept { return distance_ != kNull; }

  offset_ptr& operator+=(difference_type count) noexcept { return *this = get() + count; }
  offset_ptr& operator-=(difference_type count) noexcept { return *this = get() - count; }
  offset_ptr& operator++() noexcept { return *this += 1; }
  offset_ptr& operator--() noexcept { return *this -= 1; }
  offset_ptr operator++(int) noexcept { return std::exchange(*this, *this + 1); }
  offset_ptr operator--(int) noexcept { return std::exchange(*this, *this - 1); }
  [[nodiscard]] friend offset_ptr operator+(const offset_ptr& at, difference_type count) noexcept {
    return at.get() + count;
  }
  [[nodiscard]] friend offset_ptr operator+(difference_type count, const offset_ptr& at) noexcept {
    return at.get() + count;
  }
  [[nodiscard]] friend offset_ptr operator-(const offset_ptr& at, difference_type count) noexcept {
    return at.get() - count;
  }
  [[nodiscard]] friend difference_type operator-(const offset_ptr& end,
                                                 const offset_ptr& begin) noexcept {
    return end.get() - begin.get();
  }

  [[nodiscard]] friend bool operator==(const offset_ptr& a, const offset_ptr& b) noexcept {
    return a.get() == b.get();
  }
  [[nodiscard]] friend std::strong_ordering operator<=>(const offset_ptr& a,
                                                        const offset_ptr& b) noexcept {
    return std::compare_three_way{}(a.get(), b.get());
  }

 private:
  // Into the middle of the pointer itself, where nothing can be. 0 would be a pointer to itself,
  // which the only node of a circular list has.
  static constexpr std::ptrdiff_t kNull = 1;

  [[nodiscard]] std::ptrdiff_t distance_to(T* target) const noexcept {
    if (target == nullptr) return kNull;
    return static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(target) -
                                       reinterpret_cast<std::uintptr_t>(this));
  }

  std::ptrdiff_t distance_ = kNull;
};

static_assert(sizeof(offset_ptr<int>) == 8 && std::is_trivially_destructible_v<offset_ptr<int>>);

}  // namespace sluice
