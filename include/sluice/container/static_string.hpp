// SPDX-License-Identifier: Apache-2.0
//
// Text of at most N bytes in the object itself, for payloads without an allocator.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <sluice/container/static_words.hpp>
#include <sluice/container/string_like.hpp>
#include <string_view>
#include <type_traits>

namespace sluice {

/// A plain payload (trivially copyable, no pointers) with the interface of `std::string`, as far as
/// a fixed capacity allows. Always followed by a zero byte; what is not in use is zero. What more a
/// `std::string_view` can do: `view()`. Iterators are pointers.
///
/// Text that is longer than `N`: a literal does not compile; `assign`, `append` and `try_push_back`
/// change nothing and return false; `push_back` and `resize` abort. Elements of a slice are not
/// constructed: assign to them before anything else, `names[i] = {}`.
///
/// Whatever a peer writes over it, nothing here reads outside of it: `size()` is at most `N`.
/// Thread safety: as the standard library's. Wait-free.
template <std::size_t N>
class StaticString {
  static_assert(N > 0 && N < UINT32_MAX, "sluice: the capacity is 1 to 2^32 - 2 bytes");

 public:
  using value_type = char;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using iterator = char*;
  using const_iterator = const char*;

  constexpr StaticString() noexcept = default;
  /// A literal, or the text in an array of characters up to its first zero byte. Does not compile
  /// where the array could hold more than fits.
  template <std::size_t M>
  requires(M <= N + 1) constexpr StaticString(const char (&text)[M]) noexcept {  // NOLINT
    std::size_t length = 0;
    while (length < M && text[length] != '\0') ++length;
    if (!append({text, length})) abort_beyond_capacity("StaticString", length, N);
  }

  /// `text` may be part of this string, here and below. False: it does not fit, nothing is changed.
  [[nodiscard]] constexpr bool assign(std::string_view text) noexcept {
    if (text.size() > N) return false;
    copy_to(0, text);
    return true;
  }
  /// As much of `text` as fits; returns whether that is all. Counts bytes: a character of UTF-8 may
  /// be cut.
  constexpr bool assign_truncated(std::string_view text) noexcept {
    copy_to(0, text.substr(0, N));
    return text.size() <= N;
  }
  [[nodiscard]] constexpr bool append(std::string_view text) noexcept {
    const size_type before = size();
    if (text.size() > N - before) return false;
    copy_to(before, text);
    return true;
  }
  [[nodiscard]] constexpr bool try_push_back(char character) noexcept {
    return append({&character, 1});
  }
  constexpr void push_back(char character) noexcept {
    if (!try_push_back(character)) abort_beyond_capacity("StaticString", size() + 1, N);
  }
  /// Aborts where it is empty.
  constexpr void pop_back() noexcept {
    if (empty()) abort_with("pop_back of an empty sluice::StaticString");
    end_at(size() - 1);
  }
  constexpr void resize(size_type count, char character = '\0') noexcept {
    if (count > N) abort_beyond_capacity("StaticString", count, N);
    for (size_type i = size(); i < count; ++i) words_.characters[i] = character;
    end_at(count);
  }
  constexpr void clear() noexcept { end_at(0); }

  [[nodiscard]] constexpr std::string_view view() const noexcept { return {data(), size()}; }
  [[nodiscard]] constexpr operator std::string_view() const noexcept { return view(); }  // NOLINT
  /// Empty where a peer has overwritten the zero byte.
  [[nodiscard]] constexpr const char* c_str() const noexcept {
    return data()[size()] == '\0' ? data() : "";
  }
  [[nodiscard]] constexpr char* data() noexcept { return words_.characters; }
  [[nodiscard]] constexpr const char* data() const noexcept { return words_.characters; }
  [[nodiscard]] constexpr iterator begin() noexcept { return data(); }
  [[nodiscard]] constexpr const_iterator begin() const noexcept { return data(); }
  [[nodiscard]] constexpr const_iterator cbegin() const noexcept { return data(); }
  [[nodiscard]] constexpr iterator end() noexcept { return data() + size(); }
  [[nodiscard]] constexpr const_iterator end() const noexcept { return data() + size(); }
  [[nodiscard]] constexpr const_iterator cend() const noexcept { return data() + size(); }

  [[nodiscard]] constexpr size_type size() const noexcept { return clamped_size(words_.size, N); }
  [[nodiscard]] constexpr size_type length() const noexcept { return size(); }
  [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] constexpr bool full() const noexcept { return size() == N; }
  [[nodiscard]] static constexpr size_type capacity() noexcept { return N; }
  [[nodiscard]] static constexpr size_type max_size() noexcept { return N; }

  [[nodiscard]] constexpr char& operator[](size_type i) noexcept { return data()[i]; }
  [[nodiscard]] constexpr const char& operator[](size_type i) const noexcept { return data()[i]; }
  /// Beyond the end: throws `std::out_of_range`.
  [[nodiscard]] constexpr char& at(size_type i) { return check(i), data()[i]; }
  [[nodiscard]] constexpr const char& at(size_type i) const { return check(i), data()[i]; }
  /// The zero byte where it is empty.
  [[nodiscard]] constexpr const char& front() const noexcept { return data()[0]; }
  [[nodiscard]] constexpr const char& back() const noexcept {
    const size_type count = size();
    return data()[count > 0 ? count - 1 : 0];
  }

  template <StringLike T>
  [[nodiscard]] friend constexpr bool operator==(const StaticString& a, const T& b) noexcept {
    return a.view() == std::string_view(b);
  }
  template <StringLike T>
  [[nodiscard]] friend constexpr std::strong_ordering operator<=>(const StaticString& a,
                                                                  const T& b) noexcept {
    return a.view() <=> std::string_view(b);
  }
  template <typename Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& stream,
                                                      const StaticString& string) {
    return stream << string.view();
  }

 private:
  constexpr void check(size_type i) const {
    if (i >= size()) raise_out_of_range("a position is beyond the end of a sluice::StaticString");
  }
  constexpr void copy_to(size_type position, std::string_view text) noexcept {
    std::copy(text.begin(), text.end(), data() + position);
    end_at(position + text.size());
  }
  /// What was in use behind `count` becomes zero, and so does the byte there in any case.
  constexpr void end_at(size_type count) noexcept {
    const size_type before = size();
    std::fill(data() + count, data() + std::max(before, count) + 1, '\0');
    words_.size = static_cast<std::uint32_t>(count);
  }

  StaticStringWords<N> words_{};
};

}  // namespace sluice
