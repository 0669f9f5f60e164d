// SPDX-License-Identifier: Apache-2.0
//
// Users who do not see each other are told so.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/platform/other_places.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/failure.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr uid_t kStranger = 4711;
constexpr int kSkipped = 77;

bool write_to(const char* path, const std::string& text) {
  const File file(::open(path, O_WRONLY | O_CLOEXEC));
  return ::write(file.fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

struct OtherPlaces : testing::Test {
  OtherPlaces() { ::chmod(root.path().c_str(), 01777); }
  ~OtherPlaces() override { set_log_handler({}); }

  void make_place(const std::string& name, uid_t owner) const {
    const std::string path = root.path() + "/" + name;
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(::chown(path.c_str(), owner, owner), 0);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return root.path() + "/" + name; }

  TemporaryRoot root;
  const std::string own = std::to_string(::geteuid());
};

TEST_F(OtherPlaces, WhereThereAreNoneNothingIsSaid) {
  const Node node("alone");
  EXPECT_EQ(hint_at_other_places(node.options()), "");
  const auto missing = Subscriber<int>::create(node, "topic", {.mode = OpenMode::open_only});
  EXPECT_EQ(missing.failure().message.find("others use"), std::string::npos);
}

TEST_F(OtherPlaces, WhoWaitsInVainIsToldOfThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user takes root";
  ChildProcess stranger([&](const ChildProcess::Line& line) {
    if (::setgid(kStranger) != 0 || ::setuid(kStranger) != 0) return 1;
    const auto there = Node::create("there");
    if (!there) return kSkipped;  // the directories above are closed to other users
    const Subscriber<int> subscriber(*there, "topic");
    line.say();
    line.hear();
    return 0;
  });
  if (!stranger.hear()) {
    ASSERT_EQ(stranger.wait(), kSkipped);
    GTEST_SKIP() << "the directories above are closed to other users";
  }
  std::vector<Failure> heard;
  set_log_handler([&](const Failure& failure) { heard.push_back(failure); });
  const Node node("here");
  const std::vector<std::string> words{"looks into " + path("0"), "others use " + path("4711"),
                                       "docs/deployment.md"};
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(says(heard[0], Errc::no_permission, words));

  const auto missing = Subscriber<int>::create(node, "topic", {.mode = OpenMode::open_only});
  EXPECT_TRUE(says(missing.failure(), Errc::not_found, words));

  Publisher<int> publisher(node, "topic");
  EXPECT_TRUE(says(publisher.wait_for_subscribers(1, 100ms).failure(), Errc::timed_out, words));
  Subscriber<int> other(node, "other");
  EXPECT_EQ(other.wait(100ms).error(), Errc::timed_out);
  EXPECT_TRUE(says(other.last_failure(), Errc::timed_out, words));
  Client<int, int> client(node, "service");
  EXPECT_EQ(client.call(1, 100ms).error(), Errc::timed_out);
  EXPECT_TRUE(says(client.last_failure(), Errc::timed_out, words));
  Server<int, int> server(node, "other_service");
  EXPECT_EQ(server.wait(100ms).error(), Errc::timed_out);
  EXPECT_TRUE(says(server.last_failure(), Errc::timed_out, words));
  Worker<int> worker(node, "jobs");
  EXPECT_EQ(worker.wait(100ms).error(), Errc::timed_out);
  EXPECT_TRUE(says(worker.last_failure(), Errc::timed_out, words));

  // Neither in a short wait, of which there may be many, nor where somebody is there.
  EXPECT_EQ(other.wait(1ms).error(), Errc::timed_out);
  EXPECT_EQ(other.last_failure().message.find("others use"), std::string::npos);
  const Publisher<int> peer(node, "other");
  EXPECT_EQ(other.wait(100ms).error(), Errc::timed_out);
  EXPECT_EQ(other.last_failure().message.find("others use"), std::string::npos);
  EXPECT_EQ(heard.size(), 1U);
}

TEST_F(OtherPlaces, OnesOwnOfAnotherAccessIsOne) {
  const Node node("here");
  const Node shared("there", {.access = Access::world});
  EXPECT_NE(hint_at_other_places(node.options()).find("others use " + path("shared")),
            std::string::npos);
  EXPECT_NE(hint_at_other_places(shared.options()).find("others use " + path(own)),
            std::string::npos);
}

TEST_F(OtherPlaces, ManyAreCounted) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a directory away takes root";
  const Node node("here");
  for (uid_t user = 4711; user < 4716; ++user) make_place(std::to_string(user), user);
  const std::string hint = hint_at_other_places(node.options());
  EXPECT_NE(hint.find(path("4711") + ", " + path("4712") + ", " + path("4713") + " and 2 more;"),
            std::string::npos)
      << hint;
}

TEST_F(OtherPlaces, WhatAnybodyPutsIntoTheRootIsNone) {
  if (user_namespace() && !user_namespace()->is_initial) GTEST_SKIP() << "owners are not known";
  const Node node("here");
  for (const char* name : {"99\x1b[2J", "\n", "sharedd", "0099", "4294967296", "-1", "9 9"}) {
    make_place(name, ::geteuid());
  }
  make_place("5555", ::geteuid());  // not that user's
  ASSERT_EQ(::symlink("5555", path("6666").c_str()), 0);
  const File file(::open(path("7777").c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_EQ(hint_at_other_places(node.options()), "");
}

TEST_F(OtherPlaces, InAUserNamespaceItIsSaid) {
  const Node outside("outside");
  const uid_t user = ::geteuid();
  ChildProcess child([&](const ChildProcess::Line&) {
    if (::unshare(CLONE_NEWUSER) != 0) return kSkipped;
    if (!write_to("/proc/self/uid_map", "1234 " + std::to_string(user) + " 1")) return kSkipped;
    const auto found = user_namespace();
    if (!found || found->is_initial || found->outside != user) return 1;
    const auto node = Node::create("inside");
    if (!node) return 2;
    Publisher<int> publisher(*node, "topic");
    const std::vector<std::string> words{
        "user namespace", "user 1234 is user " + std::to_string(user) + " outside",
        "looks into " + path("1234"), "others use " + path(std::to_string(user))};
    const Failure failure = publisher.wait_for_subscribers(1, 0ms).failure();
    if (says(failure, Errc::timed_out, words)) return 3;  // too short for a look
    if (!says(publisher.wait_for_subscribers(1, 100ms).failure(), Errc::timed_out, words)) return 4;
    const auto missing = Subscriber<int>::create(*node, "other", {.mode = OpenMode::open_only});
    return says(missing.failure(), Errc::not_found, words) ? 0 : 5;
  });
  const int status = child.wait();
  if (status == kSkipped) GTEST_SKIP() << "this machine does not let tests make user namespaces";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sluice
