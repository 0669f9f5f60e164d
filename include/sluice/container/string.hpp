// SPDX-License-Identifier: Apache-2.0
//
// Text in shared memory. Up to 15 characters lie in the object itself:
//
//    0                32            48
//   | ContainerWords  | characters  |     longer text: `data` leads to a block of the heap
#pragma once

#include <algorithm>
#include <compare>
#include <cstring>
#include <functional>
#include <iosfwd>
#include <sluice/container/string_like.hpp>
#include <sluice/memory/container_words.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice {

/// As `std::string`, and readable in place by other processes. Copying gives one of the private
/// heap; assigning keeps the heap. What more a `std::string_view` can do: `view()`. Iterators are
/// pointers.
///
/// Positions beyond the end throw `std::out_of_range`. Other errors and thread safety:
/// sluice/containers.hpp.
class String {
 public:
  using value_type = char;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using iterator = char*;
  using const_iterator = const char*;
  static constexpr size_type npos = static_cast<size_type>(-1);

  String() noexcept : String(Allocator<>()) {}
  explicit String(const Allocator<>& allocator) noexcept : words_(allocator, kType) { be_empty(); }
  template <StringLike T>
  requires(!std::is_base_of_v<String, T>)
      String(const T& text, const Allocator<>& allocator = {})  // NOLINT
      : String(allocator) {
    assign(text);
  }
  String(size_type count, char character, const Allocator<>& allocator = {}) : String(allocator) {
    resize(count, character);
  }
  String(const String& other) : String(other, Allocator<>()) {}
  String(const String& other, const Allocator<>& allocator) : String(allocator) {
    assign(other.view());
  }
  String(String&& other) noexcept : String(other.words_.allocator) { take(other); }
  String(String&& other, const Allocator<>& allocator) : String(allocator) { take(other); }
  ~String() { release(); }

  String& operator=(const String& other) { return assign(other.view()); }
  String& operator=(String&& other) {
    if (this != &other) take(other);
    return *this;
  }
  template <StringLike T>
  requires(!std::is_base_of_v<String, T>) String& operator=(const T& text) { return assign(text); }

  /// `text` may be part of this string, here and below.
  String& assign(std::string_view text) {
    if (!holds(text)) truncate(0);
    reserve(text.size());
    if (!text.empty()) std::memmove(data(), text.data(), text.size());
    truncate(text.size());
    return *this;
  }

  [[nodiscard]] Allocator<> get_allocator() const noexcept { return words_.allocator; }
  [[nodiscard]] std::string_view view() const noexcept { return {data(), size()}; }
  [[nodiscard]] operator std::string_view() const noexcept { return view(); }  // NOLINT

  [[nodiscard]] char* data() noexcept { return static_cast<char*>(words_.data.get()); }
  [[nodiscard]] const char* data() const noexcept {
    return static_cast<const char*>(words_.data.get());
  }
  [[nodiscard]] const char* c_str() const noexcept { return data(); }
  [[nodiscard]] iterator begin() noexcept { return data(); }
  [[nodiscard]] const_iterator begin() const noexcept { return data(); }
  [[nodiscard]] const_iterator cbegin() const noexcept { return data(); }
  [[nodiscard]] iterator end() noexcept { return data() + size(); }
  [[nodiscard]] const_iterator end() const noexcept { return data() + size(); }
  [[nodiscard]] const_iterator cend() const noexcept { return data() + size(); }

  [[nodiscard]] size_type size() const noexcept { return words_.size; }
  [[nodiscard]] size_type length() const noexcept { return words_.size; }
  [[nodiscard]] bool empty() const noexcept { return words_.size == 0; }
  [[nodiscard]] size_type capacity() const noexcept { return words_.capacity; }

  [[nodiscard]] char& operator[](size_type i) noexcept { return data()[i]; }
  [[nodiscard]] const char& operator[](size_type i) const noexcept { return data()[i]; }
  [[nodiscard]] char& at(size_type i) { return check(i, size()), data()[i]; }
  [[nodiscard]] const char& at(size_type i) const { return check(i, size()), data()[i]; }
  [[nodiscard]] char& front() noexcept { return data()[0]; }
  [[nodiscard]] const char& front() const noexcept { return data()[0]; }
  [[nodiscard]] char& back() noexcept { return data()[size() - 1]; }
  [[nodiscard]] const char& back() const noexcept { return data()[size() - 1]; }

  void reserve(size_type count) {
    if (count > capacity()) grow(count, count);
  }
  void resize(size_type count, char character = '\0') {
    if (count > size()) {
      make_room(count);
      std::memset(data() + size(), character, count - size());
    }
    truncate(count);
  }
  void clear() noexcept { truncate(0); }
  void push_back(char character) {
    make_room(size() + 1);
    data()[size()] = character;
    truncate(size() + 1);
  }
  /// Precondition: not empty.
  void pop_back() noexcept { truncate(size() - 1); }
  String& append(std::string_view text) { return replace(size(), 0, text); }
  String& append(size_type count, char character) {
    resize(size() + count, character);
    return *this;
  }
  String& operator+=(std::string_view text) { return append(text); }
  String& operator+=(char character) {
    push_back(character);
    return *this;
  }
  String& insert(size_type position, std::string_view text) { return replace(position, 0, text); }
  String& erase(size_type position = 0, size_type count = npos) {
    return replace(position, count, {});
  }
  String& replace(size_type position, size_type count, std::string_view text) {
    check(position, size() + 1);
    count = std::min(count, size() - position);
    if (holds(text)) return replace(position, count, String(text).view());
    const size_type rest = size() - position - count;
    const size_type new_size = size() - count + text.size();
    make_room(new_size);
    char* const at = data() + position;
    std::memmove(at + text.size(), at + count, rest);
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    truncate(new_size);
    return *this;
  }
  void swap(String& other) { std::swap(*this, other); }
  friend void swap(String& a, String& b) { a.swap(b); }

  /// A copy in the private heap.
  [[nodiscard]] String substr(size_type position, size_type count = npos) const {
    check(position, size() + 1);
    return String(view().substr(position, count));
  }
  [[nodiscard]] size_type find(std::string_view text, size_type position = 0) const noexcept {
    return view().find(text, position);
  }
  [[nodiscard]] size_type rfind(std::string_view text, size_type position = npos) const noexcept {
    return view().rfind(text, position);
  }
  [[nodiscard]] bool starts_with(std::string_view text) const noexcept {
    return view().starts_with(text);
  }
  [[nodiscard]] bool ends_with(std::string_view text) const noexcept {
    return view().ends_with(text);
  }
  [[nodiscard]] int compare(std::string_view text) const noexcept { return view().compare(text); }

  template <StringLike T>
  [[nodiscard]] friend bool operator==(const String& a, const T& b) noexcept {
    return a.view() == std::string_view(b);
  }
  template <StringLike T>
  [[nodiscard]] friend std::strong_ordering operator<=>(const String& a, const T& b) noexcept {
    return a.view() <=> std::string_view(b);
  }
  template <typename Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                                      const String& string) {
    return stream << string.view();
  }

 private:
  static constexpr size_type kLocal = 15;
  static constexpr ContainerType kType{1, 1, true, nullptr};

  static void check(size_type position, size_type limit) {
    if (position >= limit) raise_out_of_range("a position is beyond the end of a sluice::String");
  }

  void be_empty() noexcept {
    words_.data = local_;
    words_.capacity = kLocal;
    truncate(0);
  }
  void truncate(size_type count) noexcept {
    words_.size = count;
    data()[count] = '\0';
  }
  void release() noexcept {
    if (data() != local_) allocator().deallocate(data(), capacity() + 1);
  }
  [[nodiscard]] Allocator<char> allocator() const noexcept { return words_.allocator; }
  [[nodiscard]] bool holds(std::string_view text) const noexcept {
    return std::less_equal<>()(data(), text.data()) &&
           std::less_equal<>()(text.data(), data() + size());
  }
  void make_room(size_type least) {
    if (least > capacity()) grow(least, std::max(least, 2 * capacity()));
  }
  void grow(size_type least, size_type preferred) {
    const bool is_local = data() == local_;
    if (const size_type expanded =
            is_local ? 0 : allocator().expand(data(), least + 1, preferred + 1);
        expanded != 0) {
      words_.capacity = expanded - 1;
      return;
    }
    size_type count = preferred + 1;
    char* const block = allocator().allocate(least + 1, count).get();
    std::memcpy(block, data(), size() + 1);
    release();
    words_.data = block;
    words_.capacity = count - 1;
  }
  /// Moves what `other` holds, or copies it where the heaps differ, and leaves `other` empty.
  void take(String& other) {
    if (other.data() == other.local_ || words_.allocator != other.words_.allocator) {
      assign(other.view());
      return other.clear();
    }
    release();
    be_empty();
    words_.swap(other.words_);
    other.be_empty();
  }

  ContainerWords words_;
  char local_[kLocal + 1];
};
static_assert(sizeof(String) == 48);

}  // namespace sluice
