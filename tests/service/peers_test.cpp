// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/service/peers.hpp>
#include <sluice/service/port_file.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

struct Publisher : Peer {
  int followed = 0;
};

class PeersTest : public ::testing::Test {
 protected:
  PeersTest()
      : node(NodeState::create("test", resolve({}).value()).value()),
        service(Service::join(node, {.name = "topic", .schema = {}}).value()),
        peers(*service, {kPublisherKind, sizeof(PublisherFile)}) {}

  std::unique_ptr<PortFile> join() {
    auto file = std::make_unique<PortFile>();
    EXPECT_TRUE(file->create(*service, kPublisherKind, 0600, sizeof(PublisherFile), 0));
    EXPECT_TRUE(file->join());
    return file;
  }
  void plant(const std::string& name, std::size_t bytes) {
    const int fd = ::openat(service->directory().fd(), name.c_str(), O_CREAT | O_RDWR, 0600);
    const std::string garbage(bytes, 'x');
    ASSERT_EQ(::write(fd, garbage.data(), bytes), static_cast<ssize_t>(bytes));
    planted = std::make_unique<File>(fd);
    ASSERT_TRUE(try_lock(*planted, LockKind::exclusive).value());
  }
  Result<void> look() {
    return peers.look(
        [this](Publisher& publisher) {
          if (on_connect) return on_connect(publisher);
          return Result<void>();
        },
        [](Publisher& publisher) {
          ++publisher.followed;
          return Result<void>();
        },
        [this](Publisher& publisher) { departed.push_back(publisher.seat); });
  }

  TemporaryRoot root;
  std::shared_ptr<const NodeState> node;
  std::shared_ptr<Service> service;
  Peers<Publisher> peers;
  std::function<Result<void>(Publisher&)> on_connect;
  std::vector<Seat> departed;
  std::unique_ptr<File> planted;
};

TEST_F(PeersTest, ANewcomerIsMetOnceAndThenFollowed) {
  EXPECT_TRUE(peers.has_news());
  EXPECT_TRUE(look());
  EXPECT_FALSE(peers.has_news());
  const auto file = join();
  EXPECT_TRUE(peers.has_news());
  EXPECT_TRUE(look());
  ASSERT_EQ(peers.size(), 1U);
  EXPECT_EQ(peers.present(), 1U);
  EXPECT_EQ(peers[0].file.incarnation(), file->incarnation());
  EXPECT_EQ(peers[0].followed, 0);
  EXPECT_TRUE(look());
  EXPECT_EQ(peers.size(), 1U);
  EXPECT_EQ(peers[0].followed, 1);
}

TEST_F(PeersTest, WhoLeavesStaysUntilItIsDropped) {
  auto file = join();
  ASSERT_TRUE(look());
  file.reset();
  EXPECT_TRUE(peers.has_news());
  EXPECT_TRUE(look());
  ASSERT_EQ(peers.size(), 1U);
  EXPECT_TRUE(peers[0].is_gone);
  EXPECT_EQ(peers.present(), 0U);
  EXPECT_TRUE(look());
  EXPECT_EQ(departed, std::vector<Seat>{0});  // once
  peers.drop_if([](const Publisher& publisher) { return publisher.is_gone; });
  EXPECT_EQ(peers.size(), 0U);
}

TEST_F(PeersTest, TheNextOneOnASeatIsAnotherPeer) {
  auto file = join();
  ASSERT_TRUE(look());
  const std::uint64_t first = file->incarnation();
  file.reset();
  file = join();
  ASSERT_EQ(file->seat(), 0U);
  EXPECT_TRUE(look());
  ASSERT_EQ(peers.size(), 2U);
  EXPECT_TRUE(peers[0].is_gone);
  EXPECT_EQ(peers[0].file.incarnation(), first);
  EXPECT_FALSE(peers[1].is_gone);
  EXPECT_EQ(peers.present(), 1U);
}

TEST_F(PeersTest, WhoHasGoneIsNoticedBeforeANewcomerIsMet) {
  auto file = join();
  ASSERT_TRUE(look());
  file->leave(true);  // its name stays, as after a kill
  const auto newcomer = join();
  int met = 0;
  on_connect = [&](Publisher&) {
    ++met;
    EXPECT_EQ(departed, std::vector<Seat>{0});
    return Result<void>();
  };
  EXPECT_TRUE(look());
  EXPECT_EQ(met, 1);
}

TEST_F(PeersTest, APeerWhoseLockIsHeldLivesWhateverBecameOfItsName) {
  const auto file = join();
  ASSERT_TRUE(look());
  ASSERT_EQ(::unlinkat(service->directory().fd(), "publisher.0", 0), 0);
  EXPECT_TRUE(look());
  EXPECT_FALSE(peers[0].is_gone);
  EXPECT_EQ(peers[0].followed, 1);
  EXPECT_TRUE(departed.empty());
}

TEST_F(PeersTest, WithoutItsNameAPeerKeepsItsSeatAndIsGoneWhenItLeaves) {
  auto file = join();
  ASSERT_TRUE(look());
  ASSERT_EQ(::unlinkat(service->directory().fd(), "publisher.0", 0), 0);
  // As each port does, it has a membership of its own.
  const auto own = Service::join(node, {.name = "topic", .schema = {}}).value();
  PortFile other;
  ASSERT_TRUE(other.create(*own, kPublisherKind, 0600, sizeof(PublisherFile), 0));
  ASSERT_TRUE(other.join());
  EXPECT_EQ(other.seat(), 1U);
  EXPECT_TRUE(look());
  EXPECT_EQ(peers.present(), 2U);
  file.reset();
  EXPECT_TRUE(look());
  EXPECT_EQ(departed, std::vector<Seat>{0});
  file = join();
  EXPECT_EQ(file->seat(), 0U);
}

TEST_F(PeersTest, AFileThatIsNoGoodIsReportedOnceAndKeepsNobodyFromTheOthers) {
  plant("publisher.0", 4096);
  const auto file = join();
  ASSERT_EQ(file->seat(), 1U);
  const auto looked = look();
  EXPECT_EQ(looked.error(), Errc::corrupted);
  EXPECT_NE(looked.failure().message.find("publisher.0"), std::string::npos);
  EXPECT_EQ(peers.present(), 1U);
  EXPECT_FALSE(peers.is_blind());
  EXPECT_FALSE(peers.has_news());
  EXPECT_TRUE(look());
  EXPECT_TRUE(look());
  EXPECT_EQ(peers.present(), 1U);
}

TEST_F(PeersTest, APeerThatIsRefusedIsNotConnectedToAgain) {
  const auto file = join();
  int tried = 0;
  on_connect = [&](Publisher&) -> Result<void> {
    ++tried;
    return Failure{Errc::corrupted, "its words make no sense"};
  };
  EXPECT_EQ(look().error(), Errc::corrupted);
  EXPECT_TRUE(look());
  EXPECT_TRUE(look());
  EXPECT_EQ(tried, 1);
  EXPECT_EQ(peers.size(), 0U);
}

TEST_F(PeersTest, AFailureOfOnesOwnIsTriedAgain) {
  const auto file = join();
  on_connect = [](Publisher&) -> Result<void> { return Failure{Errc::no_memory, "none left"}; };
  EXPECT_EQ(look().error(), Errc::no_memory);
  EXPECT_TRUE(peers.is_blind());
  EXPECT_TRUE(peers.has_news());
  on_connect = nullptr;
  EXPECT_TRUE(look());
  EXPECT_FALSE(peers.is_blind());
  EXPECT_FALSE(peers.has_news());
  EXPECT_EQ(peers.present(), 1U);
}

TEST_F(PeersTest, ALookThatIsEnteredFromItselfDoesNothing) {
  const auto file = join();
  int met = 0;
  on_connect = [&](Publisher&) {
    ++met;
    EXPECT_TRUE(look());
    return Result<void>();
  };
  EXPECT_TRUE(look());
  EXPECT_EQ(met, 1);
  EXPECT_EQ(peers.size(), 1U);
}

TEST_F(PeersTest, WhatIsAnnouncedAboutNewcomersIsNoNewsForOneself) {
  const auto file = join();
  ASSERT_TRUE(look());
  const std::uint64_t before = service->board().generation_now();
  peers.announce_newcomers();
  EXPECT_EQ(service->board().generation_now(), before + 1);
  EXPECT_FALSE(peers.has_news());
  const auto other = join();  // in between, somebody comes
  peers.announce_newcomers();
  EXPECT_TRUE(peers.has_news());
}

TEST_F(PeersTest, TheDeadAreReaped) {
  auto file = join();
  ASSERT_TRUE(look());
  file->leave(true);  // its name stays, as after a kill
  EXPECT_TRUE(look());
  EXPECT_TRUE(peers[0].is_gone);
  EXPECT_NE(::faccessat(service->directory().fd(), "publisher.0", F_OK, 0), 0);
  EXPECT_TRUE(peers.has_news());  // everybody is told, this port too
}

}  // namespace
}  // namespace sluice
