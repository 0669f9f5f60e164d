// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <optional>
#include <sluice/platform/process.hpp>
#include <sluice/service/reaping.hpp>
#include <sluice/wait/wake_pipe.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using Names = std::vector<std::string>;

struct WakePipes : testing::Test {
  WakePipe make() { return WakePipe::create(directory, 0600).value(); }
  /// Where `name` leads to.
  [[nodiscard]] std::string path(const std::string& name) const { return directory.path_of(name); }

  static bool is_readable(const WakePipe& pipe) {
    pollfd one{.fd = pipe.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & POLLIN) != 0;
  }

  /// The name of a pipe whose owner was killed.
  std::string leave_dead_pipe() {
    ChildProcess owner([this](const ChildProcess::Line& line) {
      const WakePipe pipe = make();
      line.say();
      line.hear();
      return 0;
    });
    EXPECT_TRUE(owner.hear());
    const std::string name = root.files().back();
    owner.kill();
    EXPECT_EQ(root.files(), Names{name});
    return name;
  }

  TemporaryRoot root;
  Directory directory = open_directory_at_path(root.path()).value();
};

TEST_F(WakePipes, OneIsReadableAfterAWakeUpUntilItIsDrained) {
  WakePipe pipe = make();
  EXPECT_FALSE(is_readable(pipe));
  wake_pipes(directory);
  wake_pipes(directory);
  EXPECT_TRUE(is_readable(pipe));
  EXPECT_TRUE(pipe.drain());
  EXPECT_FALSE(is_readable(pipe));
  EXPECT_FALSE(pipe.drain());
}

TEST_F(WakePipes, EveryPipeOfTheDirectoryIsWoken) {
  std::vector<WakePipe> pipes;
  for (int i = 0; i < 20; ++i) pipes.push_back(make());
  wake_pipes(directory);
  for (WakePipe& pipe : pipes) EXPECT_TRUE(pipe.drain());
}

TEST_F(WakePipes, AnotherProcessIsWoken) {
  ChildProcess sleeper([this](const ChildProcess::Line& line) {
    WakePipe pipe = make();
    line.say();
    pollfd one{.fd = pipe.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&one, 1, 10'000) == 1 && pipe.drain() ? 0 : 1;
  });
  ASSERT_TRUE(sleeper.hear());
  wake_pipes(directory);
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST_F(WakePipes, OneHasTheModeAskedForWhateverTheUmask) {
  const mode_t before = ::umask(0077);
  const WakePipe pipe = WakePipe::create(directory, 0666).value();
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::fstat(pipe.fd(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666U);
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
}

TEST_F(WakePipes, OneGoesWithItsOwnerAndMovesWithIt) {
  std::optional<WakePipe> pipe(make());
  const auto files = root.files();
  ASSERT_EQ(files.size(), 1U);
  EXPECT_TRUE(is_wake_pipe(files.front()));
  std::optional<WakePipe> heir(std::move(*pipe));
  pipe.reset();
  EXPECT_EQ(root.files(), files);
  wake_pipes(directory);
  EXPECT_TRUE(heir->drain());
  heir.reset();
  EXPECT_TRUE(root.empty());
}

TEST_F(WakePipes, ThatOfADeadOwnerIsRemovedByAWaker) {
  WakePipe living = make();
  const auto files = root.files();
  ChildProcess owner([this](const ChildProcess::Line& line) {
    const WakePipe pipe = make();
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(owner.hear());
  EXPECT_EQ(root.files().size(), 2U);
  owner.kill();
  wake_pipes(directory);
  EXPECT_EQ(root.files(), files);
  EXPECT_TRUE(living.drain());
}

TEST_F(WakePipes, ThatOfADeadOwnerIsRemovedByAReaper) {
  const std::string name = leave_dead_pipe();
  EXPECT_TRUE(reap_port(directory, name));
  EXPECT_FALSE(reap_port(directory, name));
  EXPECT_TRUE(root.empty());
  (void)leave_dead_pipe();
  EXPECT_EQ(reap_files(directory), 1U);
  EXPECT_TRUE(root.empty());
}

TEST_F(WakePipes, ThatOfALivingOwnerIsNotReaped) {
  const WakePipe pipe = make();
  const auto files = root.files();
  EXPECT_FALSE(remove_dead_pipe(directory, files.front()));
  EXPECT_EQ(reap_files(directory), 0U);
  EXPECT_EQ(root.files(), files);
}

TEST_F(WakePipes, OneThatNeverGotItsNameIsRemoved) {
  ASSERT_EQ(::mkfifo(path(".new.0123456789abcdef").c_str(), 0600), 0);
  (void)reap_files(directory);
  EXPECT_TRUE(root.empty());
}

TEST_F(WakePipes, AFullOneStopsNobody) {
  WakePipe pipe = make();
  const std::vector<char> bytes(4096, 'x');
  while (::write(pipe.fd(), bytes.data(), bytes.size()) > 0) continue;
  while (::write(pipe.fd(), bytes.data(), 1) > 0) continue;
  ASSERT_EQ(errno, EAGAIN);
  WakePipe other = make();
  wake_pipes(directory);
  EXPECT_TRUE(is_readable(pipe));
  EXPECT_TRUE(other.drain());
  while (pipe.drain()) continue;
  EXPECT_FALSE(is_readable(pipe));
}

TEST_F(WakePipes, OnesOwnRingMakesItReadable) {
  WakePipe pipe = make();
  pipe.ring();
  EXPECT_TRUE(pipe.drain());
}

// Whoever may write in the directory may put anything there under such a name.
TEST_F(WakePipes, FilesOfAnotherKindAreNeitherWrittenNorFollowedNorInTheWay) {
  const std::string regular = path("waiter.0000000000000001");
  const std::string target = path("somebodys_file");
  for (const std::string& file : {regular, target}) {
    const int fd = ::open(file.c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(::write(fd, "mine", 4), 4);
    ::close(fd);
  }
  ASSERT_EQ(::symlink(target.c_str(), path("waiter.0000000000000002").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", path("waiter.0000000000000003").c_str()), 0);
  ASSERT_EQ(::mkdir(path("waiter.0000000000000004").c_str(), 0700), 0);
  const std::string link_to_pipe = path("waiter.0000000000000005");
  ASSERT_EQ(::mkfifo(path("a_pipe_elsewhere").c_str(), 0600), 0);
  ASSERT_EQ(::symlink(path("a_pipe_elsewhere").c_str(), link_to_pipe.c_str()), 0);
  const auto entries = root.entries();
  {
    WakePipe pipe = make();
    wake_pipes(directory);
    EXPECT_TRUE(pipe.drain());
    (void)remove_dead_pipe(directory, "waiter.0000000000000001");
    (void)remove_dead_pipe(directory, "waiter.0000000000000002");
    (void)remove_dead_pipe(directory, "waiter.0000000000000004");
    (void)remove_dead_pipe(directory, "waiter.0000000000000005");
  }
  EXPECT_EQ(root.entries(), entries);
  for (const std::string& file : {regular, target}) {
    std::ifstream content(file);
    std::string text;
    EXPECT_TRUE(std::getline(content, text));
    EXPECT_EQ(text, "mine") << file;
  }
}

TEST_F(WakePipes, AForkedChildDoesNotKeepThatOfItsParent) {
  watch_forks();
  std::optional<WakePipe> pipe(make());
  const std::string name = root.files().front();
  const auto stay = [](const ChildProcess::Line& line) {
    line.say();
    line.hear();
    return 0;
  };
  ChildProcess child(stay);
  ChildProcess tidy_child([&](const ChildProcess::Line& line) {
    pipe.reset();
    return stay(line);
  });
  ASSERT_TRUE(child.hear() && tidy_child.hear());
  EXPECT_EQ(root.files(), Names{name}) << "removed by the child";
  EXPECT_FALSE(remove_dead_pipe(directory, name));
  wake_pipes(directory);
  EXPECT_TRUE(pipe->drain());
  // As if the parent were killed: its pipe is no longer open for reading anywhere.
  const std::string copy = path("waiter.00000000000000ff");
  ASSERT_EQ(::link(path(name).c_str(), copy.c_str()), 0);
  pipe.reset();
  EXPECT_TRUE(remove_dead_pipe(directory, "waiter.00000000000000ff"));
  EXPECT_TRUE(root.empty());
}

// The owner dies at each moment of a wake-up: no SIGPIPE, nothing left.
TEST_F(WakePipes, AnOwnerKilledWhileItIsWokenHarmsNobody) {
  int stops = 0;
  bool was_last = false;
  for (int point = 1; !was_last && !HasFailure(); ++point) {
    SCOPED_TRACE("killed at stop " + std::to_string(point));
    ChildProcess owner([this](const ChildProcess::Line& line) {
      const WakePipe pipe = make();
      line.say();
      line.hear();
      return 0;
    });
    ASSERT_TRUE(owner.hear());
    ChildProcess waker([this](const ChildProcess::Line& line) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 77;
      line.say();
      ::raise(SIGSTOP);
      wake_pipes(directory);
      return 0;
    });
    ASSERT_TRUE(waker.hear());
    for (stops = 0;; ++stops) {
      siginfo_t info{};
      ASSERT_EQ(
          ::waitid(P_PID, static_cast<id_t>(waker.pid()), &info, WEXITED | WSTOPPED | WNOWAIT), 0);
      if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) break;
      if (stops == point) owner.kill();
      const bool is_its_own = info.si_status != SIGTRAP && info.si_status != SIGSTOP;
      ASSERT_EQ(::ptrace(PTRACE_SYSCALL, waker.pid(), nullptr,
                         static_cast<long>(is_its_own ? info.si_status : 0)),
                0);
    }
    const int status = waker.wait();
    if (status == 77) GTEST_SKIP() << "needs ptrace";
    EXPECT_EQ(status, 0);
    was_last = stops <= point;
    if (was_last) owner.kill();
    wake_pipes(directory);
    EXPECT_TRUE(root.empty());
  }
  EXPECT_GT(stops, 20);
}

}  // namespace
}  // namespace sluice
