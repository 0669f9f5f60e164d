// SPDX-License-Identifier: Apache-2.0
//
// A sequence in shared memory. Its words: memory/container_words.hpp.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <sluice/container/dynamic_payload.hpp>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/container_words.hpp>
#include <type_traits>
#include <utility>

namespace sluice {

/// As `std::vector`. Copying gives one of the private heap; assigning keeps the heap. Where nothing
/// follows its block in the heap it grows in place, and nothing is moved.
template <typename T>
class Vector {
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

  Vector() noexcept : Vector(Allocator<>()) {}
  explicit Vector(const Allocator<>& allocator) noexcept : words_(allocator, type()) {}
  explicit Vector(size_type count, const Allocator<>& allocator = {}) : Vector(allocator) {
    resize(count);
  }
  Vector(size_type count, const T& value, const Allocator<>& allocator = {}) : Vector(allocator) {
    resize(count, value);
  }
  template <std::input_iterator It>
  Vector(It first, It last, const Allocator<>& allocator = {}) : Vector(allocator) {
    append(first, last);
  }
  Vector(std::initializer_list<T> elements, const Allocator<>& allocator = {})
      : Vector(elements.begin(), elements.end(), allocator) {}
  Vector(const Vector& other) : Vector(other, Allocator<>()) {}
  Vector(const Vector& other, const Allocator<>& allocator)
      : Vector(other.begin(), other.end(), allocator) {}
  Vector(Vector&& other) noexcept : Vector(other.words_.allocator) { words_.swap(other.words_); }
  Vector(Vector&& other, const Allocator<>& allocator) : Vector(allocator) {
    *this = std::move(other);
  }
  ~Vector() {
    static_assert(require_element<T>());
    std::destroy_n(data(), size());
    deallocate();
  }

  Vector& operator=(const Vector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  /// Elements are moved one by one where the heaps differ.
  Vector& operator=(Vector&& other) {
    if (this == &other) return *this;
    if (words_.allocator == other.words_.allocator) {
      Vector taken(std::move(other));
      words_.swap(taken.words_);
    } else {
      assign(std::move_iterator(other.begin()), std::move_iterator(other.end()));
      other.clear();
    }
    return *this;
  }
  Vector& operator=(std::initializer_list<T> elements) {
    assign(elements.begin(), elements.end());
    return *this;
  }
  template <std::input_iterator It>
  void assign(It first, It last) {
    T* at = begin();
    if constexpr (!kPlain) {
      for (; first != last && at != end(); ++first, ++at) *at = *first;
    }
    truncate(static_cast<size_type>(at - begin()));
    append(first, last);
  }
  void assign(std::initializer_list<T> elements) { assign(elements.begin(), elements.end()); }
  void assign(size_type count, const T& value) { *this = Vector(count, value, get_allocator()); }

  [[nodiscard]] Allocator<> get_allocator() const noexcept { return words_.allocator; }
  [[nodiscard]] T* data() noexcept { return static_cast<T*>(words_.data.get()); }
  [[nodiscard]] const T* data() const noexcept { return static_cast<const T*>(words_.data.get()); }
  [[nodiscard]] iterator begin() noexcept { return data(); }
  [[nodiscard]] const_iterator begin() const noexcept { return data(); }
  [[nodiscard]] const_iterator cbegin() const noexcept { return data(); }
  [[nodiscard]] iterator end() noexcept { return data() + size(); }
  [[nodiscard]] const_iterator end() const noexcept { return data() + size(); }
  [[nodiscard]] const_iterator cend() const noexcept { return data() + size(); }
  [[nodiscard]] reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  [[nodiscard]] auto rbegin() const noexcept { return const_reverse_iterator(end()); }
  [[nodiscard]] reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  [[nodiscard]] auto rend() const noexcept { return const_reverse_iterator(begin()); }

  [[nodiscard]] size_type size() const noexcept { return words_.size; }
  [[nodiscard]] bool empty() const noexcept { return words_.size == 0; }
  [[nodiscard]] size_type capacity() const noexcept { return words_.capacity; }
  [[nodiscard]] static size_type max_size() noexcept { return Allocator<T>::max_size(); }

  [[nodiscard]] T& operator[](size_type i) noexcept { return data()[i]; }
  [[nodiscard]] const T& operator[](size_type i) const noexcept { return data()[i]; }
  [[nodiscard]] T& at(size_type i) { return check(i), data()[i]; }
  [[nodiscard]] const T& at(size_type i) const { return check(i), data()[i]; }
  [[nodiscard]] T& front() noexcept { return data()[0]; }
  [[nodiscard]] const T& front() const noexcept { return data()[0]; }
  [[nodiscard]] T& back() noexcept { return data()[size() - 1]; }
  [[nodiscard]] const T& back() const noexcept { return data()[size() - 1]; }

  void reserve(size_type count) {
    if (count > capacity()) grow(count, count);
  }
  void resize(size_type count) {
    if (count < size()) return truncate(count);
    make_room(count);
    if constexpr (kPlain) {
      std::uninitialized_value_construct_n(end(), count - size());
      words_.size = count;
    } else {
      while (size() < count) emplace_back();
    }
  }
  void resize(size_type count, const T& value) {
    if (count < size()) return truncate(count);
    if (count == size()) return;
    emplace_back(value);  // which may be an element
    make_room(count);
    while (size() < count) emplace_back(back());
  }
  /// The same, but new elements are as they are in memory (like `T x;`): to be written at once.
  void resize_for_overwrite(size_type count) requires(std::is_trivially_copyable_v<T>) {
    if (count < size()) return truncate(count);
    make_room(count);
    std::uninitialized_default_construct_n(end(), count - size());
    words_.size = count;
  }
  void shrink_to_fit() {
    if (size() == capacity()) return;
    if (!empty()) return move_to(Block(words_.allocator, size(), size(), size()));
    Vector taken(std::move(*this));
  }
  void clear() noexcept { truncate(0); }

  /// Of `T(args…)`, or `T(args…, allocator)` where `T` has containers.
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size() == capacity() && !expand(size() + 1)) [[unlikely]] {
      // Before the others are moved: an argument may be one of them, or part of it.
      Block block(words_.allocator, size(), size() + 1, next_capacity(size() + 1));
      construct(block.data + size(), std::forward<Args>(args)...);
      ++block.end;
      move_to(std::move(block));
    } else {
      construct(end(), std::forward<Args>(args)...);
      ++words_.size;
    }
    return back();
  }
  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  /// Precondition: not empty.
  void pop_back() noexcept { truncate(size() - 1); }
  template <std::input_iterator It>
  void append(It first, It last) {
    if constexpr (std::forward_iterator<It>) {
      const auto count = static_cast<size_type>(std::distance(first, last));
      make_room(size() + count);
      if constexpr (kPlain) {
        std::uninitialized_copy(first, last, end());
        words_.size += count;
        return;
      }
    }
    for (; first != last; ++first) emplace_back(*first);
  }

  template <typename... Args>
  iterator emplace(const_iterator position, Args&&... args) {
    return rotate_in(position, [&] { emplace_back(std::forward<Args>(args)...); });
  }
  iterator insert(const_iterator position, const T& value) { return emplace(position, value); }
  iterator insert(const_iterator position, T&& value) {
    return emplace(position, std::move(value));
  }
  iterator insert(const_iterator position, size_type count, const T& value) {
    return rotate_in(position, [&] { resize(size() + count, value); });
  }
  template <std::input_iterator It>
  iterator insert(const_iterator position, It first, It last) {
    return rotate_in(position, [&] { append(first, last); });
  }
  iterator insert(const_iterator position, std::initializer_list<T> elements) {
    return insert(position, elements.begin(), elements.end());
  }
  iterator erase(const_iterator position) { return erase(position, position + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const difference_type i = first - begin();
    if (first != last) {
      T* const left = std::move(begin() + (last - begin()), end(), begin() + i);
      truncate(static_cast<size_type>(left - begin()));
    }
    return begin() + i;
  }
  void swap(Vector& other) { std::swap(*this, other); }
  friend void swap(Vector& a, Vector& b) { a.swap(b); }

  [[nodiscard]] friend bool operator==(const Vector& a,
                                       const Vector& b) requires(std::equality_comparable<T>) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  [[nodiscard]] friend auto operator<=>(const Vector& a,
                                        const Vector& b) requires(std::three_way_comparable<T>) {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr bool kPlain = std::is_trivially_copyable_v<T>;

  /// Memory that is not the vector's yet, with elements in [begin, end).
  struct Block {
    Block(Allocator<T> a, size_type first, size_type least, size_type preferred)
        : allocator(a), begin(first), end(first), capacity(preferred) {
      data = allocator.allocate(least, capacity).get();
    }
    Block(const Block&) = delete;
    ~Block() {
      if (data == nullptr) return;
      std::destroy(data + begin, data + end);
      allocator.deallocate(data, capacity);
    }
    Allocator<T> allocator;
    T* data;
    size_type begin;
    size_type end;
    size_type capacity;
  };

  static const ContainerType& type() noexcept {
    static constexpr ContainerType kType{sizeof(T), alignof(T), false, containers_of<T>};
    return kType;
  }

  void check(size_type i) const {
    if (i >= size()) raise_out_of_range("an index is beyond the end of a sluice::Vector");
  }
  template <typename... Args>
  void construct(T* at, Args&&... args) {
    ::new (static_cast<void*>(at)) T(make_in<T>(words_.allocator, std::forward<Args>(args)...));
  }
  void truncate(size_type count) noexcept {
    std::destroy(begin() + count, end());
    words_.size = count;
  }
  void deallocate() noexcept {
    if (capacity() > 0) Allocator<T>(words_.allocator).deallocate(data(), capacity());
  }
  [[nodiscard]] size_type next_capacity(size_type least) const noexcept {
    return std::max(least, capacity() + capacity() / 2);
  }
  void make_room(size_type least) {
    if (least > capacity()) grow(least, next_capacity(least));
  }
  void grow(size_type least, size_type preferred) {
    if (!expand(least)) move_to(Block(words_.allocator, size(), least, preferred));
  }
  [[nodiscard]] bool expand(size_type least) noexcept {
    if (capacity() == 0) return false;
    const size_type expanded =
        Allocator<T>(words_.allocator).expand(data(), least, next_capacity(least));
    if (expanded > 0) words_.capacity = expanded;
    return expanded > 0;
  }
  /// Moves the elements to `block`, which may have more of them behind.
  void move_to(Block&& block) {
    if constexpr (kPlain) {
      if (size() > 0) std::memcpy(block.data, data(), size() * sizeof(T));
    } else {
      while (block.begin > 0) {
        construct(block.data + block.begin - 1, std::move(data()[block.begin - 1]));
        --block.begin;
      }
      std::destroy_n(data(), size());
    }
    deallocate();
    words_.data = std::exchange(block.data, nullptr);
    words_.size = block.end;
    words_.capacity = block.capacity;
  }
  template <typename Append>
  iterator rotate_in(const_iterator position, Append append_all) {
    const difference_type i = position - begin();
    const auto before = static_cast<difference_type>(size());
    append_all();
    std::rotate(begin() + i, begin() + before, end());
    return begin() + i;
  }

  ContainerWords words_;
};

}  // namespace sluice
