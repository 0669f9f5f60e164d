// SPDX-License-Identifier: Apache-2.0
//
// What tests of a killed process have in common: survivors in this process, who are to go on, and a
// root in which nothing is to be left.
#pragma once

#include <gtest/gtest.h>

#include <crash/kill_points.hpp>
#include <cstdint>
#include <optional>
#include <sluice/service/node.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <type_traits>
#include <vector>

namespace sluice {

/// The test's parameter, or a part of it, says where the victim is killed.
template <typename Parameter = At>
struct Survivors : testing::TestWithParam<Parameter> {
  ~Survivors() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }
  void SetUp() final {
    if (const auto why = obstacle(at()); !why.empty()) GTEST_SKIP() << why;
    come();
    files = root.files();
  }

  /// The survivors come; the files that are there then are to be there in the end.
  virtual void come() {}
  /// The victim is dead: the survivors go on, and somebody else takes its place.
  virtual void go_on() {}

  /// Returns the number of points. Afterwards the survivors `go_on`, unless `plot` says otherwise.
  std::uint64_t kill(Plot plot) {
    if (!plot.afterwards) plot.afterwards = [this] { go_on(); };
    return kill_at_every(at(), plot);
  }
  [[nodiscard]] static At at() {
    if constexpr (std::is_same_v<Parameter, At>) {
      return Survivors::GetParam();
    } else {
      return std::get<At>(Survivors::GetParam());
    }
  }
  [[nodiscard]] static bool at_writes() { return at() == At::write; }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "survivor"};
  std::vector<std::string> files;
};

}  // namespace sluice
