// SPDX-License-Identifier: Apache-2.0
//
// Where the root cannot be, and what is said then.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

constexpr uid_t kStranger = 4711;
constexpr int kSkipped = 77;

/// Whether the failure has the code and each of the words; prints it where not.
bool says(const Failure& failure, Errc code, const std::vector<std::string>& words) {
  bool all = failure.code == code;
  for (const std::string& word : words) all &= failure.message.find(word) != std::string::npos;
  if (!all) std::fprintf(stderr, "said: %d %s\n", int(failure.code), failure.message.c_str());
  return all;
}

Failure failure_with_root(const std::string& root) {
  const auto node = Node::create("test", {.root = root});
  return node ? Failure{} : node.failure();
}

class Root : public ::testing::Test {
 protected:
  Root() { ::chmod(root.path().c_str(), 0755); }
  std::string make_directory(const std::string& name, mode_t mode, uid_t owner) {
    std::string path = root.path() + "/" + name;
    EXPECT_EQ(::mkdir(path.c_str(), 0755), 0);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_EQ(::chown(path.c_str(), owner, owner), 0);
    return path;
  }
  /// Runs `body` in a child that has a file system of its own mounted on the root.
  void with_file_system(const char* type, const std::string& options,
                        const std::function<int()>& body) {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting takes root";
    ChildProcess child([&](const ChildProcess::Line&) {
      if (::unshare(CLONE_NEWNS) != 0) return kSkipped;
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kSkipped;
      if (::mount("none", root.path().c_str(), type, 0, options.c_str()) != 0) return kSkipped;
      return body();
    });
    const int status = child.wait();
    if (status == kSkipped) GTEST_SKIP() << "this machine does not let tests mount";
    EXPECT_EQ(status, 0);
  }

  TemporaryRoot root;
};

TEST_F(Root, AMissingParentIsNamed) {
  EXPECT_TRUE(says(failure_with_root(root.path() + "/a/b"), Errc::not_found,
                   {"the root " + root.path() + "/a/b", "no directory " + root.path() + "/a;",
                    "mkdir -p", "SLUICE_ROOT"}));
}

TEST_F(Root, AFileInItsPlaceOrAboveItIsNamed) {
  const std::string file = root.path() + "/file";
  std::ofstream(file) << "no directory";
  EXPECT_TRUE(says(failure_with_root(file), Errc::corrupted, {file, "SLUICE_ROOT"}));
  EXPECT_TRUE(says(failure_with_root(file + "/root"), Errc::corrupted, {file, "SLUICE_ROOT"}));
}

TEST_F(Root, WithSlashesAtItsEndOrRelativeItIsTheSame) {
  EXPECT_TRUE(Node::create("test", {.root = root.path() + "/place//"}));
  EXPECT_TRUE(Node::create("test", {.root = root.path() + "/place"}));
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(root.path());
  EXPECT_TRUE(Node::create("test", {.root = "place"}));
  EXPECT_TRUE(Node::create("test", {.root = "other"}));
  EXPECT_TRUE(Node::create("test", {.root = "./other/"}));
  std::filesystem::current_path(before);
}

TEST_F(Root, BelowADirectoryOfAnotherUserItIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a directory away takes root";
  for (const mode_t mode : {0755U, 01777U}) {
    const std::string theirs = make_directory("theirs" + std::to_string(mode), mode, kStranger);
    std::filesystem::create_directory(theirs + "/deep");
    for (const char* place : {"/root", "/deep/root"}) {
      EXPECT_TRUE(says(failure_with_root(theirs + place), Errc::no_permission,
                       {theirs + place, "belongs to user 4711", "user 0", "SLUICE_ROOT"}));
    }
    // A link does not help.
    std::filesystem::create_directory(theirs + "/real");
    const std::string link = root.path() + "/link" + std::to_string(mode);
    std::filesystem::create_symlink(theirs + "/real", link);
    EXPECT_TRUE(says(failure_with_root(link), Errc::no_permission, {link, theirs}));
  }
}

TEST_F(Root, BelowADirectoryOfOnesOwnItIsNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user takes root";
  const std::string theirs = make_directory("theirs", 0755, kStranger);
  ChildProcess child([&](const ChildProcess::Line&) {
    if (::setgid(kStranger) != 0 || ::setuid(kStranger) != 0) return 1;
    if (::access(theirs.c_str(), W_OK) != 0) return kSkipped;
    return failure_with_root(theirs + "/root").code == Errc::ok ? 0 : 2;
  });
  const int status = child.wait();
  if (status == kSkipped) GTEST_SKIP() << "the directories above are closed to other users";
  EXPECT_EQ(status, 0);
}

TEST_F(Root, ThatNoInodeIsLeftIsSaid) {
  for (int inodes = 1; inodes < 16; ++inodes) {
    with_file_system("tmpfs", "nr_inodes=" + std::to_string(inodes), [&] {
      const auto node = Node::create("test");
      Failure failure;
      if (!node) {
        failure = node.failure();
      } else {
        const auto publisher = Publisher<int>::create(*node, "topic");
        if (publisher) return inodes > 8 ? 0 : 1;
        failure = publisher.failure();
      }
      const std::string all = "none free of " + std::to_string(inodes);
      return says(failure, Errc::no_memory, {"1 inode needed", all, "nr_inodes=", "SLUICE_ROOT"})
                 ? 0
                 : 2;
    });
    if (IsSkipped() || HasFailure()) return;
  }
}

TEST_F(Root, ThatNoMemoryIsLeftIsSaid) {
  with_file_system("tmpfs", "size=64k", [&] {
    const Node node("test");
    struct Large {
      char bytes[1 << 20];
    };
    const auto publisher = Publisher<Large>::create(node, "topic");
    return says(publisher.failure(), Errc::no_memory, {"bytes needed", "bytes free of 65536"}) ? 0
                                                                                               : 1;
  });
}

TEST_F(Root, AFileSystemThatReservesNothingIsNamed) {
  with_file_system("ramfs", "", [] {
    const Failure failure = Node::create("test").failure();
    return says(failure, Errc::system, {"cannot reserve", "ramfs", "tmpfs", "SLUICE_ROOT"}) ? 0 : 1;
  });
}

}  // namespace
}  // namespace sluice
