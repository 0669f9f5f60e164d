// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/core/format.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/wait/wake_pipe.hpp>

namespace sluice {
namespace {

constexpr const char* kPrefix = "waiter.";
constexpr int kMaxReads = 16;  // as much as a pipe holds by default

/// A pipe that is full is readable anyway.
void write_byte(int pipe) noexcept {
  const char byte = 1;
  static_cast<void>(::write(pipe, &byte, 1) == 1);
}

bool is_pipe(const File& file) noexcept {
  struct stat status {};
  return ::fstat(file.fd(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

bool is_wake_pipe(const std::string& file_name) noexcept { return file_name.starts_with(kPrefix); }

Result<WakePipe> WakePipe::create(const Directory& directory, mode_t mode) {
  const std::string name = format("{}{:016x}", kPrefix, random_number());
  WakePipe pipe;
  // Not found: a reaper may have found it before it was open, and taken it for a dead one's.
  const auto linked = while_not_found([&]() -> Result<void> {
    auto made = NewFile::create_pipe(directory, mode);
    if (!made) return made.failure();
    pipe.file_ = std::move(*made);
    return pipe.file_.link(directory, name, false);
  });
  if (!linked) return linked.failure();
  pipe.file_.file().close_in_forked_child();
  return pipe;
}

void WakePipe::ring() noexcept { write_byte(fd()); }

bool WakePipe::drain() noexcept {
  char bytes[4096];
  bool any = false;
  // Bounded, whoever keeps writing: what is left wakes its owner once more.
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t got = ::read(fd(), bytes, sizeof bytes);
    any |= got > 0;
    if (got != sizeof bytes) break;
  }
  return any;
}

void wake_pipes(const Directory& directory) noexcept {
  const auto names = list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!is_wake_pipe(name) || remove_dead_pipe(directory, name)) continue;
    // Open for reading too: if the owner is killed now, the write is not answered with SIGPIPE.
    const File pipe = File::closed_in_forked_child([&] {
      return ::openat(directory.fd(), name.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    });
    if (pipe.is_open() && is_pipe(pipe)) write_byte(pipe.fd());
  }
}

}  // namespace sluice
