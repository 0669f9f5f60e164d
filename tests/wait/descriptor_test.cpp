// SPDX-License-Identifier: Apache-2.0
//
// fd(): a port in somebody else's event loop.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/sanitizers.hpp>
#include <support/system_calls.hpp>
#include <support/temporary_root.hpp>
#include <support/test_port.hpp>
#include <system_error>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

bool is_readable(int fd, std::chrono::milliseconds timeout = 0ms) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(timeout.count())) == 1 && (one.revents & POLLIN) != 0;
}

/// Once what made it readable is taken out. A slice can end in between, but not each time.
template <typename Take>
bool becomes_unreadable(int fd, Take&& take) {
  for (int i = 0; i < 100; ++i) {
    while (take()) continue;
    if (!is_readable(fd)) return true;
  }
  return false;
}

/// Waits until a traced child stops; false if it has ended.
bool at_next_stop(const ChildProcess& child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WSTOPPED | WNOWAIT) ==
             0 &&
         (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED);
}

/// An event loop that somebody else wrote.
class Loop {
 public:
  Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~Loop() { ::close(epoll_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool add(int fd, std::uint32_t events = EPOLLIN) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }
  /// The descriptor that can be read; -1 after `timeout`.
  int next(std::chrono::milliseconds timeout = 10s) {
    epoll_event event{};
    ++returns_;
    return ::epoll_wait(epoll_, &event, 1, static_cast<int>(timeout.count())) == 1 ? event.data.fd
                                                                                   : -1;
  }
  /// How often it was woken.
  [[nodiscard]] std::uint64_t returns() const { return returns_; }

 private:
  int epoll_;
  std::uint64_t returns_ = 0;
};

struct Descriptors : testing::Test {
  ~Descriptors() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(Descriptors, OneIsReadableAsLongAsThereIsSomething) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  const int fd = subscriber.fd();
  ASSERT_GE(fd, 0);
  const auto take = [&] { return bool(subscriber.receive()); };
  EXPECT_TRUE(becomes_unreadable(fd, take));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_readable(fd));
    EXPECT_EQ(*subscriber.receive(), i);
  }
  EXPECT_TRUE(becomes_unreadable(fd, take));
  ASSERT_TRUE(publisher.publish(3));
  EXPECT_TRUE(is_readable(fd));
  EXPECT_EQ(*subscriber.latest(), 3);
  EXPECT_TRUE(becomes_unreadable(fd, [&] { return bool(subscriber.latest()); }));
}

TEST_F(Descriptors, OneIsReadableForWhatWasThereBefore) {
  Publisher<int> publisher(*node, "numbers", {.history = 1});
  ASSERT_TRUE(publisher.publish(1));
  Subscriber<int> subscriber(*node, "numbers");
  EXPECT_TRUE(is_readable(subscriber.fd()));
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST_F(Descriptors, OneIsTheSameUntilItsPortIsGone) {
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  const auto files = root.files();
  const int fd = subscriber->fd();
  EXPECT_EQ(subscriber->fd(), fd);
  EXPECT_EQ(root.files().size(), files.size() + 1) << "its pipe";
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  std::optional<Subscriber<int>> heir(std::move(*subscriber));
  EXPECT_EQ(heir->fd(), fd);
  heir.reset();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Descriptors, OneIsClosedWithItsPortEvenIfSamplesAreHeld) {
  Publisher<int> publisher(*node, "numbers");
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  const int fd = subscriber->fd();
  ASSERT_TRUE(publisher.publish(1));
  const auto sample = subscriber->receive();
  subscriber.reset();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(*sample, 1);
}

TEST_F(Descriptors, SeveralOfOneServiceAreAllReadable) {
  Publisher<int> publisher(*node, "numbers");
  std::vector<std::unique_ptr<Subscriber<int>>> subscribers;
  for (int i = 0; i < 5; ++i) {
    subscribers.push_back(std::make_unique<Subscriber<int>>(*node, "numbers"));
    EXPECT_GE(subscribers.back()->fd(), 0);
  }
  for (auto& subscriber : subscribers) {
    EXPECT_TRUE(becomes_unreadable(subscriber->fd(), [&] { return bool(subscriber->receive()); }));
  }
  ASSERT_TRUE(publisher.publish(1));
  for (auto& subscriber : subscribers) EXPECT_TRUE(is_readable(subscriber->fd()));
}

TEST_F(Descriptors, WaitAndAWaitSetGoTogetherWithIt) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  const int fd = subscriber.fd();
  WaitSet set;
  set.attach(subscriber, [&] { EXPECT_EQ(*subscriber.receive(), 1); });
  EXPECT_EQ(subscriber.wait(1ms).error(), Errc::timed_out);
  EXPECT_EQ(set.wait(1ms), 0U);
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_TRUE(is_readable(fd));
  EXPECT_EQ(set.wait(10s), 1U);
  EXPECT_TRUE(becomes_unreadable(fd, [&] { return bool(subscriber.receive()); }));
  ASSERT_TRUE(publisher.publish(2));
  EXPECT_EQ(*subscriber.wait(10s), 2);
}

// The publisher waits for the subscriber and the other way round, so both sleep again and again.
void loop_over_samples_of_another_process(std::uint32_t epoll_events) {
  constexpr std::uint64_t kSamples = 50'000;
  TemporaryRoot root;
  {
    const Node node("test");
    Subscriber<std::uint64_t> subscriber(node, "numbers");
    ChildProcess child([](const ChildProcess::Line&) {
      const Node own("child");
      Publisher<std::uint64_t> publisher(own, "numbers",
                                         {.depth = 4, .delivery = Delivery::lossless});
      for (std::uint64_t i = 0; i < kSamples; ++i) {
        auto loan = publisher.loan_for(10s);
        if (!loan) return 1;
        *loan = i;
        publisher.publish(std::move(loan));
      }
      return 0;
    });
    Loop loop;
    ASSERT_TRUE(loop.add(subscriber.fd(), epoll_events));
    const auto begin = Clock::now();
    std::uint64_t next = 0;
    std::uint64_t in_vain = 0;
    while (next < kSamples) {
      ASSERT_EQ(loop.next(), subscriber.fd()) << "asleep for 10 s";
      const std::uint64_t before = next;
      while (auto sample = subscriber.receive()) ASSERT_EQ(*sample, next++);
      in_vain += next == before ? 1 : 0;
    }
    const auto slices = static_cast<std::uint64_t>((Clock::now() - begin) / kLongestSleep);
    // Those who come and go wake everybody, and a slice ends.
    EXPECT_LE(in_vain, kSamples / 100 + slices + 10) << "of " << loop.returns();
    EXPECT_EQ(child.wait(), 0);
    EXPECT_EQ(subscriber.lost(), 0U);
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(Descriptor, AnEventLoopMissesNothingAndDoesNotSpin) {
  loop_over_samples_of_another_process(EPOLLIN);
}

TEST(Descriptor, AnEdgeTriggeredLoopMissesNothing) {
  loop_over_samples_of_another_process(EPOLLIN | EPOLLET);
}

// One that takes a single sample each time it is told.
TEST_F(Descriptors, AnEventLoopMayTakeOneSampleAtATime) {
  Publisher<int> publisher(*node, "numbers", {.depth = 64});
  Subscriber<int> subscriber(*node, "numbers");
  Loop loop;
  ASSERT_TRUE(loop.add(subscriber.fd()));
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(publisher.publish(i));
  for (int next = 0; next < 64;) {
    ASSERT_EQ(loop.next(), subscriber.fd());
    const auto sample = subscriber.receive();
    EXPECT_TRUE(!sample || *sample == next);
    next += sample ? 1 : 0;
  }
}

TEST_F(Descriptors, AnIdleEventLoopIsWokenTenTimesASecond) {
  Publisher<int> publisher(*node, "numbers");
  Subscriber<int> subscriber(*node, "numbers");
  Loop loop;
  ASSERT_TRUE(loop.add(subscriber.fd()));
  const auto begin = Clock::now();
  while (Clock::now() - begin < 450ms) {
    ASSERT_EQ(loop.next(), subscriber.fd());
    EXPECT_FALSE(subscriber.receive());
  }
  EXPECT_GE(loop.returns(), 2U);
  EXPECT_LE(loop.returns(), static_cast<std::uint64_t>((Clock::now() - begin) / kLongestSleep) + 3);
}

TEST_F(Descriptors, APublisherKilledWithoutAWordIsNoticed) {
  Subscriber<int> subscriber(*node, "numbers");
  Loop loop;
  ASSERT_TRUE(loop.add(subscriber.fd()));
  const auto without = root.files();
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    const Publisher<int> publisher(own, "numbers");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(subscriber.publishers(), 1U);
  const std::size_t with = root.files().size();
  child.kill();
  while (root.files().size() == with) {
    ASSERT_EQ(loop.next(), subscriber.fd());
    EXPECT_FALSE(subscriber.receive());
  }
  EXPECT_EQ(subscriber.publishers(), 0U);
  node->reap();
  EXPECT_EQ(root.files(), without);
}

TEST_F(Descriptors, ReceivingMakesNoSystemCallAsLongAsThereIsSomething) {
  if (kSanitized) GTEST_SKIP() << "sanitizers make system calls of their own";
  ChildProcess child([](const ChildProcess::Line&) -> int {
    const Node own("child");
    Publisher<int> publisher(own, "numbers", {.depth = 64});
    Subscriber<int> subscriber(own, "numbers");
    if (subscriber.fd() < 0 || subscriber.receive()) leave(1);
    for (int i = 0; i < 64; ++i) {
      if (!publisher.publish(i)) leave(2);
    }
    forbid_system_calls();
    for (int i = 0; i < 64; ++i) {
      if (*subscriber.receive() != i) leave(3);
    }
    // Nor does publishing, until the subscriber has found nothing.
    for (int i = 0; i < 64; ++i) {
      if (!publisher.publish(i) || *subscriber.receive() != i) leave(4);
    }
    leave(0);
  });
  EXPECT_EQ(child.wait(), 0);
  node->reap();  // it went without farewell
}

// The subscriber is stopped at each system call of a receive that finds nothing, and something
// comes: it is received, or the descriptor tells.
TEST_F(Descriptors, WhatComesWhileReceiveFindsNothingIsNotLost) {
  Publisher<int> publisher(*node, "numbers");
  int stops = 0;
  for (int point = 1; point == 1 || stops >= point - 1; ++point) {
    SCOPED_TRACE("at stop " + std::to_string(point));
    ChildProcess child([](const ChildProcess::Line& line) {
      const Node own("child");
      Subscriber<int> subscriber(own, "numbers");
      const int fd = subscriber.fd();
      if (!becomes_unreadable(fd, [&] { return bool(subscriber.receive()); })) return 1;
      line.say();
      line.hear();
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 77;
      ::raise(SIGSTOP);
      const bool is_received = bool(subscriber.receive());
      ::raise(SIGSTOP);
      return is_received || is_readable(fd) ? 0 : 3;
    });
    ASSERT_TRUE(child.hear());
    (void)publisher.subscribers();  // it looks now, not at the stop
    child.say();
    stops = 0;
    int sigstops = 0;
    while (at_next_stop(child)) {
      siginfo_t info{};
      ASSERT_EQ(::ptrace(PTRACE_GETSIGINFO, child.pid(), nullptr, &info), 0);
      const bool is_call = info.si_signo == SIGTRAP;
      sigstops += is_call ? 0 : 1;
      if (is_call && sigstops == 1 && ++stops == point) {
        ASSERT_TRUE(publisher.publish(point));
      }
      ASSERT_EQ(::ptrace(PTRACE_SYSCALL, child.pid(), nullptr, nullptr), 0);
    }
    const int status = child.wait();
    if (status == 77) GTEST_SKIP() << "needs ptrace";
    EXPECT_TRUE(status == 0 || stops < point) << status;
  }
  EXPECT_GE(stops, 2) << "it looks at the descriptor";
}

TEST_F(Descriptors, AForkedChildHasNone) {
  Publisher<int> publisher(*node, "numbers");
  std::optional<Subscriber<int>> subscriber(std::in_place, *node, "numbers");
  std::optional<Subscriber<int>> without(std::in_place, *node, "numbers");
  const int fd = subscriber->fd();
  const auto files = root.files();
  ChildProcess child([&](const ChildProcess::Line&) {
    for (auto* port : {&subscriber, &without}) {
      if ((*port)->fd() != -1 || (*port)->last_failure().code != Errc::forked) return 1;
    }
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const auto leads_to = std::filesystem::read_symlink(entry, gone).string();
      if (leads_to.find("timerfd") != std::string::npos) return 2;
      if (leads_to.find("eventpoll") != std::string::npos) return 2;
      if (leads_to.find("/waiter.") != std::string::npos) return 2;
    }
    const Node own("child");
    Subscriber<int> another(own, "numbers");
    if (another.fd() < 0) return 3;
    subscriber.reset();
    without.reset();
    return ::fcntl(another.fd(), F_GETFD) == -1 ? 4 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(root.files(), files);
  EXPECT_TRUE(becomes_unreadable(fd, [&] { return bool(subscriber->receive()); }));
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_TRUE(is_readable(fd));
}

TEST_F(Descriptors, WhyThereIsNoneIsTold) {
  if (kAddressSanitizer) GTEST_SKIP() << "the sanitizers need descriptors, too";
  ChildProcess child([](const ChildProcess::Line&) {
    const Node own("child");
    Publisher<int> publisher(own, "numbers");
    Subscriber<int> subscriber(own, "numbers");
    Listener listener(own, "door");
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const int next = ::dup(0);
    ::close(next);
    for (int more = 0; more < 3; ++more) {  // it takes three
      const rlimit few{.rlim_cur = static_cast<rlim_t>(next + more), .rlim_max = limit.rlim_max};
      if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
      if (subscriber.fd() != -1 || subscriber.last_failure().code != Errc::system) return 2;
      const std::string& message = subscriber.last_failure().message;
      if (message.find("'numbers'") == std::string::npos) return 3;
      if (message.find("ulimit -n") == std::string::npos) return 4;
      if (!publisher.publish(1) || !subscriber.receive()) return 5;
      if (listener.fd() != -1 || listener.last_failure().code != Errc::system) return 6;
      if (listener.receive() || listener.last_failure().code != Errc::ok) return 7;
    }
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return subscriber.fd() >= 0 && listener.fd() >= 0 ? 0 : 8;
  });
  EXPECT_EQ(child.wait(), 0);
}

// --- What a port does for it

TEST_F(Descriptors, TheDoorbellIsArmedBeforeTheLastLook) {
  TestPort port(root.path());
  const int fd = port.descriptor().value();
  const auto is_armed = [&] { return (port.doorbell().armed & Doorbell::kPipes) != 0; };
  EXPECT_TRUE(is_armed());
  port.make_ready();
  EXPECT_FALSE(is_armed());
  EXPECT_TRUE(is_readable(fd));
  EXPECT_TRUE(port.take());
  EXPECT_FALSE(is_armed()) << "not before it finds nothing";
  EXPECT_FALSE(port.take());
  EXPECT_TRUE(is_armed());
  EXPECT_EQ(port.settled, 1);
}

TEST_F(Descriptors, WhatComesWhileItIsMadeIsNotLost) {
  TestPort port(root.path());
  port.while_looked_at = [&] { port.make_ready(); };  // the answer was no
  EXPECT_TRUE(is_readable(port.descriptor().value()));
}

TEST_F(Descriptors, WithoutOneNothingIsArmed) {
  const auto files = root.files();
  TestPort port(root.path());
  EXPECT_FALSE(port.take());
  EXPECT_EQ(port.settled, 0);
  EXPECT_EQ(port.doorbell().armed, 0U);
  EXPECT_EQ(root.files(), files);
}

TEST_F(Descriptors, TheDeadAreLookedForAtTheEndOfASlice) {
  TestPort port(root.path());
  const int fd = port.descriptor().value();
  for (int slices = 1; slices <= 3; ++slices) {
    ASSERT_TRUE(is_readable(fd, 10s)) << "without a wake-up";
    EXPECT_FALSE(port.take());
    EXPECT_EQ(port.looks_for_peers, slices);
  }
}

}  // namespace
}  // namespace sluice
