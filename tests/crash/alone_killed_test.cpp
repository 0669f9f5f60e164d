// SPDX-License-Identifier: Apache-2.0
//
// The only participant of a service is killed at every write to shared memory and at every system
// call. Whoever comes next finds it as if nobody had been there.
#include <gtest/gtest.h>

#include <crash/frames.hpp>
#include <crash/survivors.hpp>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

using Nothing = std::vector<std::string>;

constexpr PublisherOptions kLeanOptions{.depth = 1, .max_loans = 1};
constexpr PublisherOptions kFirstOptions{.depth = 1, .max_loans = 1, .mode = OpenMode::create_only};

struct AloneKilled : Survivors<> {
  void come() override { node.reset(); }

  /// With nobody left, the next node removes everything, as it comes and as it goes.
  void expect_that_a_node_clears_up() {
    {
      const Node next("next");
      EXPECT_EQ(root.files().size(), 1U) << "its own";
    }
    EXPECT_EQ(root.entries(), Nothing());
  }

  /// With a node there already, ports meet what the victim left, and can make nothing of it.
  void expect_that_ports_take_its_place(const PublisherOptions& options) {
    Source<LargeFrame> source(*node, options);
    Sink<LargeFrame> sink(*node);
    EXPECT_EQ(source.port().subscribers(), 1U);
    EXPECT_EQ(sink.port().publishers(), 1U);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(source.publish()) << source.failure();
      ASSERT_EQ(sink.drain(), 1U);
    }
    EXPECT_TRUE(sink.is_content());
  }

  std::uint64_t kill_and_clear_up(const std::function<void(const Victim&)>& victim) {
    return kill({.victim = victim, .afterwards = [this] { expect_that_a_node_clears_up(); }});
  }

  std::uint64_t kill_and_take_its_place(const std::function<void(const Victim&)>& victim,
                                        const PublisherOptions& options = kLeanOptions) {
    node.emplace("waiting");
    files = root.files();
    const auto points = kill({.victim = victim, .afterwards = [&] {
                                expect_that_ports_take_its_place(options);
                                node->reap();
                                EXPECT_EQ(root.files(), files);
                              }});
    node.reset();
    return points;
  }
};

INSTANTIATE_TEST_SUITE_P(AtEvery, AloneKilled, testing::Values(At::write, At::system_call),
                         name_of);

void make_node(const Victim& victim) {
  std::optional<Node> node;
  victim.in_danger([&] { node.emplace("victim"); });
}

void destroy_node(const Victim& victim) {
  std::optional<Node> node(std::in_place, "victim");
  victim.in_danger([&] { node.reset(); });
}

void make_publisher(const Victim& victim) {
  const Node node("victim");
  std::optional<Source<LargeFrame>> source;
  victim.in_danger([&] { source.emplace(node, kLeanOptions); });
}

void make_the_first_publisher(const Victim& victim) {
  const Node node("victim");
  std::optional<Source<LargeFrame>> source;
  victim.in_danger([&] { source.emplace(node, kFirstOptions); });
}

void make_subscriber(const Victim& victim) {
  const Node node("victim");
  std::optional<Sink<LargeFrame>> sink;
  victim.in_danger([&] { sink.emplace(node); });
}

void publish_and_leave(const Victim& victim) {
  std::optional<Node> node(std::in_place, "victim");
  std::optional<Source<LargeFrame>> source(std::in_place, *node, kLeanOptions);
  victim.in_danger([&] {
    Victim::require(source->publish(3));
    source.reset();
    node.reset();
  });
}

void receive_and_leave(const Victim& victim) {
  std::optional<Node> node(std::in_place, "victim");
  std::optional<Sink<LargeFrame>> sink(std::in_place, *node);
  victim.in_danger([&] {
    Victim::require(!sink->receive());
    sink.reset();
    node.reset();
  });
}

TEST_P(AloneKilled, WhileItMakesItsNode) {
  EXPECT_GE(kill_and_clear_up(make_node), at_writes() ? 10U : 50U);
}

TEST_P(AloneKilled, WhileItDestroysItsNode) {
  EXPECT_GE(kill_and_clear_up(destroy_node), at_writes() ? 0U : 50U);
}

TEST_P(AloneKilled, WhileItsPublisherMakesTheService) {
  EXPECT_GE(kill_and_clear_up(make_publisher), at_writes() ? 100U : 50U);
}

TEST_P(AloneKilled, WhileItsSubscriberMakesTheService) {
  EXPECT_GE(kill_and_clear_up(make_subscriber), at_writes() ? 20U : 50U);
}

TEST_P(AloneKilled, WhileItPublishesAndLeaves) {
  EXPECT_GE(kill_and_clear_up(publish_and_leave), at_writes() ? 13U : 50U);
}

TEST_P(AloneKilled, WhileItLeavesUnheard) {
  EXPECT_GE(kill_and_clear_up(receive_and_leave), at_writes() ? 1U : 50U);
}

TEST_P(AloneKilled, BeforeOthersMeetAServiceHalfMadeByItsPublisher) {
  EXPECT_GE(kill_and_take_its_place(make_publisher), at_writes() ? 100U : 50U);
}

TEST_P(AloneKilled, BeforeOthersMeetAServiceHalfMadeByItsSubscriber) {
  EXPECT_GE(kill_and_take_its_place(make_subscriber), at_writes() ? 20U : 50U);
}

TEST_P(AloneKilled, BeforeOthersMeetAServiceHalfRemovedByItsPublisher) {
  EXPECT_GE(kill_and_take_its_place(publish_and_leave), at_writes() ? 13U : 50U);
}

TEST_P(AloneKilled, BeforeOthersMeetAServiceHalfRemovedByItsSubscriber) {
  EXPECT_GE(kill_and_take_its_place(receive_and_leave), at_writes() ? 1U : 50U);
}

TEST_P(AloneKilled, BeforeAnotherIsToBeTheFirstInItsPlace) {
  EXPECT_GE(kill_and_take_its_place(make_the_first_publisher, kFirstOptions),
            at_writes() ? 100U : 50U);
}

TEST_P(AloneKilled, BeforeAnotherIsToBeTheFirstWhereItWasLeaving) {
  EXPECT_GE(kill_and_take_its_place(publish_and_leave, kFirstOptions), at_writes() ? 13U : 50U);
}

}  // namespace
}  // namespace sluice
