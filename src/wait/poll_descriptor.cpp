// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sluice/wait/doorbell.hpp>
#include <sluice/wait/poll_descriptor.hpp>
#include <utility>

namespace sluice {
namespace {

enum : std::uint64_t { kPipe, kTimer };

Result<File> make_timer() {
  File timer(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  const timespec slice{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kLongestSleep).count()};
  const itimerspec periodic{.it_interval = slice, .it_value = slice};
  if (!timer.is_open() || ::timerfd_settime(timer.fd(), 0, &periodic, nullptr) != 0) {
    return system_failure("make", "a timer", errno);
  }
  timer.close_in_forked_child();
  return timer;
}

}  // namespace

Result<PollDescriptor> PollDescriptor::create(const Directory& pipes, mode_t mode) {
  PollDescriptor descriptor;
  auto pipe = WakePipe::create(pipes, mode);
  if (!pipe) return pipe.failure();
  descriptor.pipe_ = std::move(*pipe);
  auto timer = make_timer();
  if (!timer) return timer.failure();
  descriptor.timer_ = std::move(*timer);
  auto poller = Poller::create();
  if (!poller) return poller.failure();
  descriptor.poller_ = std::move(*poller);
  if (auto added = descriptor.poller_.add(descriptor.pipe_.fd(), EPOLLIN, kPipe); !added) {
    return added.failure();
  }
  if (auto added = descriptor.poller_.add(descriptor.timer_.fd(), EPOLLIN, kTimer); !added) {
    return added.failure();
  }
  return descriptor;
}

bool PollDescriptor::clear() noexcept {
  std::array<epoll_event, 2> events{};
  const std::size_t count = poller_.wait(events.data(), events.size(), {});
  bool is_time = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (events[i].data.u64 == kPipe) {
      pipe_.drain();
    } else {
      std::uint64_t expirations = 0;
      is_time = ::read(timer_.fd(), &expirations, sizeof expirations) == sizeof expirations;
    }
  }
  return is_time;
}

}  // namespace sluice
