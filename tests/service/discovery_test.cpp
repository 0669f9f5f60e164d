// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/sanitizers.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <vector>

namespace sluice {
namespace {

struct Pose {
  double x, y, heading;
};

TEST(Discovery, AnEmptyDomainHasNothing) {
  TemporaryRoot root;
  EXPECT_TRUE(services().empty());
  EXPECT_TRUE(nodes().empty());
  EXPECT_TRUE(services({.domain = "a/b"}).empty()) << "no such domain can be";
  EXPECT_TRUE(root.entries().empty()) << "looking makes nothing";
}

TEST(Discovery, AServiceTellsItsTypeAndItsPorts) {
  TemporaryRoot root;
  Node drive("drive");
  Node planner("planner");
  Publisher<Pose> publisher(drive, "robot/pose");
  Subscriber<Pose> subscriber(planner, "robot/pose");
  Subscriber<int> other(planner, "another");

  const auto found = services();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "another");
  const ServiceInfo& service = found[1];
  EXPECT_EQ(service.name, "robot/pose");
  EXPECT_EQ(service.pattern, "publish-subscribe");
  EXPECT_NE(service.type_name().find("Pose"), std::string::npos);
  EXPECT_EQ(service.schema, schema_of<Pose>());
  ASSERT_EQ(service.schema.fields.size(), 3U);
  EXPECT_EQ(service.schema.fields[2].offset, 16U);

  ASSERT_EQ(service.ports.size(), 2U);
  const auto pid = static_cast<std::uint32_t>(::getpid());
  EXPECT_EQ(service.ports[0].kind, "publisher");
  EXPECT_EQ(service.ports[0].node, drive.id());
  EXPECT_EQ(service.ports[0].node_name, "drive");
  EXPECT_EQ(service.ports[0].pid, pid);
  EXPECT_EQ(service.ports[0].incarnation, publisher.id());
  EXPECT_TRUE(service.ports[0].alive);
  EXPECT_EQ(service.ports[1].kind, "subscriber");
  EXPECT_EQ(service.ports[1].node_name, "planner");
}

TEST(Discovery, AServiceOfEventsHasNoTypeAndTellsItsPorts) {
  TemporaryRoot root;
  Node node("hall");
  Notifier notifier(node, "door");
  Listener listener(node, "door");
  const auto found = services();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "door");
  EXPECT_EQ(found[0].pattern, "event");
  EXPECT_EQ(found[0].type_name(), "");
  EXPECT_EQ(found[0].schema, Schema());
  ASSERT_EQ(found[0].ports.size(), 2U);
  EXPECT_EQ(found[0].ports[0].kind, "listener");
  EXPECT_EQ(found[0].ports[0].node_name, "hall");
  EXPECT_EQ(found[0].ports[1].kind, "notifier");
  EXPECT_EQ(found[0].ports[1].incarnation, notifier.id());
  EXPECT_TRUE(found[0].ports[1].alive);
}

TEST(Discovery, ANodeTellsItsProcess) {
  TemporaryRoot root;
  Node first("first");
  Node second("second");
  const auto found = nodes();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "first");
  EXPECT_EQ(found[0].id, first.id());
  EXPECT_EQ(found[0].pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(found[0].executable, std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_GT(found[0].start_ticks, 0U);
  EXPECT_TRUE(found[0].alive);
  EXPECT_EQ(found[1].id, second.id());
}

TEST(Discovery, DomainsDoNotSeeEachOther) {
  TemporaryRoot root;
  Node here("here", {.domain = "here"});
  Node there("there", {.domain = "there"});
  Publisher<int> publisher(here, "numbers");
  Subscriber<int> subscriber(there, "numbers");
  EXPECT_EQ(publisher.subscribers(), 0U);
  EXPECT_EQ(subscriber.publishers(), 0U);
  EXPECT_EQ(services(here.options()).size(), 1U);
  EXPECT_EQ(nodes(there.options()).size(), 1U);
  EXPECT_TRUE(services().empty()) << "the default domain";
}

TEST(Discovery, TheDeadAreSeenUntilTheyAreReaped) {
  TemporaryRoot root;
  Node node("survivor");
  Publisher<int> publisher(node, "shared");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("victim");
    Publisher<int> own_publisher(own, "own");
    Subscriber<int> subscriber(own, "shared");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_EQ(nodes().size(), 2U);
  child.kill();

  const auto seen = nodes();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen[0].alive);
  EXPECT_EQ(seen[1].name, "victim");
  EXPECT_FALSE(seen[1].alive);
  const auto before = services();
  ASSERT_EQ(before.size(), 2U);
  ASSERT_EQ(before[1].ports.size(), 2U);
  EXPECT_FALSE(before[1].ports[1].alive);

  EXPECT_GE(node.reap(), 5U) << "node, service, board, publisher, subscriber";
  EXPECT_EQ(node.reap(), 0U);
  EXPECT_EQ(nodes().size(), 1U);
  ASSERT_EQ(services().size(), 1U);
  EXPECT_EQ(services()[0].ports.size(), 1U);
  EXPECT_EQ(publisher.subscribers(), 0U);
}

TEST(Discovery, WhoLeavesInGoodOrderIsNeverShownDead) {
  TemporaryRoot root;
  Node stays("stays");
  Subscriber<int> subscriber(stays, "topic");
  std::atomic<bool> stop{false};
  std::thread comer([&] {
    while (!stop) {
      Node node("short");
      Publisher<int> publisher(node, "topic");
    }
  });
  // Each lists what up to 64 publishers have left. Under a sanitizer mapping takes very long.
  const int rounds = kSanitized ? 50 : 500;
  int dead = 0;
  for (int i = 0; i < rounds; ++i) {
    for (const NodeInfo& node : nodes()) dead += node.alive ? 0 : 1;
    for (const ServiceInfo& service : services()) {
      for (const PortInfo& port : service.ports) dead += port.alive ? 0 : 1;
    }
  }
  stop = true;
  comer.join();
  EXPECT_EQ(dead, 0);
}

}  // namespace
}  // namespace sluice
