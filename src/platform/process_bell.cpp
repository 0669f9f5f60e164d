// SPDX-License-Identifier: Apache-2.0
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <sluice/platform/file.hpp>
#include <sluice/platform/futex.hpp>
#include <sluice/platform/process_bell.hpp>

namespace sluice {
namespace {

// Both are initialised before the program runs, and have no destructor.
std::atomic<std::uint32_t> word{0};
std::atomic<int> event_fd{-1};  // -1: nobody has slept on descriptors yet

}  // namespace

const std::atomic<std::uint32_t>& process_bell() noexcept { return word; }

Result<int> process_bell_fd() {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  // relaxed, here and below: the number is all there is to it.
  int fd = event_fd.load(std::memory_order_relaxed);
  if (fd < 0) {
    // A forked child keeps it: the handler that it inherits must not write into another file.
    fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return system_failure("make", "an eventfd", errno);
    event_fd.store(fd, std::memory_order_relaxed);
  }
  return fd;
}

void ring_process_bell() noexcept {
  const int error_before = errno;
  // release: pairs with the acquire of whoever reads the word and then looks.
  word.fetch_add(1, std::memory_order_release);
  futex_wake_all(word);
  const int fd = event_fd.load(std::memory_order_relaxed);
  const std::uint64_t one = 1;
  if (fd >= 0) static_cast<void>(::write(fd, &one, sizeof one) == sizeof one);
  errno = error_before;
}

}  // namespace sluice
