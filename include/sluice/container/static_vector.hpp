// SPDX-License-Identifier: Apache-2.0
//
// A sequence of at most N elements in the object itself, for payloads without an allocator.
#pragma once

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <sluice/container/static_words.hpp>
#include <sluice/reflect/type.hpp>
#include <span>
#include <type_traits>
#include <utility>

namespace sluice {

/// A plain payload (trivially copyable, no pointers) with the interface of `std::vector`, as far as
/// a fixed capacity allows. `T` is a plain payload with a default value, which the places that are
/// not in use have. Iterators are pointers. Constructing and copying take time proportional to `N`.
///
/// Elements for which there is no room: `assign`, `append` and `try_push_back` change nothing and
/// return false; whatever else makes it longer aborts with a message, and does not compile in a
/// constant. Elements of a slice are not constructed: assign to them before anything else,
/// `vectors[i] = {}`.
///
/// Whatever a peer writes over it, nothing here reads outside of it: `size()` is at most `N`.
/// Thread safety: as the standard library's. Wait-free.
template <typename T, std::size_t N>
class StaticVector {
  static_assert(N > 0 && N <= UINT32_MAX, "sluice: the capacity is 1 to 2^32 - 1 elements");

 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  constexpr StaticVector() noexcept = default;
  constexpr StaticVector(std::initializer_list<T> elements) noexcept : StaticVector() {
    if (!append({elements.begin(), elements.size()})) abort_full(elements.size());
  }

  /// `elements` may be part of this vector, here and below. False: they do not fit, nothing is
  /// changed.
  [[nodiscard]] constexpr bool assign(std::span<const T> elements) noexcept {
    if (elements.size() > N) return false;
    copy_to(0, elements);
    return true;
  }
  [[nodiscard]] constexpr bool append(std::span<const T> elements) noexcept {
    const size_type before = size();
    if (elements.size() > N - before) return false;
    copy_to(before, elements);
    return true;
  }
  [[nodiscard]] constexpr bool try_push_back(const T& value) noexcept {
    return append({&value, 1});
  }
  constexpr void push_back(const T& value) noexcept { emplace_back(value); }
  /// Of `T(args…)`, or `T{args…}` of an aggregate.
  template <typename... Args>
  constexpr T& emplace_back(Args&&... args) noexcept {
    const size_type before = size();
    if (before == N) abort_full(N + 1);
    T* const element = construct(data() + before, std::forward<Args>(args)...);
    words_.size = static_cast<std::uint32_t>(before + 1);
    return *element;
  }
  /// Aborts where it is empty.
  constexpr void pop_back() noexcept {
    if (empty()) abort_with("pop_back of an empty sluice::StaticVector");
    end_at(size() - 1);
  }
  constexpr void resize(size_type count, const T& value = T{}) noexcept {
    if (count > N) abort_full(count);
    const T copy = value;  // which may be an element
    for (size_type i = size(); i < count; ++i) construct(data() + i, copy);
    end_at(count);
  }
  constexpr void clear() noexcept { end_at(0); }
  constexpr iterator insert(const_iterator position, const T& value) noexcept {
    const difference_type i = position - begin();
    push_back(value);
    std::rotate(begin() + i, end() - 1, end());
    return begin() + i;
  }
  constexpr iterator erase(const_iterator position) noexcept {
    return erase(position, position + 1);
  }
  constexpr iterator erase(const_iterator first, const_iterator last) noexcept {
    const difference_type i = first - begin();
    copy_to(static_cast<size_type>(i), {last, std::as_const(*this).end()});
    return begin() + i;
  }

  [[nodiscard]] constexpr T* data() noexcept { return words_.elements; }
  [[nodiscard]] constexpr const T* data() const noexcept { return words_.elements; }
  [[nodiscard]] constexpr iterator begin() noexcept { return data(); }
  [[nodiscard]] constexpr const_iterator begin() const noexcept { return data(); }
  [[nodiscard]] constexpr const_iterator cbegin() const noexcept { return data(); }
  [[nodiscard]] constexpr iterator end() noexcept { return data() + size(); }
  [[nodiscard]] constexpr const_iterator end() const noexcept { return data() + size(); }
  [[nodiscard]] constexpr const_iterator cend() const noexcept { return data() + size(); }
  [[nodiscard]] constexpr auto rbegin() noexcept { return reverse_iterator(end()); }
  [[nodiscard]] constexpr auto rbegin() const noexcept { return const_reverse_iterator(end()); }
  [[nodiscard]] constexpr auto rend() noexcept { return reverse_iterator(begin()); }
  [[nodiscard]] constexpr auto rend() const noexcept { return const_reverse_iterator(begin()); }

  [[nodiscard]] constexpr size_type size() const noexcept { return clamped_size(words_.size, N); }
  [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] constexpr bool full() const noexcept { return size() == N; }
  [[nodiscard]] static constexpr size_type capacity() noexcept { return N; }
  [[nodiscard]] static constexpr size_type max_size() noexcept { return N; }

  [[nodiscard]] constexpr T& operator[](size_type i) noexcept { return data()[i]; }
  [[nodiscard]] constexpr const T& operator[](size_type i) const noexcept { return data()[i]; }
  /// Beyond the end: throws `std::out_of_range`.
  [[nodiscard]] constexpr T& at(size_type i) { return check(i), data()[i]; }
  [[nodiscard]] constexpr const T& at(size_type i) const { return check(i), data()[i]; }
  /// The first place where it is empty: a default value.
  [[nodiscard]] constexpr T& front() noexcept { return data()[0]; }
  [[nodiscard]] constexpr const T& front() const noexcept { return data()[0]; }
  [[nodiscard]] constexpr T& back() noexcept { return data()[last()]; }
  [[nodiscard]] constexpr const T& back() const noexcept { return data()[last()]; }

  [[nodiscard]] friend constexpr bool operator==(
      const StaticVector& a, const StaticVector& b) requires(std::equality_comparable<T>) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  [[nodiscard]] friend constexpr auto operator<=>(
      const StaticVector& a, const StaticVector& b) requires(std::three_way_comparable<T>) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  [[noreturn]] static void abort_full(size_type needed) noexcept {
    abort_beyond_capacity("StaticVector", needed, N);
  }
  constexpr void check(size_type i) const {
    if (i >= size()) raise_out_of_range("an index is beyond the end of a sluice::StaticVector");
  }
  /// One read of the size: it may change between two.
  [[nodiscard]] constexpr size_type last() const noexcept {
    const size_type count = size();
    return count > 0 ? count - 1 : 0;
  }
  // By construction, since elements with const members cannot be assigned to.
  template <typename... Args>
  static constexpr T* construct(T* at, Args&&... args) noexcept {
    static_assert(require_payload<T>());  // Here, so that a class with this vector can be examined.
    if constexpr (std::is_constructible_v<T, Args...>) {
      return std::construct_at(at, std::forward<Args>(args)...);
    } else {
      return std::construct_at(at, T{std::forward<Args>(args)...});
    }
  }
  constexpr void copy_to(size_type position, std::span<const T> elements) noexcept {
    T* at = data() + position;
    for (const T& element : elements) construct(at++, element);
    end_at(position + elements.size());
  }
  /// What was in use behind `count` becomes a default value.
  constexpr void end_at(size_type count) noexcept {
    for (size_type i = count, before = size(); i < before; ++i) construct(data() + i);
    words_.size = static_cast<std::uint32_t>(count);
  }

  StaticVectorWords<T, N> words_{};
};

}  // namespace sluice
