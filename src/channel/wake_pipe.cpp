// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/channel/wake_pipe.hpp>
#include <sluice/platform/process.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kPrefix = "waiter.";
constexpr int kAttempts = 100;

}  // namespace

bool is_wake_pipe(const std::string& file_name) noexcept { return file_name.starts_with(kPrefix); }

Result<WakePipe> WakePipe::create(const Directory& directory, mode_t mode) {
  WakePipe pipe;
  pipe.name_ = fmt::format("{}{:016x}", kPrefix, random_number());
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
    if (linked.error() != Errc::not_found || attempt == kAttempts) return linked.failure();
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

bool WakePipe::drain() noexcept {
  char bytes[256];
  bool any = false;
  for (ssize_t got = sizeof bytes; got == sizeof bytes; any |= got > 0) {
    got = ::read(file_.fd(), bytes, sizeof bytes);
  }
  return any;
}

void wake_pipes(const Directory& directory) noexcept {
  const auto names = list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (!is_wake_pipe(name)) continue;
    const File file(
        ::openat(directory.fd(), name.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    if (!file.is_open()) {
      if (errno == ENXIO) ::unlinkat(directory.fd(), name.c_str(), 0);
      continue;
    }
    struct stat status {};
    if (::fstat(file.fd(), &status) != 0 || !S_ISFIFO(status.st_mode)) continue;
    const char byte = 1;
    // A pipe that is full wakes its owner anyway.
    static_cast<void>(::write(file.fd(), &byte, 1) == 1);
  }
}

bool reap_wake_pipe(const Directory& directory, const std::string& name) noexcept {
  return is_dead_pipe(directory, name) && ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

}  // namespace sluice
