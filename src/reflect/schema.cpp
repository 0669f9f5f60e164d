// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
#include <sluice/reflect/schema.hpp>

namespace sluice {
namespace {

/// In the order of `FieldType`. No bytes: any number of them.
constexpr struct {
  std::string_view name;
  std::uint64_t bytes;
} kTypes[] = {{"bool", 1},   {"char", 1},        {"byte", 1},        {"i8", 1},
              {"i16", 2},    {"i32", 4},         {"i64", 8},         {"u8", 1},
              {"u16", 2},    {"u32", 4},         {"u64", 8},         {"f32", 4},
              {"f64", 8},    {"long_double", 0}, {"enum_signed", 0}, {"enum_unsigned", 0},
              {"record", 0}, {"opaque", 0}};
static_assert(std::size(kTypes) == kFieldTypes);

/// Cuts a name that is too long for the format. The hash of the whole keeps different ones apart.
std::string shortened(std::string name) {
  if (name.size() <= kMaxTypeNameBytes) return name;
  const std::string tail = format("~{:016x}", hash_of(name));
  name.resize(kMaxTypeNameBytes - tail.size());
  return name + tail;
}

void add_field(Schema& schema, const MemberInfo& member, const std::string& prefix,
               std::uint64_t offset, std::uint32_t depth) {
  const TypeInfo& type = *member.type;
  offset += member.offset;
  schema.fields.push_back(
      {.name = prefix + shortened(std::string{member.name}),
       .type = type.type,
       .type_name = has_type_name(type.type) ? shortened(normalised_type_name(type.spelling)) : "",
       .offset = offset,
       .element_bytes = type.bytes,
       .alignment = type.alignment,
       .extents = {member.extents, member.extents + member.rank},
       .depth = depth});
  if (depth == kMaxFieldDepth) return;
  const std::string path = schema.fields.back().name + '.';
  for (const MemberInfo& inner : type.members) add_field(schema, inner, path, offset, depth + 1);
}

}  // namespace

std::string_view to_string(FieldType type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < kFieldTypes ? kTypes[index].name : "unknown";
}

std::uint64_t fixed_bytes(FieldType type) noexcept {
  const auto index = static_cast<std::size_t>(type);
  return index < kFieldTypes ? kTypes[index].bytes : 0;
}

std::string_view Field::last_part() const noexcept {
  const std::string_view whole = name;
  return whole.substr(whole.rfind('.') + 1);  // npos + 1 == 0
}

std::uint64_t Field::count() const noexcept {
  std::uint64_t product = 1;
  for (const std::uint64_t extent : extents) product *= extent;
  return product;
}

Schema make_schema(std::string_view spelling, const MemberInfo& info) {
  const TypeInfo& type = *info.type;
  Schema schema;
  schema.type_name = shortened(normalised_type_name(spelling));
  schema.bytes = type.bytes;
  for (std::size_t i = 0; i < info.rank; ++i) schema.bytes *= info.extents[i];
  schema.alignment = type.alignment;
  if (type.type == FieldType::record && info.rank == 0) {
    for (const MemberInfo& member : type.members) add_field(schema, member, {}, 0, 0);
  } else {
    add_field(schema, info, {}, 0, 0);
  }
  return schema;
}

Schema slice_schema(Schema element) {
  element.type_name = shortened(element.type_name + "[]");
  return element;
}

}  // namespace sluice
