// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <charconv>
#include <sluice/core/format.hpp>
#include <sluice/reflect/schema.hpp>

namespace sluice {
namespace {

constexpr std::string_view kFormat = "sluice-schema ";
constexpr std::uint64_t kVersion = 1;

std::string extents_text(const Field& field) {
  std::string text;
  for (const std::uint64_t extent : field.extents) {
    if (!text.empty()) text += 'x';
    text += std::to_string(extent);
  }
  return text.empty() ? "-" : text;
}

/// Reads the text from left to right. After the first thing that is not as it should be, `failed`
/// stays set and what is read is zero or empty.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_{text} {}

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  void expect(std::string_view literal) {
    if (failed_ || !rest_.starts_with(literal)) return fail();
    rest_.remove_prefix(literal.size());
  }

  // What follows, up to `end`, which is read too.

  [[nodiscard]] std::uint64_t number(std::string_view end = " ") {
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (failed_ || error != std::errc{}) return fail(), 0;
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
    return expect(end), value;
  }

  [[nodiscard]] FieldType type() {
    const std::string_view word = rest_.substr(0, rest_.find(' '));
    for (std::size_t i = 0; i < kFieldTypes && !failed_; ++i) {
      const auto type = static_cast<FieldType>(i);
      if (word != to_string(type)) continue;
      rest_.remove_prefix(word.size());
      return expect(" "), type;
    }
    return fail(), FieldType::opaque;
  }

  [[nodiscard]] std::vector<std::uint64_t> extents() {
    std::vector<std::uint64_t> values;
    if (rest_.starts_with('-')) return expect("- "), values;
    do {
      const std::size_t stop = rest_.find_first_of("x ");
      const bool is_last = stop == std::string_view::npos || rest_[stop] == ' ';
      values.push_back(number(is_last ? " " : "x"));
      if (is_last) return values;
    } while (!failed_ && values.size() < kMaxRank);
    return fail(), values;
  }

  /// "<length>:<bytes>"
  [[nodiscard]] std::string name(std::string_view end) {
    const std::uint64_t length = number(":");
    if (failed_ || length > kMaxTypeNameBytes || length > rest_.size()) return fail(), "";
    std::string value{rest_.substr(0, static_cast<std::size_t>(length))};
    for (const char c : value) {  // Tools print it: no newlines, no escape sequences.
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) fail();
    }
    rest_.remove_prefix(value.size());
    return expect(end), value;
  }

 private:
  void fail() { failed_ = true; }

  std::string_view rest_;
  bool failed_ = false;
};

Failure corrupted(const std::string& what) {
  return {Errc::corrupted, "the service's description of its payload type is damaged: " + what};
}

bool has_right_size(const Field& field) {
  const std::uint64_t bytes = field.element_bytes;
  const std::uint64_t right = fixed_bytes(field.type);
  if (bytes == 0) return false;
  if (is_enum(field.type)) return std::has_single_bit(bytes) && bytes <= 8;
  if (field.type == FieldType::long_double) return bytes >= 8 && bytes <= 16;
  return right == 0 || bytes == right;
}

/// All elements together; nothing if that is no 64-bit number.
std::optional<std::uint64_t> total_bytes(const Field& field) {
  std::uint64_t bytes = field.element_bytes;
  for (const std::uint64_t extent : field.extents) {
    if (extent == 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return {};
  }
  return bytes;
}

/// The records around the field that is being read: the last field of each depth.
struct Enclosing {
  std::string path;  ///< With a dot at the end.
  std::uint64_t begin;
  std::uint64_t end;
};

}  // namespace

std::string encode(const Schema& schema) {
  std::string text =
      format("{}{}\n{} {} {} {}:{}\n", kFormat, kVersion, schema.bytes, schema.alignment,
             schema.fields.size(), schema.type_name.size(), schema.type_name);
  for (const Field& field : schema.fields) {
    const std::string_view name = field.last_part();
    text += format("{} {} {} {} {} {} {}:{} {}:{}\n", field.depth, to_string(field.type),
                   field.offset, field.element_bytes, field.alignment, extents_text(field),
                   name.size(), name, field.type_name.size(), field.type_name);
  }
  return text;
}

Result<Schema> decode(std::string_view text) {
  if (text.size() > kMaxSchemaBytes) {
    return corrupted(format("{} bytes, the limit is {}", text.size(), kMaxSchemaBytes));
  }
  Parser parser{text};
  parser.expect(kFormat);
  const std::uint64_t version = parser.number("\n");
  if (parser.failed()) return corrupted("it does not begin as one");
  if (version != kVersion) {
    return Failure{Errc::version_mismatch,
                   format("the service describes its payload type in version {} of the "
                          "format, this build reads version {}",
                          version, kVersion)};
  }

  Schema schema;
  schema.bytes = parser.number();
  schema.alignment = parser.number();
  const std::uint64_t field_count = parser.number();
  schema.type_name = parser.name("\n");
  if (parser.failed()) return corrupted("malformed in line 2");
  if (!std::has_single_bit(schema.alignment)) return corrupted("an alignment is no power of two");
  if (field_count > kMaxFields) {
    return corrupted(format("{} fields, the limit is {}", field_count, kMaxFields));
  }

  std::vector<Enclosing> enclosing{{"", 0, schema.bytes}};
  for (std::uint64_t i = 0; i < field_count; ++i) {
    Field field;
    const std::uint64_t depth = parser.number();
    field.type = parser.type();
    field.offset = parser.number();
    field.element_bytes = parser.number();
    field.alignment = parser.number();
    field.extents = parser.extents();
    field.name = parser.name(" ");
    field.type_name = parser.name("\n");
    if (parser.failed()) return corrupted(format("malformed in line {}", i + 3));

    if (depth >= enclosing.size() || depth > kMaxFieldDepth) {
      return corrupted(format("field {} is a member of what is no record", i));
    }
    enclosing.resize(static_cast<std::size_t>(depth) + 1);
    const Enclosing& around = enclosing.back();
    if (!std::has_single_bit(field.alignment) || !has_right_size(field) ||
        has_type_name(field.type) == field.type_name.empty() ||
        field.name.find('.') != std::string::npos) {
      return corrupted(format("field {} has impossible properties", i));
    }
    const std::optional<std::uint64_t> bytes = total_bytes(field);
    if (!bytes || field.offset < around.begin || field.offset > around.end ||
        *bytes > around.end - field.offset) {
      return corrupted(format("field {} lies outside of its record or the payload", i));
    }
    field.depth = static_cast<std::uint32_t>(depth);
    field.name = around.path + field.name;
    if (field.type == FieldType::record) {
      enclosing.push_back({field.name + '.', field.offset, field.offset + field.element_bytes});
    }
    schema.fields.push_back(std::move(field));
  }
  if (!parser.at_end()) return corrupted("something follows its end");
  return schema;
}

}  // namespace sluice
