// SPDX-License-Identifier: Apache-2.0
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <sluice/platform/clock.hpp>
#include <sluice/wait/doorbell.hpp>
#include <sluice/wait/poll_descriptor.hpp>

namespace sluice {
namespace {

enum : std::uint64_t { kSource, kTimer };

}  // namespace

Result<PollDescriptor> PollDescriptor::create(const Directory& pipes, mode_t mode) {
  auto pipe = WakePipe::create(pipes, mode);
  if (!pipe) return pipe.failure();
  auto descriptor = create(pipe->fd());
  if (descriptor) descriptor->pipe_ = std::move(*pipe);
  return descriptor;
}

Result<PollDescriptor> PollDescriptor::create(int source) {
  PollDescriptor descriptor;
  File& timer = descriptor.timer_;
  timer = File(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  const timespec slice = to_timespec(kLongestSleep);
  const itimerspec periodic{.it_interval = slice, .it_value = slice};
  if (!timer.is_open() || ::timerfd_settime(timer.fd(), 0, &periodic, nullptr) != 0) {
    return system_failure("make", "a timer", errno);
  }
  timer.close_in_forked_child();
  auto poller = Poller::create();
  if (!poller) return poller.failure();
  descriptor.poller_ = std::move(*poller);
  auto added = descriptor.poller_.add(timer.fd(), EPOLLIN, kTimer);
  if (added && source >= 0) added = descriptor.poller_.add(source, EPOLLIN, kSource);
  if (!added) return added.failure();
  return descriptor;
}

bool PollDescriptor::clear() noexcept {
  bool is_time = false;
  for (const epoll_event& event : poller_.wait({})) {
    if (event.data.u64 == kSource) {
      pipe_.drain();
    } else {
      std::uint64_t expirations = 0;
      is_time = ::read(timer_.fd(), &expirations, sizeof expirations) == sizeof expirations;
    }
  }
  return is_time;
}

}  // namespace sluice
