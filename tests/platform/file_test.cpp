// SPDX-License-Identifier: Apache-2.0
//
// Files that are complete when seen, also where the file system cannot make unnamed ones.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sluice/platform/lock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/system_calls.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

/// From here on the kernel knows no O_TMPFILE.
bool forget_unnamed_files() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter_system_calls(filter);
}

TEST(File, ANewFileIsSeenWhenItIsLinkedAndNotBefore) {
  TemporaryRoot root;
  const auto directory = open_directory_at_path(root.path());
  ASSERT_TRUE(directory);
  auto file = NewFile::create(*directory, 0640);
  ASSERT_TRUE(file);
  EXPECT_TRUE(root.empty());
  EXPECT_TRUE(file->exists(*directory));
  ASSERT_TRUE(file->link(*directory, "name"));
  EXPECT_EQ(root.files(), std::vector<std::string>{"name"});
  struct stat status {};
  ASSERT_EQ(::stat((root.path() + "/name").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U) << "whatever the umask says";

  auto second = NewFile::create(*directory, 0600);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->link(*directory, "name").error(), Errc::already_exists);
}

TEST(File, WithoutUnnamedFilesATemporaryNameDoesTheSame) {
  TemporaryRoot root;
  ChildProcess child([&](const ChildProcess::Line&) {
    if (!forget_unnamed_files()) return 100;
    {
      const auto directory = open_directory_at_path(root.path());
      auto file = NewFile::create(*directory, 0600);
      if (!file || root.files().size() != 1 || !root.files()[0].starts_with('.')) return 1;
      if (!list(*directory)->empty()) return 2;  // nobody looks at such names
      if (!file->link(*directory, "name")) return 3;
      if (root.files() != std::vector<std::string>{"name"}) return 4;
      auto other = NewFile::create(*directory, 0600);
      if (other->link(*directory, "name").error() != Errc::already_exists) return 5;
    }
    if (root.files() != std::vector<std::string>{"name"}) return 6;
    ::unlink((root.path() + "/name").c_str());
    for (int i = 0; i < 20; ++i) {
      Node node("test");
      Publisher<int> publisher(node, "numbers");
      Subscriber<int> subscriber(node, "numbers");
      if (!publisher.publish(i) || *subscriber.receive() != i) return 7;
    }
    return root.entries().empty() ? 0 : 8;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST(File, TemporaryNamesOfTheDeadAreRemovedAndThoseOfTheLivingAreNot) {
  TemporaryRoot root;
  std::optional<Node> node(std::in_place, "test");
  Publisher<int> publisher(*node, "numbers");
  std::string directory;
  for (const std::string& file : root.files()) {
    if (file.ends_with("/board")) directory = root.path() + "/" + file.substr(0, file.size() - 5);
  }
  const std::string dead = directory + ".new.0123456789abcdef";
  const std::string alive = directory + ".new.fedcba9876543210";
  std::ofstream(dead) << "x";
  std::ofstream(alive) << "x";
  File maker(::open(alive.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(try_lock(maker, LockKind::exclusive).value());
  node->reap();
  EXPECT_NE(::access(dead.c_str(), F_OK), 0);
  EXPECT_EQ(::access(alive.c_str(), F_OK), 0);
}

TEST(File, MemoryIsReservedBeforeAFileIsThatLong) {
  TemporaryRoot root;
  const auto directory = open_directory_at_path(root.path());
  auto file = NewFile::create(*directory, 0600);
  ASSERT_TRUE(file);
  ASSERT_TRUE(reserve(file->file(), 0, 10'000, "test"));
  auto status = status_of(file->file(), "test");
  EXPECT_EQ(status->bytes, 10'000U);
  const auto refused = reserve(file->file(), 10'000, std::uint64_t{1} << 50, "test");
  EXPECT_FALSE(refused);
  EXPECT_FALSE(refused.failure().message.empty());
  status = status_of(file->file(), "test");
  EXPECT_EQ(status->bytes, 10'000U) << "as before";
}

TEST(Lock, IsSeenThroughAnotherDescriptionAndGoneWithTheLast) {
  TemporaryRoot root;
  const std::string path = root.path() + "/file";
  std::ofstream(path) << "x";
  const File looker(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(is_locked(looker));
  {
    File first(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(try_lock(first, LockKind::shared).value());
    EXPECT_TRUE(is_locked(looker));
    File second(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(try_lock(second, LockKind::shared).value());
    EXPECT_FALSE(try_lock(second, LockKind::exclusive).value());
    unlock(second);
    EXPECT_TRUE(try_lock(first, LockKind::exclusive).value());
    EXPECT_FALSE(try_lock(second, LockKind::shared).value());
  }
  EXPECT_FALSE(is_locked(looker));
}

TEST(File, ALimitOnTheSizeOfFilesIsAnErrorAndNoSignal) {
  TemporaryRoot root;
  ChildProcess child([](const ChildProcess::Line&) {
    const rlimit limit{.rlim_cur = 4096, .rlim_max = 4096};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    Node node("limited");
    const auto publisher = Publisher<int>::create(node, "topic");
    if (publisher.error() != Errc::no_memory) return 2;
    return publisher.failure().message.find("RLIMIT_FSIZE") == std::string::npos ? 3 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
}

/// From here on the kernel gives no random numbers.
bool forbid_random_numbers() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter_system_calls(filter);
}

TEST(Process, WhereRandomNumbersAreForbiddenPortsStillDiffer) {
  TemporaryRoot root;
  ChildProcess child([](const ChildProcess::Line&) {
    if (!forbid_random_numbers()) return 1;
    Node node("sandboxed");
    Publisher<int> one(node, "topic");
    Publisher<int> other(node, "topic");
    Subscriber<int> subscriber(node, "topic");
    one.publish(1);
    return one.id() != 0 && one.id() != other.id() && subscriber.receive() ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST(DescriptorLimit, TheSoftOneIsRaisedToTheHardOne) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit low { .rlim_cur = 64, .rlim_max = before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto raised = raise_descriptor_limit();
  struct rlimit after {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(raised);
  EXPECT_EQ(*raised, before.rlim_max);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
}

}  // namespace
}  // namespace sluice
