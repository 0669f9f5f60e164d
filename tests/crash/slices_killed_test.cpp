// SPDX-License-Identifier: Apache-2.0
//
// A publisher of slices is killed at every write to shared memory and at every system call while it
// finds memory for slices, keeps it, and gives it back. What subscribers hold stays whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <crash/survivors.hpp>
#include <cstdint>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr const char* kService = "slices";
constexpr PublisherOptions kOptions{.history = 1, .depth = 2, .max_loans = 1};

/// The n-th slice: its length and its ends say which it is. Long ones take pages of their own.
std::size_t length_of(std::uint64_t number) { return 3 + number % 3 * 3000; }

bool publish(Publisher<std::uint64_t[]>& publisher, std::uint64_t number) {
  auto loan = publisher.loan(length_of(number));
  if (!loan) return false;
  loan[0] = number;
  loan[loan.size() - 1] = number;
  return publisher.publish(std::move(loan)) == number;
}

bool is_whole(const Sample<std::uint64_t[]>& sample) {
  return sample.size() == length_of(sample.sequence()) && sample[0] == sample.sequence() &&
         sample[sample.size() - 1] == sample.sequence();
}

struct SlicesKilled : Survivors<> {
  void come() override { survivor.emplace(*node, kService, SubscriberOptions{.max_borrowed = 2}); }

  void drain() {
    while (const auto sample = survivor->receive()) EXPECT_TRUE(is_whole(sample));
  }
  void go_on() override {
    EXPECT_TRUE(!held || is_whole(held));
    drain();
    EXPECT_TRUE(!held || is_whole(held));
    held.reset();
    {
      const Node own("newcomer");
      Publisher<std::uint64_t[]> newcomer(own, kService, kOptions);
      for (std::uint64_t i = 0; i < 6; ++i) {
        ASSERT_TRUE(publish(newcomer, i)) << newcomer.last_failure().message;
        const auto sample = survivor->receive();
        ASSERT_TRUE(sample && is_whole(sample));
      }
    }
    EXPECT_EQ(survivor->publishers(), 0U);
    EXPECT_FALSE(survivor->receive());
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Subscriber<std::uint64_t[]>> survivor;
  Sample<std::uint64_t[]> held;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, SlicesKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(SlicesKilled, WhileItTakesAndGivesBackBlocks) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Publisher<std::uint64_t[]> publisher(own, kService, kOptions);
                                  Victim::require(publish(publisher, 0));
                                  victim.in_danger([&] {
                                    for (std::uint64_t i = 1; i <= 12; ++i) {
                                      Victim::require(publish(publisher, i));
                                    }
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  held = survivor->receive();
                                  EXPECT_TRUE(held);
                                }});
  EXPECT_GE(points, at_writes() ? 100U : 2U);
}

}  // namespace
}  // namespace sluice
