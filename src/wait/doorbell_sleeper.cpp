// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/platform/process_bell.hpp>
#include <sluice/wait/doorbell_sleeper.hpp>

namespace sluice {
namespace {

constexpr std::uint64_t kProcessBell = UINT64_MAX;
constexpr std::uint64_t kSource = UINT64_MAX - 1;        // whoever looks finds out which
constexpr std::uint64_t kPipe = std::uint64_t{1} << 63;  // and its descriptor

std::uint64_t tag_of(const WakePipe& pipe) noexcept {
  return kPipe | static_cast<std::uint64_t>(pipe.fd());
}

}  // namespace

Result<void> DoorbellSleeper::set_wakers(const std::vector<Waker>& wakers) {
  bells_.clear();
  sources_.clear();
  for (const Waker& waker : wakers) {
    if (waker.doorbell != nullptr) bells_.push_back(waker);
    if (waker.fd >= 0) sources_.push_back(waker.fd);
  }
  std::ranges::sort(bells_, {}, &Waker::doorbell);
  bells_.erase(std::unique(bells_.begin(), bells_.end()), bells_.end());
  std::ranges::sort(sources_);
  return choose();
}

Result<void> DoorbellSleeper::add(int fd, std::uint32_t epoll_events, std::uint64_t tag) {
  ++descriptors_;
  auto added = choose();
  if (added) added = poller_.add(fd, epoll_events, tag);
  if (added) return added;
  --descriptors_;
  (void)choose();
  return added;
}

void DoorbellSleeper::remove(int fd) noexcept {
  poller_.remove(fd);
  --descriptors_;
  (void)choose();
}

/// The way to sleep that suits what is waited for. Never fails where less is waited for than
/// before.
Result<void> DoorbellSleeper::choose() {
  if (has_futex_ && descriptors_ == 0 && sources_.empty() && bells_.size() <= kMaxFutexBells) {
    pipes_.clear();
    poller_ = {};
    polled_.clear();
    ready_.clear();
    who_ = Doorbell::kSleepers;
    return {};
  }
  if (!poller_.is_open()) {
    const auto bell = process_bell_fd();
    if (!bell) return bell.failure();
    auto poller = Poller::create();
    if (!poller) return poller.failure();
    if (auto added = poller->add(*bell, EPOLLIN | EPOLLET, kProcessBell); !added) return added;
    poller_ = std::move(*poller);
    who_ = Doorbell::kPipes;
  }
  const auto polled = poll_sources();
  return polled ? make_pipes() : polled;
}

Result<void> DoorbellSleeper::poll_sources() {
  std::erase_if(polled_, [&](int fd) {
    if (std::ranges::binary_search(sources_, fd)) return false;
    poller_.remove(fd);
    return true;
  });
  for (const int fd : sources_) {
    if (std::ranges::find(polled_, fd) != polled_.end()) continue;
    if (auto added = poller_.add(fd, EPOLLIN, kSource); !added) return added;
    polled_.push_back(fd);
  }
  return {};
}

/// One for each directory, and none for others.
Result<void> DoorbellSleeper::make_pipes() {
  std::map<const Directory*, mode_t> needed;
  for (const Waker& bell : bells_) needed.emplace(bell.pipes, bell.pipe_mode);
  std::erase_if(pipes_, [&](const auto& entry) {
    if (needed.contains(entry.first)) return false;
    poller_.remove(entry.second.fd());
    return true;
  });
  for (const auto& [directory, mode] : needed) {
    if (pipes_.contains(directory)) continue;
    auto pipe = WakePipe::create(*directory, mode);
    if (!pipe) return pipe.failure();
    if (auto added = poller_.add(pipe->fd(), EPOLLIN, tag_of(*pipe)); !added) return added;
    pipes_.emplace(directory, std::move(*pipe));
  }
  return {};
}

/// Before the doorbells are armed: what a futex sleeper compares with.
void DoorbellSleeper::read_bells() {
  if (poller_.is_open()) return;
  futexes_.clear();
  // acquire: pairs with the release in `ring_process_bell`; what it tells of is looked at next.
  futexes_.emplace_back(process_bell(), process_bell().load(std::memory_order_acquire));
  for (const Waker& bell : bells_)
    futexes_.emplace_back(bell.doorbell->bell, bell.doorbell->rung());
}

Result<void> DoorbellSleeper::sleep(Time until) {
  if (poller_.is_open()) {
    poll(std::max<std::chrono::nanoseconds>(until - Time::clock::now(), {}));
    is_fresh_ = true;
    return {};
  }
  if (futex_wait_any(futexes_, until)) return {};
  has_futex_ = false;
  return choose();
}

std::span<const std::uint64_t> DoorbellSleeper::ready_descriptors() {
  if (!is_fresh_ && descriptors_ != 0) poll({});
  is_fresh_ = false;
  return ready_;
}

void DoorbellSleeper::poll(std::chrono::nanoseconds timeout) {
  ready_.clear();
  for (const epoll_event& event : poller_.wait(timeout)) {
    const std::uint64_t tag = event.data.u64;
    if ((tag & kPipe) == 0) {
      ready_.push_back(tag);
      continue;
    }
    for (auto& [directory, pipe] : pipes_) {
      if (tag_of(pipe) == tag) pipe.drain();
    }
  }
}

}  // namespace sluice
