// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <deque>
#include <sluice/container/string.hpp>
#include <sluice/container/vector.hpp>
#include <sluice/memory/shared_heap.hpp>
#include <thread>
#include <vector>

#include "support/child_process.hpp"
#include "support/file_with_heap.hpp"
#include "support/temporary_root.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

TEST(SharedHeap, IsFoundByItsAnchorAmongMany) {
  std::deque<SharedHeap> heaps(200);
  for (SharedHeap& heap : heaps) EXPECT_EQ(&SharedHeap::of(heap.anchor()), &heap);
  for (int i = 0; i < 100; ++i) heaps.pop_front();
  for (int i = 0; i < 50; ++i) heaps.emplace_back();
  for (SharedHeap& heap : heaps) EXPECT_EQ(&SharedHeap::of(heap.anchor()), &heap);
}

TEST(SharedHeap, ServesSeveralThreadsAtOnce) {
  const TemporaryRoot root;
  FileWithHeap file(256 * kMiB);
  const std::uint64_t before = file.used_bytes();
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Vector<unsigned>> all;
      for (int i = 0; i < 8; ++i) all.emplace_back(file.allocator());
      for (unsigned round = 0; round < 20'000; ++round) {
        Vector<unsigned> numbers(1 + round % 40, t, file.allocator());
        std::swap(all[round % all.size()], numbers);
        SharedHeap other;  // comes and goes meanwhile
        ASSERT_EQ(&SharedHeap::of(other.anchor()), &other);
      }
      for (const auto& numbers : all) {
        for (const unsigned number : numbers) ASSERT_EQ(number, t);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(file.used_bytes(), before);
}

TEST(SharedHeap, IsNotUsedByAForkedChild) {
  const TemporaryRoot root;
  FileWithHeap file(kMiB);
  Vector<int> numbers(5, 1, file.allocator());
  ChildProcess child([&](const ChildProcess::Line&) {
    if (file.shared_heap.allocate(100, 8).error() != Errc::forked) return 1;
    if (file.shared_heap.expand(numbers.data(), 100, 100) != 0) return 2;
    { Vector<int> gone(std::move(numbers)); }  // leaves its parent's memory as it is
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  numbers.push_back(2);
  EXPECT_EQ(numbers.size(), 6U);
}

}  // namespace
}  // namespace sluice
