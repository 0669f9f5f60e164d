// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/core/format.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/wait/wake_pipe.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kPrefix = "waiter.";
constexpr int kMaxReads = 16;  // as much as a pipe holds by default

/// A pipe that is full is readable anyway.
void write_byte(const File& pipe) noexcept {
  const char byte = 1;
  static_cast<void>(::write(pipe.fd(), &byte, 1) == 1);
}

File open_pipe(const Directory& directory, const std::string& name, int access) noexcept {
  return File(::openat(directory.fd(), name.c_str(), access | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
}

bool is_pipe(const File& file) noexcept {
  struct stat status {};
  return ::fstat(file.fd(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

bool is_wake_pipe(const std::string& file_name) noexcept { return file_name.starts_with(kPrefix); }

Result<WakePipe> WakePipe::create(const Directory& directory, mode_t mode) {
  WakePipe pipe;
  pipe.name_ = format("{}{:016x}", kPrefix, random_number());
  for (int attempt = 1;; ++attempt) {
    auto file = new_pipe(directory, mode);
    auto linked = file ? file->link(directory, pipe.name_) : Result<void>(file.failure());
    if (linked) {
      pipe.directory_ = &directory;
      pipe.file_ = file->take();
      pipe.file_.close_in_forked_child();
      return pipe;
    }
    // A reaper may have found it before it was open, and taken it for a dead one's.
    if (linked.error() != Errc::not_found || attempt == kMaxAttempts) return linked.failure();
  }
}

WakePipe::WakePipe(WakePipe&& other) noexcept
    : file_(std::move(other.file_)),
      directory_(std::exchange(other.directory_, nullptr)),
      name_(std::move(other.name_)) {}

WakePipe& WakePipe::operator=(WakePipe&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(directory_, other.directory_);
  std::swap(name_, other.name_);
  return *this;
}

WakePipe::~WakePipe() {
  if (directory_ != nullptr && !file_.is_inherited()) {
    ::unlinkat(directory_->fd(), name_.c_str(), 0);
  }
}

void WakePipe::ring() noexcept { write_byte(file_); }

bool WakePipe::drain() noexcept {
  char bytes[4096];
  bool any = false;
  // Bounded, whoever keeps writing: what is left wakes its owner once more.
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t got = ::read(file_.fd(), bytes, sizeof bytes);
    any |= got > 0;
    if (got != sizeof bytes) break;
  }
  return any;
}

void wake_pipes(const Directory& directory) noexcept {
  const auto names = list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!is_wake_pipe(name)) continue;
    const File writer = open_pipe(directory, name, O_WRONLY);
    if (!writer.is_open()) {
      if (errno == ENXIO) ::unlinkat(directory.fd(), name.c_str(), 0);
      continue;
    }
    // Open for reading too: if the owner is killed now, the write is not answered with SIGPIPE.
    const File pipe = open_pipe(directory, name, O_RDWR);
    if (pipe.is_open() && is_pipe(pipe)) write_byte(pipe);
  }
}

bool reap_wake_pipe(const Directory& directory, const std::string& name) noexcept {
  return is_dead_pipe(directory, name) && ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

}  // namespace sluice
