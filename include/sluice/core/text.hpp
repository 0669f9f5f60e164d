// SPDX-License-Identifier: Apache-2.0
//
// Text that may be shown on a terminal: UTF-8 without control characters. What others have written
// need not be that.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Why a byte does not belong into such a text.
enum class TextFault { none, control_character, not_utf8 };

/// The first character of a text that is not empty.
struct Character {
  std::size_t bytes;  ///< 1 to 4; 1 where it is not UTF-8
  TextFault fault;    ///< control characters: U+0000 to U+001F, U+007F to U+009F
};
[[nodiscard]] Character first_character(std::string_view text) noexcept;

/// `text` with each byte of a faulty character as `\x1b`. Not made to be read back: a backslash
/// stays as it is.
[[nodiscard]] std::string escaped(std::string_view text);

/// The first three, as in "a, b, c and 4 more".
[[nodiscard]] std::string first_few(const std::vector<std::string>& texts);

}  // namespace sluice
