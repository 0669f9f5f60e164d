// SPDX-License-Identifier: Apache-2.0
//
// What a payload consists of, at run time: stored with the service, compared by those who join it,
// and read by tools that were never compiled against the type.
//
// The fields are a flat list in declaration order; the members of a record follow it, one level
// deeper. For `struct Scan { double stamp; struct { float range; char tag[4]; } points[361]; }`:
//
//   depth name         type    offset  element_bytes  extents
//   0     stamp        f64     0       8
//   0     points       record  8       8              361
//   1     points.range f32     8       4
//   1     points.tag   char    12      1              4
//
// so points[i].tag[k] is at 12 + i * 8 + k * 1: a step of one in an array of records adds the
// record's element_bytes. Bytes that no field covers are padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/core/result.hpp>
#include <sluice/reflect/type.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct Field {
  std::string name;  ///< "points.range"; a part that the compiler could not name is empty.
  FieldType type = FieldType::opaque;
  std::string type_name;     ///< Of records, enums and opaque fields; otherwise empty.
  std::uint64_t offset = 0;  ///< In the payload, within the first element of the arrays around it.
  std::uint64_t element_bytes = 0;  ///< Also the distance from one element to the next.
  std::uint64_t alignment = 1;
  std::vector<std::uint64_t> extents;  ///< double m[3][4]: {3, 4}; empty: not an array.
  std::uint32_t depth = 0;             ///< 0: a member of the payload itself.

  /// The number of elements, 1 unless an array.
  [[nodiscard]] std::uint64_t count() const noexcept;
  /// "range" of "points.range".
  [[nodiscard]] std::string_view last_part() const noexcept;

  friend bool operator==(const Field&, const Field&) = default;
};

struct Schema {
  std::string type_name;  ///< "robot::Pose"
  std::uint64_t bytes = 0;
  std::uint64_t alignment = 1;
  std::vector<Field> fields;  ///< A payload that is no record has one field, "value".

  friend bool operator==(const Schema&, const Schema&) = default;
};

/// The limits of `encode` and `decode`.
inline constexpr std::size_t kMaxSchemaBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxTypeNameBytes = 255;  ///< Longer names are cut and end in a hash.
inline constexpr std::uint32_t kMaxFieldDepth = 31;    ///< Deeper members are not described.

/// "u8", "f64", "enum_signed", "record", …
[[nodiscard]] std::string_view to_string(FieldType type) noexcept;
constexpr bool is_enum(FieldType type) noexcept {
  return type == FieldType::enum_signed || type == FieldType::enum_unsigned;
}
constexpr bool has_type_name(FieldType type) noexcept {
  return is_enum(type) || type == FieldType::record || type == FieldType::opaque;
}
/// Of one element; 0 where fields of this type can have any size.
[[nodiscard]] std::uint64_t fixed_bytes(FieldType type) noexcept;

/// The schema of what `info` describes; see `schema_of<T>()`. Allocates.
[[nodiscard]] Schema make_schema(std::string_view spelling, const MemberInfo& info);

/// The schema of payload type `T`.
template <typename T>
[[nodiscard]] Schema schema_of() {
  static_assert(require_payload<T>());
  return make_schema(type_spelling<T>, payload_info<T>);
}

/// The schema of slices, of whose elements `element` is the schema: named "float[]", otherwise the
/// same.
[[nodiscard]] Schema slice_schema(Schema element);

/// `schema` as text, the same on every machine. Format, with numbers in decimal and each name
/// preceded by its length in bytes:
///
///   sluice-schema 1
///   <bytes> <alignment> <number of fields> <length>:<type name>
///   <depth> <type> <offset> <element bytes> <alignment> <extents, as 3x4, or -> ⏎ (same line)
///       <length>:<last part of the name> <length>:<type name>
///   … one line a field, each line ends in a newline
[[nodiscard]] std::string encode(const Schema& schema);

/// The schema in `text`, which may come from anybody. What is returned is consistent: fields lie
/// within their record and the payload, and scalar fields have the size of their type.
/// Errors: `corrupted` (truncated, malformed, inconsistent, or beyond the limits),
/// `version_mismatch` (another version of the format).
[[nodiscard]] Result<Schema> decode(std::string_view text);

/// A sentence that names the first thing in which `found`, the service's schema, is not what this
/// program `expected`; nothing if they agree. "field 'y' is f64 at offset 8 here, f32 at offset 4
/// in the service". No difference are a field name that is unknown on one side, and how the
/// spellings of one type differ between GCC and Clang: inline namespaces, default template
/// arguments.
[[nodiscard]] std::optional<std::string> difference(const Schema& expected, const Schema& found);

}  // namespace sluice
