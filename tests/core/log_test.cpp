// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <sluice/platform/lock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

struct Log : testing::Test {
  Log() {
    set_log_handler([this](const Failure& failure) { heard.push_back(failure); });
  }
  ~Log() override { set_log_handler({}); }

  /// A file of somebody who lives, and which is none of this library's.
  File plant(const std::string& name) {
    for (const std::string& file : root.files()) {
      const auto end = file.find("/board");
      if (end == std::string::npos) continue;
      const std::string path = root.path() + "/" + file.substr(0, end) + "/" + name;
      File planted(::open(path.c_str(), O_CREAT | O_RDWR, 0600));
      EXPECT_EQ(::ftruncate(planted.fd(), 4096), 0);
      EXPECT_TRUE(try_lock(planted, LockKind::exclusive).value());
      return planted;
    }
    ADD_FAILURE() << "no service";
    return {};
  }

  TemporaryRoot root;
  Node node{"test"};
  std::vector<Failure> heard;
};

TEST_F(Log, NothingIsSaidWhereNothingIsPassedOver) {
  Publisher<int> publisher(node, "topic");
  Subscriber<int> subscriber(node, "topic");
  publisher.publish(1);
  EXPECT_TRUE(subscriber.receive());
  EXPECT_EQ(services().size(), 1U);
  EXPECT_TRUE(heard.empty());
}

TEST_F(Log, APeerThatIsRefusedIsNamedOnce) {
  Publisher<int> publisher(node, "topic");
  const File planted = plant("subscriber.7");
  EXPECT_EQ(publisher.subscribers(), 0U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].code, Errc::corrupted);
  EXPECT_NE(heard[0].message.find("subscriber.7"), std::string::npos) << heard[0].message;
  EXPECT_EQ(publisher.subscribers(), 0U);
  EXPECT_EQ(heard.size(), 1U);
}

TEST_F(Log, WhatDiscoverySkipsIsNamed) {
  const Publisher<int> publisher(node, "topic");
  const File planted = plant("subscriber.7");
  EXPECT_EQ(services()[0].ports.size(), 1U);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_NE(heard[0].message.find("subscriber.7"), std::string::npos) << heard[0].message;
}

TEST_F(Log, AHandlerMayTakeItselfAway) {
  int calls = 0;
  set_log_handler([&](const Failure&) {
    ++calls;
    set_log_handler({});
  });
  const Publisher<int> publisher(node, "topic");
  const File planted = plant("subscriber.7");
  (void)services();
  (void)services();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace sluice
