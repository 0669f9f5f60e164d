// SPDX-License-Identifier: Apache-2.0
//
// The names of types: as a compiler spells them, and in the one form on which GCC and Clang agree.
// What is stored in shared memory and compared between programs is the second.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

namespace sluice {

// A namespace of its own, since GCC leaves out the one that the function is in.
namespace spelling {

/// What `__PRETTY_FUNCTION__` has between "T = " and the end of the template arguments.
template <typename T>
consteval std::string_view spell() {
  constexpr std::string_view function = __PRETTY_FUNCTION__;
  constexpr std::size_t begin = function.find("T = ") + 4;
  // GCC explains its alias: "[with T = Pose; std::string_view = std::basic_string_view<char>]".
  constexpr std::size_t alias = function.find("; std::string_view = ", begin);
  return function.substr(begin, (alias < function.size() ? alias : function.size() - 1) - begin);
}

/// Whether `c` is part of a word: of a name or a number.
constexpr bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace spelling

/// The compiler's spelling of `T`.
template <typename T>
inline constexpr std::string_view type_spelling = spelling::spell<std::remove_cv_t<T>>();

/// A compiler's spelling of a type in one form: `unsigned long` for `long unsigned int`,
/// `(anonymous namespace)`, no inline namespaces of the standard library.
[[nodiscard]] std::string normalised_type_name(std::string_view spelling);

}  // namespace sluice
