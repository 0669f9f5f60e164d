// SPDX-License-Identifier: Apache-2.0
//
// Kills a process at every point of something that it does: at each write to shared memory, or at
// each system call, before and after it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <crash/write_trap.hpp>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <support/child_process.hpp>

namespace sluice {

enum class At : std::uint8_t { write, system_call };

inline void PrintTo(At at, std::ostream* out) {
  *out << (at == At::write ? "write" : "system call");
}

/// The names of test parameters.
inline std::string name_of(const testing::TestParamInfo<At>& info) {
  return info.param == At::write ? "Write" : "SystemCall";
}

/// The process that will be killed, as it sees itself.
class Victim {
 public:
  Victim(At at, std::uint64_t point, WriteTrap::Trail& trail, bool talks,
         const ChildProcess::Line& line)
      : at_(at), point_(point), trail_(trail), talks_(talks), line_(line) {}

  /// Tells the parent that it is in position, waits for it, and does `step`, during which it is
  /// killed at the chosen point. If it comes out alive it is gone without any farewell.
  template <typename Step>
  [[noreturn]] void in_danger(Step&& step) const {
    line_.say();
    line_.hear();
    if (at_ == At::write) {
      WriteTrap::arm(talks_ ? 1 : point_, trail_, [this](std::uint64_t nth) {
        if (nth == point_) ::kill(::getpid(), SIGKILL);
        if (!talks_) return;
        line_.say(nth);
        line_.hear();
      });
    } else {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
      ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGSTOP);
    }
    step();
    ::_exit(0);
  }

  /// To the parent's `rehearsal`.
  [[nodiscard]] const ChildProcess::Line& line() const { return line_; }

  /// What must hold in the victim; where it does not, the test fails.
  static void require(bool holds) {
    if (!holds) ::_exit(2);
  }

 private:
  At at_;
  std::uint64_t point_;
  WriteTrap::Trail& trail_;
  bool talks_;
  const ChildProcess::Line& line_;
};

/// One death, told from both sides. The victim runs in a child of its own; the rest in this
/// process.
struct Plot {
  /// Prepares, and then calls `in_danger`.
  std::function<void(const Victim&)> victim;
  /// While the victim prepares, for what the two have to say to each other.
  std::function<void(const ChildProcess&)> rehearsal = {};
  /// While the victim is in position.
  std::function<void()> meanwhile = {};
  /// Whenever the victim stands before a write; not for system calls.
  std::function<void()> before_each_write = {};
  /// When it is dead.
  std::function<void()> afterwards = {};
};

/// Why the points cannot be found on this machine; empty where they can.
inline std::string obstacle(At at) {
  if (at == At::write) {
    return WriteTrap::kWorksHere ? "" : "needs x86-64 to stop at writes";
  }
  static const bool can_trace = [] {
    ChildProcess child([](const ChildProcess::Line&) {
      return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1;
    });
    return child.wait() == 0;
  }();
  return can_trace ? "" : "ptrace is not permitted";
}

/// Lets `child` run to the `point`-th stop at a system call, and kills it there.
inline void kill_at_system_call(ChildProcess& child, std::uint64_t point) {
  constexpr int kSystemCall = SIGTRAP | 0x80;
  std::uint64_t stops = 0;
  bool has_options = false;
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WSTOPPED | WNOWAIT) != 0 ||
        info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED) {
      return;
    }
    if (!has_options) {
      ::ptrace(PTRACE_SETOPTIONS, child.pid(), nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
      has_options = true;
    }
    const bool is_call = info.si_status == kSystemCall;
    if (is_call && ++stops == point) {
      ::kill(child.pid(), SIGKILL);
      return;
    }
    const long signal = is_call || info.si_status == SIGSTOP ? 0 : info.si_status;
    ::ptrace(PTRACE_SYSCALL, child.pid(), nullptr, signal);
  }
}

/// Plays `plot` again and again, with the victim killed at the first point, at the second, … until
/// it comes out alive. Returns the number of points. Stops at the first that makes the test fail.
inline std::uint64_t kill_at_every(At at, const Plot& plot) {
  WriteTrap::Trail trail;
  for (std::uint64_t point = 1;; ++point) {
    SCOPED_TRACE(std::string("killed at ") + (at == At::write ? "write " : "system call stop ") +
                 std::to_string(point));
    const bool talks = at == At::write && bool(plot.before_each_write);
    ChildProcess child([&](const ChildProcess::Line& line) {
      WriteTrap::forget_mappings();
      plot.victim(Victim(at, point, trail, talks, line));
      return 3;
    });
    if (plot.rehearsal) plot.rehearsal(child);
    EXPECT_TRUE(child.hear()) << "the victim did not get into position";
    if (plot.meanwhile) plot.meanwhile();
    child.say();
    if (at == At::system_call) kill_at_system_call(child, point);
    while (talks && child.hear()) {
      plot.before_each_write();
      child.say();
    }
    const int status = child.wait();
    EXPECT_TRUE(status == 0 || status == 128 + SIGKILL) << status;
    if (plot.afterwards) plot.afterwards();
    if (status == 0 || testing::Test::HasFailure()) {
      testing::Test::RecordProperty("kill_points", std::to_string(point - 1));
      return point - 1;
    }
  }
}

}  // namespace sluice
