// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <sluice/core/format.hpp>
#include <sluice/reflect/schema.hpp>

namespace sluice {

namespace {

constexpr std::string_view kFormat = "sluice-schema ";
constexpr std::uint64_t kVersion = 1;

struct TypeName {
  std::string_view name;
  std::uint64_t bytes;  ///< 0: any
};

/// In the order of `FieldType`.
constexpr std::array<TypeName, 18> kTypes = {{{"bool", 1},
                                              {"char", 1},
                                              {"byte", 1},
                                              {"i8", 1},
                                              {"i16", 2},
                                              {"i32", 4},
                                              {"i64", 8},
                                              {"u8", 1},
                                              {"u16", 2},
                                              {"u32", 4},
                                              {"u64", 8},
                                              {"f32", 4},
                                              {"f64", 8},
                                              {"long_double", 0},
                                              {"enum_signed", 0},
                                              {"enum_unsigned", 0},
                                              {"record", 0},
                                              {"opaque", 0}}};
static_assert(kTypes.size() == static_cast<std::size_t>(FieldType::opaque) + 1);

bool is_enum(FieldType type) {
  return type == FieldType::enum_signed || type == FieldType::enum_unsigned;
}

bool has_type_name(FieldType type) {
  return is_enum(type) || type == FieldType::record || type == FieldType::opaque;
}

/// Cuts a name that is too long for the format. The hash of the whole keeps different ones apart.
std::string shortened(std::string name) {
  if (name.size() <= kMaxTypeNameBytes) return name;
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  const std::string tail = format("~{:016x}", hash);
  name.resize(kMaxTypeNameBytes - tail.size());
  return name + tail;
}

// --- type names ---------------------------------------------------------------------------------

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

/// "long unsigned int" → "unsigned long"; any run of the words that make up integer types.
std::string integer_name(const std::vector<std::string_view>& words) {
  const auto count = [&](std::string_view word) {
    return std::count(words.begin(), words.end(), word);
  };
  std::string name;
  if (count("unsigned") > 0) name = "unsigned ";
  if (count("char") > 0) return (count("signed") > 0 ? "signed " : name) + "char";
  if (count("double") > 0) return count("long") > 0 ? "long double" : "double";
  if (count("__int128") > 0) return name + "__int128";
  if (count("short") > 0) return name + "short";
  if (count("long") > 1) return name + "long long";
  if (count("long") > 0) return name + "long";
  return name + "int";
}

bool is_integer_word(std::string_view word) {
  constexpr std::string_view words[] = {"unsigned", "signed", "long",   "short",
                                        "int",      "char",   "double", "__int128"};
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// 361UL → 361
std::string_view without_suffix(std::string_view word) {
  if (word.empty() || word.front() < '0' || word.front() > '9') return word;
  while (word.back() == 'u' || word.back() == 'U' || word.back() == 'l' || word.back() == 'L') {
    word.remove_suffix(1);
  }
  return word;
}

}  // namespace

std::string normalised_type_name(std::string_view spelling) {
  std::string text{spelling};
  replace_all(text, "{anonymous}", "(anonymous namespace)");
  replace_all(text, "<unnamed>", "(anonymous namespace)");
  for (const char* name : {"__cxx11::", "__1::", "_V2::"}) replace_all(text, name, "");

  std::string result;
  std::vector<std::string_view> integer;
  const std::string_view rest{text};
  for (std::size_t i = 0; i < rest.size();) {
    if (is_word(rest[i])) {
      std::size_t end = i;
      while (end < rest.size() && is_word(rest[end])) ++end;
      const std::string_view word = rest.substr(i, end - i);
      i = end;
      if (!is_integer_word(word)) {
        result += without_suffix(word);
        continue;
      }
      integer.push_back(word);
      std::size_t next = end;
      while (next < rest.size() && rest[next] == ' ') ++next;
      std::size_t stop = next;
      while (stop < rest.size() && is_word(rest[stop])) ++stop;
      if (next > end && is_integer_word(rest.substr(next, stop - next))) {
        i = next;
      } else {
        result += integer_name(integer);
        integer.clear();
      }
    } else if (rest[i] == ' ' && i > 0 && i + 1 < rest.size() && rest[i - 1] != ',' &&
               !(is_word(rest[i - 1]) && is_word(rest[i + 1]))) {
      ++i;  // "> >" → ">>", "char [4]" → "char[4]"
    } else {
      result += rest[i++];
    }
  }
  return result;
}

std::string_view to_string(FieldType type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < kTypes.size() ? kTypes[index].name : std::string_view{"unknown"};
}

std::uint64_t Field::count() const noexcept {
  std::uint64_t product = 1;
  for (const std::uint64_t extent : extents) product *= extent;
  return product;
}

// --- from the compiler's description ------------------------------------------------------------

namespace {

void add_field(Schema& schema, const MemberInfo& member, const std::string& prefix,
               std::uint64_t offset, std::uint32_t depth) {
  const TypeInfo& type = *member.type;
  Field field;
  field.name = prefix + shortened(std::string{member.name});
  field.type = type.type;
  if (has_type_name(type.type)) field.type_name = shortened(normalised_type_name(type.spelling));
  field.offset = offset + member.offset;
  field.element_bytes = type.bytes;
  field.alignment = type.alignment;
  field.extents.assign(member.extents, member.extents + member.rank);
  field.depth = depth;
  const std::string path = field.name + '.';
  schema.fields.push_back(std::move(field));
  if (depth == kMaxFieldDepth) return;
  for (std::size_t i = 0; i < type.member_count; ++i) {
    add_field(schema, type.members[i], path, offset + member.offset, depth + 1);
  }
}

}  // namespace

Schema make_schema(std::string_view spelling, const MemberInfo& info) {
  const TypeInfo& type = *info.type;
  Schema schema;
  schema.type_name = shortened(normalised_type_name(spelling));
  schema.bytes = type.bytes;
  for (std::size_t i = 0; i < info.rank; ++i) schema.bytes *= info.extents[i];
  schema.alignment = type.alignment;
  if (type.type == FieldType::record && info.rank == 0) {
    for (std::size_t i = 0; i < type.member_count; ++i) {
      add_field(schema, type.members[i], {}, 0, 0);
    }
  } else {
    add_field(schema, info, {}, 0, 0);
  }
  return schema;
}

Schema slice_schema(Schema element) {
  element.type_name = shortened(element.type_name + "[]");
  return element;
}

// --- text ---------------------------------------------------------------------------------------

namespace {

std::string_view last_part(const Field& field) {
  const std::string_view name{field.name};
  return name.substr(name.rfind('.') + 1);  // npos + 1 == 0
}

std::string extents_text(const Field& field) {
  std::string text;
  for (const std::uint64_t extent : field.extents) {
    if (!text.empty()) text += 'x';
    text += std::to_string(extent);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string encode(const Schema& schema) {
  std::string text =
      format("{}{}\n{} {} {} {}:{}\n", kFormat, kVersion, schema.bytes, schema.alignment,
             schema.fields.size(), schema.type_name.size(), schema.type_name);
  for (const Field& field : schema.fields) {
    const std::string_view name = last_part(field);
    text += format("{} {} {} {} {} {} {}:{} {}:{}\n", field.depth, to_string(field.type),
                   field.offset, field.element_bytes, field.alignment, extents_text(field),
                   name.size(), name, field.type_name.size(), field.type_name);
  }
  return text;
}

namespace {

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

  [[nodiscard]] std::uint64_t number() {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (failed_ || error != std::errc{}) return fail(), 0;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  [[nodiscard]] FieldType type() {
    for (std::size_t i = 0; i < kTypes.size() && !failed_; ++i) {
      const std::string_view name = kTypes[i].name;
      if (rest_.starts_with(name) && rest_.substr(name.size()).starts_with(' ')) {
        rest_.remove_prefix(name.size());
        return static_cast<FieldType>(i);
      }
    }
    return fail(), FieldType::opaque;
  }

  [[nodiscard]] std::vector<std::uint64_t> extents() {
    std::vector<std::uint64_t> values;
    if (rest_.starts_with('-')) return expect("-"), values;
    values.push_back(number());
    while (!failed_ && rest_.starts_with('x') && values.size() <= kMaxRank) {
      expect("x");
      values.push_back(number());
    }
    if (values.size() > kMaxRank) fail();
    return values;
  }

  /// "<length>:<bytes>"
  [[nodiscard]] std::string name() {
    const std::uint64_t length = number();
    expect(":");
    if (failed_ || length > kMaxTypeNameBytes || length > rest_.size())
      return fail(), std::string{};
    std::string value{rest_.substr(0, static_cast<std::size_t>(length))};
    for (const char c : value) {  // Tools print it: no newlines, no escape sequences.
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) fail();
    }
    rest_.remove_prefix(value.size());
    return value;
  }

 private:
  void fail() { failed_ = true; }

  std::string_view rest_;
  bool failed_ = false;
};

Failure corrupted(const std::string& what) {
  return {Errc::corrupted, "the service's description of its payload type is damaged: " + what};
}

bool is_alignment(std::uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

bool has_right_size(const Field& field) {
  const std::uint64_t bytes = field.element_bytes;
  const std::uint64_t right = kTypes[static_cast<std::size_t>(field.type)].bytes;
  if (bytes == 0) return false;
  if (is_enum(field.type)) return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
  if (field.type == FieldType::long_double) return bytes >= 8 && bytes <= 16;
  return right == 0 || bytes == right;
}

/// All elements together; nothing if that is no 64-bit number.
std::optional<std::uint64_t> total_bytes(const Field& field) {
  std::uint64_t bytes = field.element_bytes;
  for (const std::uint64_t extent : field.extents) {
    if (extent == 0 || bytes > std::numeric_limits<std::uint64_t>::max() / extent) return {};
    bytes *= extent;
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

Result<Schema> decode(std::string_view text) {
  if (text.size() > kMaxSchemaBytes) {
    return corrupted(format("{} bytes, the limit is {}", text.size(), kMaxSchemaBytes));
  }
  Parser parser{text};
  parser.expect(kFormat);
  const std::uint64_t version = parser.number();
  parser.expect("\n");
  if (parser.failed()) return corrupted("it does not begin as one");
  if (version != kVersion) {
    return Failure{Errc::version_mismatch,
                   format("the service describes its payload type in version {} of the "
                          "format, this build reads version {}",
                          version, kVersion)};
  }

  Schema schema;
  schema.bytes = parser.number();
  parser.expect(" ");
  schema.alignment = parser.number();
  parser.expect(" ");
  const std::uint64_t field_count = parser.number();
  parser.expect(" ");
  schema.type_name = parser.name();
  parser.expect("\n");
  if (parser.failed()) return corrupted("malformed in line 2");
  if (!is_alignment(schema.alignment)) return corrupted("an alignment is no power of two");
  if (field_count > kMaxFields) {
    return corrupted(format("{} fields, the limit is {}", field_count, kMaxFields));
  }

  std::vector<Enclosing> enclosing{{"", 0, schema.bytes}};
  for (std::uint64_t i = 0; i < field_count; ++i) {
    Field field;
    const std::uint64_t depth = parser.number();
    parser.expect(" ");
    field.type = parser.type();
    parser.expect(" ");
    field.offset = parser.number();
    parser.expect(" ");
    field.element_bytes = parser.number();
    parser.expect(" ");
    field.alignment = parser.number();
    parser.expect(" ");
    field.extents = parser.extents();
    parser.expect(" ");
    field.name = parser.name();
    parser.expect(" ");
    field.type_name = parser.name();
    parser.expect("\n");
    if (parser.failed()) return corrupted(format("malformed in line {}", i + 3));

    if (depth >= enclosing.size() || depth > kMaxFieldDepth) {
      return corrupted(format("field {} is a member of what is no record", i));
    }
    enclosing.resize(static_cast<std::size_t>(depth) + 1);
    const Enclosing& around = enclosing.back();
    if (!is_alignment(field.alignment) || !has_right_size(field) ||
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

// --- comparison ---------------------------------------------------------------------------------

namespace {

std::string described(const Field& field) {
  std::string text{to_string(field.type)};
  if (!field.type_name.empty()) text += ' ' + field.type_name;
  for (const std::uint64_t extent : field.extents) text += format("[{}]", extent);
  if (kTypes[static_cast<std::size_t>(field.type)].bytes == 0) {
    text += format(" of {} bytes", field.element_bytes);
  }
  return text + format(" at offset {}", field.offset);
}

/// 'heading', or "3" where the name is unknown.
std::string label(const Field& field, std::size_t index) {
  return last_part(field).empty() ? format("{}", index) : format("'{}'", field.name);
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
  for (std::size_t i = 0; i < std::min(in_a.size(), in_b.size()); ++i) {
    if (!same_type_name(in_a[i], in_b[i])) return false;
  }
  return true;
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
  return last_part(a).empty() || last_part(b).empty() || last_part(a) == last_part(b);
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
    const bool depth = expected.alignment == found.alignment;
    here += depth ? format(" and depth {}", expected.depth)
                  : format(" aligned to {}", expected.alignment);
    there +=
        depth ? format(" and depth {}", found.depth) : format(" aligned to {}", found.alignment);
  }
  if (!same_name(expected, found)) {
    return format("field {} is {}, {} here, {}, {} in the service", index, label(expected, index),
                  here, label(found, index), there);
  }
  const Field& named = last_part(expected).empty() ? found : expected;
  return format("field {} is {} here, {} in the service", label(named, index), here, there);
}

std::optional<std::string> layout_difference(const Schema& expected, const Schema& found) {
  const std::size_t common = std::min(expected.fields.size(), found.fields.size());
  for (std::size_t i = 0; i < common; ++i) {
    const Field& here = expected.fields[i];
    const Field& there = found.fields[i];
    if (!same_name(here, there) || !same_layout(here, there)) {
      return field_difference(here, there, i);
    }
  }
  if (expected.fields.size() > common) {
    return format("field {} is only here, not in the service",
                  label(expected.fields[common], common));
  }
  if (found.fields.size() > common) {
    return format("field {} is only in the service, not here", label(found.fields[common], common));
  }
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
