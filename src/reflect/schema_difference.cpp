// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/reflect/schema.hpp>

namespace sluice {
namespace {

std::string described(const Field& field) {
  std::string text{to_string(field.type)};
  if (!field.type_name.empty()) text += ' ' + field.type_name;
  for (const std::uint64_t extent : field.extents) text += format("[{}]", extent);
  if (fixed_bytes(field.type) == 0) {
    text += format(" of {} bytes", field.element_bytes);
  }
  return text + format(" at offset {}", field.offset);
}

/// 'heading', or "3" where the name is unknown.
std::string label(const Field& field, std::size_t index) {
  return field.last_part().empty() ? format("{}", index) : format("'{}'", field.name);
}

/// Splits at `separator`, but not inside of brackets.
std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<' || text[i] == '(') ++depth;
    if (text[i] == '>' || text[i] == ')') --depth;
    if (depth == 0 && text.substr(i).starts_with(separator)) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + separator.size();
    }
  }
  parts.push_back(text.substr(begin));
  return parts;
}

bool same_type_name(std::string_view a, std::string_view b);

/// Without scopes. Clang spells out template arguments that have a default, GCC does not.
bool same_last_part(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const std::size_t open = a.find('<');
  if (open == std::string_view::npos || !a.ends_with('>') || !b.ends_with('>') ||
      a.substr(0, open) != b.substr(0, b.find('<'))) {
    return false;
  }
  const auto in_a = split(a.substr(open + 1, a.size() - open - 2), ", ");
  const auto in_b = split(b.substr(open + 1, b.size() - open - 2), ", ");
  const auto [rest_a, rest_b] = std::ranges::mismatch(in_a, in_b, same_type_name);
  return rest_a == in_a.end() || rest_b == in_b.end();
}

/// GCC spells out the function around a type and inline namespaces, Clang does not: the scopes of
/// one have to occur among those of the other, in the same order.
bool same_type_name(std::string_view a, std::string_view b) {
  auto outer = split(a, "::");
  auto inner = split(b, "::");
  if (outer.size() < inner.size()) std::swap(outer, inner);
  if (!same_last_part(outer.back(), inner.back())) return false;
  auto scope = inner.begin();
  for (auto it = outer.begin(); it != outer.end() - 1 && scope != inner.end() - 1; ++it) {
    if (same_last_part(*it, *scope)) ++scope;
  }
  return scope == inner.end() - 1;
}

bool same_name(const Field& a, const Field& b) {
  return a.last_part().empty() || b.last_part().empty() || a.last_part() == b.last_part();
}

/// Apart from the name.
bool same_layout(const Field& a, const Field& b) {
  return a.type == b.type && same_type_name(a.type_name, b.type_name) && a.offset == b.offset &&
         a.element_bytes == b.element_bytes && a.alignment == b.alignment &&
         a.extents == b.extents && a.depth == b.depth;
}

std::string field_difference(const Field& expected, const Field& found, std::size_t index) {
  std::string here = described(expected);
  std::string there = described(found);
  if (same_name(expected, found) && here == there) {
    const auto rest = [&](const Field& field) {
      return expected.alignment == found.alignment ? format(" and depth {}", field.depth)
                                                   : format(" aligned to {}", field.alignment);
    };
    here += rest(expected);
    there += rest(found);
  }
  if (!same_name(expected, found)) {
    return format("field {} is {}, {} here, {}, {} in the service", index, label(expected, index),
                  here, label(found, index), there);
  }
  const Field& named = expected.last_part().empty() ? found : expected;
  return format("field {} is {} here, {} in the service", label(named, index), here, there);
}

std::optional<std::string> layout_difference(const Schema& expected, const Schema& found) {
  const auto [here, there] = std::ranges::mismatch(
      expected.fields, found.fields,
      [](const Field& a, const Field& b) { return same_name(a, b) && same_layout(a, b); });
  const auto index = static_cast<std::size_t>(here - expected.fields.begin());
  const bool is_here = here != expected.fields.end();
  const bool is_there = there != found.fields.end();
  if (is_here && is_there) return field_difference(*here, *there, index);
  if (is_here) return format("field {} is only here, not in the service", label(*here, index));
  if (is_there) return format("field {} is only in the service, not here", label(*there, index));
  if (expected.bytes != found.bytes) {
    return format("the payload has {} bytes here, {} in the service", expected.bytes, found.bytes);
  }
  if (expected.alignment != found.alignment) {
    return format("the payload is aligned to {} bytes here, to {} in the service",
                  expected.alignment, found.alignment);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> difference(const Schema& expected, const Schema& found) {
  auto layout = layout_difference(expected, found);
  if (same_type_name(expected.type_name, found.type_name)) return layout;
  return format("the payload type is '{}' here, '{}' in the service{}{}", expected.type_name,
                found.type_name, layout ? "; " : "", layout.value_or(""));
}

}  // namespace sluice
