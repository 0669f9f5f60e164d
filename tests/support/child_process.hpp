// SPDX-License-Identifier: Apache-2.0
//
// A forked child for tests of several processes. It runs a function and exits with its result; what
// it has to tell goes through a pipe, so that nobody sleeps until something has probably happened.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace sluice {

class ChildProcess {
 public:
  /// The child's end: `say` what the parent may `hear`, and `hear` what it says.
  class Line {
   public:
    Line(int in, int out) : in_(in), out_(out) {}
    void say(std::uint64_t word = 0) const {
      if (::write(out_, &word, sizeof word) != sizeof word) std::perror("say");
    }
    /// The next word; false where the other side is gone.
    bool hear(std::uint64_t* word = nullptr) const {
      std::uint64_t heard = 0;
      if (::read(in_, &heard, sizeof heard) != sizeof heard) return false;
      if (word != nullptr) *word = heard;
      return true;
    }
    void hang_up() {
      ::close(in_);
      ::close(out_);
    }

   private:
    int in_;
    int out_;
  };

  /// Runs `body(line)`, which returns the exit status, in a child that dies with this process.
  template <typename Body>
  explicit ChildProcess(Body&& body) {
    int down[2];
    int up[2];
    if (::pipe(down) != 0 || ::pipe(up) != 0) std::abort();
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::close(down[1]);
      ::close(up[0]);
      const Line line(down[0], up[1]);
      const int status = [&]() noexcept { return body(line); }();
      std::fflush(nullptr);
      ::_exit(status);
    }
    ::close(down[0]);
    ::close(up[1]);
    line_ = Line(up[0], down[1]);
  }
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), line_(std::exchange(other.line_, Line(-1, -1))) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess() {
    if (pid_ > 0) kill();
    line_.hang_up();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const Line& line() const { return line_; }
  bool hear(std::uint64_t* word = nullptr) const { return line_.hear(word); }
  void say(std::uint64_t word = 0) const { line_.say(word); }

  /// Waits until it is gone; its exit status, or 128 + the signal that killed it.
  int wait() {
    int status = 0;
    if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  /// SIGKILL, and waits until it is gone.
  void kill() {
    ::kill(pid_, SIGKILL);
    (void)wait();
  }

 private:
  pid_t pid_ = -1;
  Line line_{-1, -1};
};

}  // namespace sluice
