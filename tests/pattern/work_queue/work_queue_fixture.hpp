// SPDX-License-Identifier: Apache-2.0
//
// What the tests of work queues share.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/failure.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {

struct WorkQueueTest : testing::Test {
  ~WorkQueueTest() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  /// Names of the service's files that begin with `prefix`.
  std::vector<std::string> files(const std::string& prefix) const {
    std::vector<std::string> found;
    for (const std::string& path : root.files()) {
      const std::string name = path.substr(path.rfind('/') + 1);
      if (name.starts_with(prefix)) found.push_back(name);
    }
    return found;
  }
  /// The directory of the only service.
  Directory service_directory() const {
    for (const std::string& path : root.files()) {
      if (!path.ends_with("/service")) continue;
      return open_directory_at_path(root.path() + "/" + path.substr(0, path.rfind('/'))).value();
    }
    return {};
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

/// A worker in a process of its own that takes `count` jobs, says so, and holds them.
inline ChildProcess holder_of(std::size_t count) {
  ChildProcess child([count](const ChildProcess::Line& line) {
    const Node own("holder");
    Worker<int> worker(own, "jobs", {.max_jobs = 256});
    std::vector<Job<int>> held;
    while (held.size() < count) {
      auto job = worker.wait(std::chrono::seconds(10));
      if (!job) return 1;
      held.push_back(std::move(job));
    }
    line.say();
    line.hear();
    return 0;
  });
  EXPECT_TRUE(child.hear());
  return child;
}

}  // namespace sluice
