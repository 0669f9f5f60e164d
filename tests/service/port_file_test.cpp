// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/service/port_file.hpp>
#include <string>
#include <support/temporary_root.hpp>

namespace sluice {
namespace {

class PortFileTest : public ::testing::Test {
 protected:
  PortFileTest()
      : node(NodeState::create("test", resolve({}).value()).value()),
        service(Service::join(node, {.name = "topic", .schema = {}}).value()) {}

  void make(PortFile& file) {
    ASSERT_TRUE(file.create(*service, kPublisherKind, 0600, sizeof(PublisherFile), 0));
  }
  void join(PortFile& file) {
    make(file);
    ASSERT_TRUE(file.join());
  }
  [[nodiscard]] bool is_there(const std::string& name) const {
    const auto names = list(service->directory()).value();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  [[nodiscard]] std::uint64_t generation() const { return service->board().generation_now(); }

  TemporaryRoot root;
  std::shared_ptr<const NodeState> node;
  std::shared_ptr<Service> service;
};

TEST_F(PortFileTest, NobodySeesAFileThatHasNotJoined) {
  const std::uint64_t before = generation();
  {
    PortFile file;
    make(file);
    EXPECT_FALSE(file.has_joined());
    EXPECT_FALSE(file.has_its_name());
    EXPECT_FALSE(is_there("publisher.0"));
  }
  EXPECT_EQ(generation(), before);
}

TEST_F(PortFileTest, JoiningTakesTheFirstFreeSeatAndAnnouncesIt) {
  PortFile first;
  join(first);
  const std::uint64_t before = generation();
  PortFile second;
  join(second);
  EXPECT_EQ(generation(), before + 1);
  EXPECT_EQ(first.seat(), 0U);
  EXPECT_EQ(second.seat(), 1U);
  EXPECT_EQ(second.name(), "publisher.1");
  EXPECT_TRUE(is_there("publisher.1"));
  EXPECT_TRUE(second.has_its_name());

  first.leave();
  PortFile third;
  join(third);
  EXPECT_EQ(third.seat(), 0U);
  EXPECT_NE(third.incarnation(), second.incarnation());
}

TEST_F(PortFileTest, LeavingRemovesTheNameAndIsAnnouncedOnce) {
  PortFile file;
  join(file);
  const std::uint64_t before = generation();
  file.leave();
  EXPECT_FALSE(file.has_joined());
  EXPECT_FALSE(is_there("publisher.0"));
  EXPECT_EQ(generation(), before + 1);
  file.leave();
  EXPECT_EQ(generation(), before + 1);
  // What it wrote can still be read.
  EXPECT_EQ(file.words<PublisherFile>().header.incarnation, file.incarnation());
}

TEST_F(PortFileTest, TheDestructorLeaves) {
  {
    PortFile file;
    join(file);
  }
  EXPECT_FALSE(is_there("publisher.0"));
}

TEST_F(PortFileTest, AFileThatIsNeededKeepsItsNameAndLosesItsLock) {
  PortFile file;
  join(file);
  file.leave(true);
  ASSERT_TRUE(is_there("publisher.0"));
  const auto left = open_file(service->directory(), "publisher.0", false);
  ASSERT_TRUE(left);
  EXPECT_FALSE(is_locked(*left));
}

TEST_F(PortFileTest, TheOwnerHoldsTheLockUntilItHasLeft) {
  PortFile file;
  join(file);
  const auto seen = open_file(service->directory(), "publisher.0", false);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(is_locked(*seen));
  file.leave();
  EXPECT_FALSE(is_locked(*seen));
}

TEST_F(PortFileTest, ItIsNoticedThatAnotherFileHasTheName) {
  PortFile file;
  join(file);
  const int directory = service->directory().fd();
  ASSERT_EQ(::unlinkat(directory, "publisher.0", 0), 0);
  EXPECT_FALSE(file.has_its_name());
  PortFile other;
  join(other);
  ASSERT_EQ(::linkat(directory, other.name().c_str(), directory, "publisher.0", 0), 0);
  EXPECT_FALSE(file.has_its_name());
  EXPECT_TRUE(other.has_its_name());
  ASSERT_EQ(::unlinkat(directory, "publisher.0", 0), 0);
}

TEST_F(PortFileTest, ASeatIsKeptByWhoeverIsOnItThoughItsNameIsGone) {
  PortFile file;
  join(file);
  ASSERT_EQ(::unlinkat(service->directory().fd(), "publisher.0", 0), 0);
  PortFile other;
  join(other);
  EXPECT_EQ(other.seat(), 1U);
  file.leave();
  PortFile next;
  join(next);
  EXPECT_EQ(next.seat(), 0U);
}

TEST_F(PortFileTest, AllSeatsTakenIsAnErrorThatSaysHowManyThereAre) {
  for (std::uint32_t seat = 0; seat < kMaxSeats; ++seat) {
    const std::string name = file_name_of(kPublisherKind, seat);
    ASSERT_EQ(::symlinkat("nowhere", service->directory().fd(), name.c_str()), 0);
  }
  PortFile file;
  make(file);
  const auto joined = file.join();
  EXPECT_EQ(joined.error(), Errc::too_many_ports);
  EXPECT_NE(joined.failure().message.find("all 1024 publisher seats"), std::string::npos)
      << joined.failure().message;
}

TEST_F(PortFileTest, AServiceThatWasRemovedCannotBeJoined) {
  PortFile file;
  make(file);
  const std::string directory = service->directory().path;
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  EXPECT_EQ(file.join().error(), Errc::not_found);
}

TEST(PortNames, AreAKindAndASeat) {
  EXPECT_EQ(seat_in("publisher.17", kPublisherKind), Seat{17});
  EXPECT_FALSE(seat_in("publisher.1024", kPublisherKind));
  EXPECT_FALSE(seat_in("publisher.", kPublisherKind));
  EXPECT_FALSE(seat_in("publisher.1x", kPublisherKind));
  EXPECT_FALSE(seat_in("publisher", kPublisherKind));
  EXPECT_FALSE(seat_in("subscriber.1", kPublisherKind));
  EXPECT_EQ(file_name_of(kSubscriberKind, 3), "subscriber.3");
  const auto port = port_of("subscriber.3");
  ASSERT_TRUE(port);
  EXPECT_EQ(&port->kind, &kSubscriberKind);
  EXPECT_EQ(port->seat, Seat{3});
  EXPECT_FALSE(port_of("board"));
}

}  // namespace
}  // namespace sluice
