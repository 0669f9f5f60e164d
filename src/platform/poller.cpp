// SPDX-License-Identifier: Apache-2.0
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <sluice/core/format.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/poller.hpp>

namespace sluice {
namespace {

#if !defined(SYS_epoll_pwait2)
constexpr long SYS_epoll_pwait2 = 441;  // on every architecture; headers before 5.11 lack it
#endif

/// Not before `timeout` is over.
int whole_milliseconds(std::chrono::nanoseconds timeout) noexcept {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return static_cast<int>(std::min<decltype(whole)>(whole, INT_MAX));
}

}  // namespace

Result<Poller> Poller::create() {
  Poller poller;
  poller.file_ = File(::epoll_create1(EPOLL_CLOEXEC));
  if (!poller.is_open()) return system_failure("make", "an epoll instance", errno);
  poller.file_.close_in_forked_child();
  return poller;
}

Result<void> Poller::add(int fd, std::uint32_t events, std::uint64_t tag) {
  if (file_.is_inherited()) return Failure{Errc::forked, "epoll instance of the parent process"};
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(file_.fd(), EPOLL_CTL_ADD, fd, &event) == 0) {
    events_.emplace_back();
    return {};
  }
  if (errno != EPERM) return system_failure("wait for", format("descriptor {}", fd), errno);
  // No matter of permissions.
  return Failure{Errc::system,
                 format("descriptor {} is of a kind that is always ready, such as a file; it "
                        "cannot be waited for",
                        fd)};
}

void Poller::remove(int fd) noexcept {
  if (!is_open() || file_.is_inherited()) return;
  if (::epoll_ctl(file_.fd(), EPOLL_CTL_DEL, fd, nullptr) == 0) events_.pop_back();
}

std::span<const epoll_event> Poller::wait(std::chrono::nanoseconds timeout) noexcept {
  if (file_.is_inherited()) return {};
  const int most = static_cast<int>(events_.size());
  const timespec relative = to_timespec(timeout);
  long got = timeout.count() == 0 ? ::epoll_wait(file_.fd(), events_.data(), most, 0)
                                  : ::syscall(SYS_epoll_pwait2, file_.fd(), events_.data(), most,
                                              &relative, nullptr, 0);
  if (got < 0 && errno != EINTR) {  // not there: Linux before 5.11, or a sandbox
    got = ::epoll_wait(file_.fd(), events_.data(), most, whole_milliseconds(timeout));
  }
  return {events_.data(), static_cast<std::size_t>(std::max(got, 0L))};
}

}  // namespace sluice
