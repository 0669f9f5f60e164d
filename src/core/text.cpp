// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <sluice/core/format.hpp>
#include <sluice/core/text.hpp>

namespace sluice {
namespace {

constexpr Character kNotUtf8{.bytes = 1, .fault = TextFault::not_utf8};

/// What the first byte of several says.
struct Lead {
  std::size_t bytes;
  std::uint32_t bits;   // of the code point
  std::uint32_t least;  // a smaller code point has a shorter form, which is the one to be used
};

Lead lead_of(unsigned char byte) noexcept {
  if ((byte & 0xE0U) == 0xC0) return {.bytes = 2, .bits = byte & 0x1FU, .least = 0x80};
  if ((byte & 0xF0U) == 0xE0) return {.bytes = 3, .bits = byte & 0x0FU, .least = 0x800};
  if ((byte & 0xF8U) == 0xF0) return {.bytes = 4, .bits = byte & 0x07U, .least = 0x10000};
  return {.bytes = 0, .bits = 0, .least = 0};
}

bool is_control(std::uint32_t code_point) noexcept {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

}  // namespace

Character first_character(std::string_view text) noexcept {
  const auto byte_at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::uint32_t code_point = byte_at(0);
  std::size_t bytes = 1;
  if (code_point >= 0x80) {
    const Lead lead = lead_of(byte_at(0));
    if (lead.bytes == 0 || text.size() < lead.bytes) return kNotUtf8;
    bytes = lead.bytes;
    code_point = lead.bits;
    for (std::size_t i = 1; i < bytes; ++i) {
      if ((byte_at(i) & 0xC0U) != 0x80) return kNotUtf8;
      code_point = code_point << 6 | (byte_at(i) & 0x3FU);
    }
    const bool is_surrogate = code_point >= 0xD800 && code_point < 0xE000;
    if (code_point < lead.least || code_point > 0x10FFFF || is_surrogate) return kNotUtf8;
  }
  return {.bytes = bytes,
          .fault = is_control(code_point) ? TextFault::control_character : TextFault::none};
}

std::string escaped(std::string_view text) {
  std::string shown;
  for (Character next{}; !text.empty(); text.remove_prefix(next.bytes)) {
    next = first_character(text);
    const std::string_view bytes = text.substr(0, next.bytes);
    if (next.fault == TextFault::none) {
      shown += bytes;
      continue;
    }
    for (const char byte : bytes) shown += format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return shown;
}

std::string first_few(const std::vector<std::string>& texts) {
  constexpr std::size_t kShown = 3;
  std::string shown;
  for (std::size_t i = 0; i < texts.size() && i < kShown; ++i) {
    if (i > 0) shown += ", ";
    shown += texts[i];
  }
  if (texts.size() > kShown) shown += format(" and {} more", texts.size() - kShown);
  return shown;
}

}  // namespace sluice
