// SPDX-License-Identifier: Apache-2.0
//
// A forked child never keeps the ports of its parent alive, whatever another thread was about to
// do when it was forked.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/platform/lock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

/// The files below the root whose owner seems to live.
std::vector<std::string> living_files(const TemporaryRoot& root) {
  std::vector<std::string> living;
  for (const std::string& name : root.files()) {
    const File file(::open((root.path() + "/" + name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (file.is_open() && is_locked(file)) living.push_back(name);
  }
  return living;
}

/// Forks children that live until nobody has the other end of the pipe `held`, one after the other,
/// while ports come, and some of them go. Returns when there are `ports`.
void fork_while_ports_come_and_go(int held, std::uint32_t ports) {
  constexpr int kMostForks = 150;
  std::atomic<bool> is_over{false};
  std::thread forker([&] {
    // relaxed: a flag and no more.
    for (int i = 0; i < kMostForks && !is_over.load(std::memory_order_relaxed); ++i) {
      if (::fork() == 0) {
        char byte = 0;
        ::_exit(::read(held, &byte, 1) == 0 ? 0 : 1);
      }
    }
  });
  static std::vector<std::unique_ptr<Node>> nodes;  // until the process is killed
  static std::vector<std::unique_ptr<Notifier>> kept;
  while (kept.size() < ports) {
    nodes.push_back(std::make_unique<Node>("parent"));
    kept.push_back(std::make_unique<Notifier>(*nodes.back(), "events"));
    const Listener passing(*nodes.back(), "events");
  }
  is_over.store(true, std::memory_order_relaxed);  // relaxed: as above
  forker.join();
}

TEST(Fork, AChildThatAnotherThreadForksKeepsNothingOfItsParentAlive) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  for (int round = 0; round < 3; ++round) {
    TemporaryRoot root;
    int held[2];
    ASSERT_EQ(::pipe2(held, O_CLOEXEC), 0);
    const File inside(held[0]);
    File outside(held[1]);
    ChildProcess parent([&](const ChildProcess::Line& line) {
      outside.close();
      fork_while_ports_come_and_go(held[0], 60);
      line.say();
      ::pause();
      return 0;
    });
    ASSERT_TRUE(parent.hear());
    EXPECT_FALSE(living_files(root).empty());
    parent.kill();
    const auto until = std::chrono::steady_clock::now() + 5s;
    std::vector<std::string> living = living_files(root);
    while (!living.empty() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(10ms);
      living = living_files(root);
    }
    EXPECT_TRUE(living.empty()) << living.size() << " files, the first is " << living.front();
    outside.close();  // the children end
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
