// SPDX-License-Identifier: Apache-2.0
//
// Text with values in it: `format("slot {} of {}", slot, count)`. A pattern is checked at compile
// time against the arguments, so that no call fails at run time for its pattern.
//
//   {}        an integer in decimal, an `Index`, or text
//   {:016x}   an integer in hexadecimal: `#` for a leading 0x, 0 for zeros, a width, `x`
//   {{ }}     a brace
//
// The arguments are reduced to a few types, so that the code which formats is compiled once.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace sluice {

/// One argument of `format`. It refers to the text that it was made of.
struct FormatArgument {
  enum class Kind : std::uint8_t { signed_integer, unsigned_integer, text };

  template <typename T>
  static constexpr Kind kind_of() {
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      return Kind::text;
    } else {
      return std::signed_integral<T> ? Kind::signed_integer : Kind::unsigned_integer;
    }
  }

  template <typename T>
  constexpr explicit FormatArgument(const T& value) : kind(kind_of<T>()) {
    if constexpr (kind_of<T>() == Kind::text) {
      text = value;
    } else if constexpr (std::integral<T>) {
      bits = static_cast<std::uint64_t>(value);
    } else {
      bits = std::uint32_t{value};
    }
  }

  Kind kind;
  std::uint64_t bits = 0;
  std::string_view text;
};

template <typename T>
concept Formattable = std::convertible_to<const T&, std::string_view> ||
    (std::convertible_to<const T&, std::uint32_t> && !std::same_as<T, bool> &&
     !std::same_as<T, char> && !std::floating_point<T>);

/// Whether `pattern` has one placeholder for each of `arguments`, each fit for its kind.
constexpr bool fits_arguments(std::string_view pattern,
                              std::initializer_list<FormatArgument::Kind> arguments) {
  const auto* next = arguments.begin();
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    const char c = pattern[at];
    if (c != '{' && c != '}') continue;
    if (pattern.substr(at + 1, 1) == std::string_view(&c, 1)) {
      ++at;
      continue;
    }
    const std::size_t end = pattern.find('}', at);
    if (c == '}' || end == std::string_view::npos || next == arguments.end()) return false;
    std::string_view what = pattern.substr(at + 1, end - at - 1);
    if (!what.empty()) {
      if (*next == FormatArgument::Kind::text || !what.starts_with(':')) return false;
      what.remove_prefix(what.starts_with(":#") ? 2 : 1);
      if (!what.ends_with('x') || what.find_first_not_of("0123456789") != what.size() - 1 ||
          what.size() > 4) {
        return false;
      }
    }
    ++next;
    at = end;
  }
  return next == arguments.end();
}

void pattern_does_not_fit_the_arguments();  // Not constexpr: a call of it does not compile.

/// A pattern that was checked, at compile time, against arguments of the types `Args`.
template <typename... Args>
struct FormatPattern {
  template <std::convertible_to<std::string_view> Text>
  consteval FormatPattern(const Text& pattern) : text(pattern) {  // NOLINT
    if (!fits_arguments(text, {FormatArgument::kind_of<Args>()...})) {
      pattern_does_not_fit_the_arguments();
    }
  }

  std::string_view text;
};

/// Precondition: `fits_arguments(pattern, <the kinds of arguments>)`.
[[nodiscard]] std::string format_checked(std::string_view pattern,
                                         std::initializer_list<FormatArgument> arguments);

/// `pattern` with each placeholder replaced by the argument of its place. Allocates.
/// An object and not a function, so that `format("{}", text)` never finds `std::format` as well.
inline constexpr struct Format {
  template <Formattable... Args>
  [[nodiscard]] std::string operator()(std::type_identity_t<FormatPattern<Args...>> pattern,
                                       const Args&... arguments) const {
    return format_checked(pattern.text, {FormatArgument(arguments)...});
  }
} format;

}  // namespace sluice
