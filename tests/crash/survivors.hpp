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
#include <vector>

namespace sluice {

struct Survivors : testing::Test {
  ~Survivors() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }
  void SetUp() final {
    if (const auto why = obstacle(at()); !why.empty()) GTEST_SKIP() << why;
    come();
    files = root.files();
  }

  /// Where the victim is killed.
  [[nodiscard]] virtual At at() const = 0;
  /// The survivors come; the files that are there then are to be there in the end.
  virtual void come() {}
  /// The victim is dead: the survivors go on, and somebody else takes its place.
  virtual void go_on() {}

  /// Returns the number of points. Afterwards the survivors `go_on`, unless `plot` says otherwise.
  std::uint64_t kill(Plot plot) {
    if (!plot.afterwards) plot.afterwards = [this] { go_on(); };
    return kill_at_every(at(), plot);
  }
  [[nodiscard]] bool at_writes() const { return at() == At::write; }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "survivor"};
  std::vector<std::string> files;
};

/// With the points as the test's parameter.
struct SurvivorsAtEvery : Survivors, testing::WithParamInterface<At> {
  [[nodiscard]] At at() const final { return GetParam(); }
};

}  // namespace sluice
