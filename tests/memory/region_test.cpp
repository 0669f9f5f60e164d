// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <sluice/memory/shared_file.hpp>
#include <sstream>
#include <string>
#include <support/temporary_root.hpp>

namespace sluice {
namespace {

/// The kernel's flags of the mapping that `address` is in.
std::string flags_at(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool is_there = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::istringstream text(line);
    if (text >> std::hex >> begin >> dash >> end && dash == '-') {
      is_there = begin <= wanted && wanted < end;
    } else if (is_there && line.starts_with("VmFlags:")) {
      return line + ' ';
    }
  }
  return "not mapped";
}

TEST(Region, AddressSpaceThatIsOnlyReservedDoesNotEnterCoreFiles) {
  TemporaryRoot root;
  const auto directory = open_directory_at_path(root.path());
  ASSERT_TRUE(directory);
  constexpr std::uint64_t kReserved = std::uint64_t{1} << 30;
  auto file = SharedFile::create(*directory, 0600, FileKind::segment, 1, 4096, kReserved);
  ASSERT_TRUE(file);
  const Region& region = file->region();
  EXPECT_NE(flags_at(region.data() + kReserved / 2).find(" dd "), std::string::npos);
  EXPECT_EQ(flags_at(region.data()).find(" dd "), std::string::npos) << "what is in use does";
  ASSERT_TRUE(file->grow_to(1 << 20));
  EXPECT_EQ(flags_at(region.data() + (1 << 19)).find(" dd "), std::string::npos);
}

}  // namespace
}  // namespace sluice
