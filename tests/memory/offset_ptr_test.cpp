// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <numeric>
#include <sluice/memory/offset_ptr.hpp>
#include <utility>

namespace sluice {
namespace {

static_assert(std::random_access_iterator<offset_ptr<int>>);
static_assert(std::is_same_v<std::pointer_traits<offset_ptr<int>>::rebind<char>, offset_ptr<char>>);
static_assert(std::is_convertible_v<offset_ptr<int>, offset_ptr<const int>>);
static_assert(!std::is_convertible_v<offset_ptr<const int>, offset_ptr<int>>);
static_assert(std::is_convertible_v<offset_ptr<int>, offset_ptr<void>>);
static_assert(!std::is_convertible_v<offset_ptr<void>, offset_ptr<int>>);
static_assert(std::is_constructible_v<offset_ptr<int>, offset_ptr<void>>);

struct Node {
  int value = 0;
  offset_ptr<Node> next;
};

TEST(OffsetPtr, IsNullUntilItPointsSomewhere) {
  offset_ptr<int> pointer;
  EXPECT_FALSE(pointer);
  EXPECT_EQ(pointer, nullptr);
  EXPECT_EQ(pointer.get(), nullptr);
  int value = 7;
  pointer = &value;
  EXPECT_TRUE(pointer);
  EXPECT_EQ(*pointer, 7);
  pointer = nullptr;
  EXPECT_EQ(pointer, nullptr);
  pointer = static_cast<int*>(nullptr);
  EXPECT_FALSE(pointer);
}

TEST(OffsetPtr, ACopyElsewherePointsToTheSame) {
  int value = 7;
  offset_ptr<int> first = &value;
  const auto second = std::make_unique<offset_ptr<int>>(first);
  offset_ptr<int> third;
  third = *second;
  EXPECT_EQ(second->get(), &value);
  EXPECT_EQ(third.get(), &value);
  std::swap(first, third);
  EXPECT_EQ(first, third);
  const offset_ptr<int> nothing;
  EXPECT_EQ(offset_ptr<int>(nothing), nullptr);
}

TEST(OffsetPtr, MayPointToItself) {
  Node node;
  node.next = &node;
  EXPECT_TRUE(node.next);
  EXPECT_EQ(node.next.get(), &node);
  offset_ptr<void> self;
  self = &self;
  EXPECT_TRUE(self);
  EXPECT_EQ(self.get(), &self);
}

TEST(OffsetPtr, MeansTheSameAtAnotherAddress) {
  constexpr std::size_t kBytes = 4096;
  const int fd = ::memfd_create("offset_ptr", MFD_CLOEXEC);
  ASSERT_EQ(::ftruncate(fd, kBytes), 0);
  auto* here =
      static_cast<Node*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  const auto* there =
      static_cast<const Node*>(::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0));
  ASSERT_NE(static_cast<const void*>(here), MAP_FAILED);
  ASSERT_NE(static_cast<const void*>(there), MAP_FAILED);
  for (int i = 0; i < 3; ++i) {
    new (here + i) Node{i, nullptr};
    if (i > 0) here[i - 1].next = here + i;
  }
  int expected = 0;
  for (const Node* node = there; node != nullptr; node = node->next.get()) {
    EXPECT_EQ(node, there + expected);
    EXPECT_EQ(node->value, expected++);
  }
  EXPECT_EQ(expected, 3);
  ::munmap(here, kBytes);
  ::munmap(const_cast<Node*>(there), kBytes);
  ::close(fd);
}

TEST(OffsetPtr, WalksAnArrayAsAPointerDoes) {
  int values[5];
  const offset_ptr<int> begin = values;
  const offset_ptr<int> end = begin + 5;
  std::iota(begin, end, 10);
  EXPECT_EQ(values[4], 14);
  EXPECT_EQ(begin[2], 12);
  EXPECT_EQ(end - begin, 5);
  EXPECT_EQ(*(end - 1), 14);
  EXPECT_EQ(*(1 + begin), 11);
  EXPECT_EQ(std::find(begin, end, 13).get(), values + 3);
  offset_ptr<int> at = begin;
  EXPECT_EQ(*at++, 10);
  EXPECT_EQ(*at--, 11);
  EXPECT_EQ(*++at, 11);
  EXPECT_EQ(*--at, 10);
  std::sort(begin, end, std::greater<>());
  EXPECT_EQ(values[0], 14);
}

TEST(OffsetPtr, ComparesByAddress) {
  int values[2] = {};
  const offset_ptr<int> low = values;
  const offset_ptr<int> high = values + 1;
  EXPECT_LT(low, high);
  EXPECT_GE(high, low);
  EXPECT_NE(low, high);
  EXPECT_EQ(low, static_cast<int*>(values));
  EXPECT_EQ(offset_ptr<int>(), offset_ptr<int>());
  EXPECT_NE(offset_ptr<int>(), low);
}

TEST(OffsetPtr, ConvertsToABaseAndBack) {
  struct First {
    int first = 1;
  };
  struct Second {
    int second = 2;
  };
  struct Both : First, Second {};
  Both both;
  const offset_ptr<Both> whole = &both;
  const offset_ptr<Second> part = whole;
  EXPECT_EQ(part.get(), static_cast<Second*>(&both));
  EXPECT_EQ(offset_ptr<Both>(part), whole);
  const offset_ptr<Second> none = offset_ptr<Both>();
  EXPECT_EQ(none, nullptr);
  const offset_ptr<const void> plain = whole;
  EXPECT_EQ(plain.get(), &both);
  EXPECT_EQ(std::pointer_traits<offset_ptr<Both>>::pointer_to(both), whole);
}

}  // namespace
}  // namespace sluice
