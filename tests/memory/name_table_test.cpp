// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <sluice/core/hash.hpp>
#include <sluice/memory/name_table.hpp>
#include <string>
#include <thread>

namespace sluice {
namespace {

/// All of whose fields follow from one number.
NamedObject numbered(std::uint64_t number, const std::string& name) {
  return {.offset = number,
          .count = number + 1,
          .element_bytes = number + 2,
          .alignment = number + 3,
          .type_hash = number + 4,
          .name = name,
          .type = "type " + std::to_string(number)};
}

bool is_numbered(const NamedObject& object, std::uint64_t number, const std::string& name) {
  const NamedObject expected = numbered(number, name);
  return object.offset == expected.offset && object.count == expected.count &&
         object.element_bytes == expected.element_bytes && object.alignment == expected.alignment &&
         object.type_hash == expected.type_hash && object.name == expected.name &&
         object.type == expected.type;
}

TEST(NameTable, AnEntryIsReadByItsName) {
  const auto entry = std::make_unique<NameEntry>();
  EXPECT_FALSE(read_entry(*entry, "grid", hash_of("grid")));
  EXPECT_FALSE(read_entry(*entry, "", hash_of("")));
  write_entry(*entry, numbered(8, "grid"));
  const auto found = read_entry(*entry, "grid", hash_of("grid"));
  ASSERT_TRUE(found);
  EXPECT_TRUE(is_numbered(*found, 8, "grid"));
  EXPECT_FALSE(read_entry(*entry, "grip", hash_of("grip")));
  write_entry(*entry, {});
  EXPECT_FALSE(read_entry(*entry, "grid", hash_of("grid")));
  EXPECT_FALSE(read_entry(*entry, "", hash_of("")));
}

TEST(NameTable, NamesWithTheSameHashAreToldApart) {
  const auto entry = std::make_unique<NameEntry>();
  write_entry(*entry, numbered(8, "grid"));
  EXPECT_FALSE(read_entry(*entry, "grip", hash_of("grid")));
  EXPECT_FALSE(read_entry(*entry, "grids", hash_of("grid")));
  EXPECT_FALSE(read_entry(*entry, "gri", hash_of("grid")));
}

TEST(NameTable, LongNamesAreKeptWholeAndLongTypesAreCutOff) {
  const auto entry = std::make_unique<NameEntry>();
  NamedObject object = numbered(8, std::string(255, 'n'));
  object.type = std::string(1000, 't');
  write_entry(*entry, object);
  const auto found = read_entry(*entry, object.name, hash_of(object.name));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, object.name);
  EXPECT_EQ(found->type, std::string(128, 't'));
}

TEST(NameTable, AWriterKilledInTheMiddleLeavesNoName) {
  const auto entry = std::make_unique<NameEntry>();
  write_entry(*entry, numbered(8, "grid"));
  entry->version.fetch_add(1);
  EXPECT_FALSE(read_entry(*entry, "grid", hash_of("grid")));
}

TEST(NameTable, AReaderSeesAnEntryAsAWholeOrNotAtAll) {
  const auto entry = std::make_unique<NameEntry>();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; !stop; ++i) write_entry(*entry, numbered(i, "grid"));
  });
  const std::uint64_t hash = hash_of("grid");
  std::uint64_t newest = 0;
  int torn = 0;
  for (int seen = 0; seen < 100'000;) {
    const auto found = read_entry(*entry, "grid", hash);
    if (!found) continue;
    ++seen;
    if (!is_numbered(*found, found->offset, "grid")) ++torn;
    EXPECT_GE(found->offset, newest);
    newest = found->offset;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace sluice
