// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>

#include <algorithm>
#include <functional>
#include <sluice/platform/process_bell.hpp>
#include <sluice/wait/doorbell_sleeper.hpp>

namespace sluice {
namespace {

constexpr std::uint64_t kProcessBell = UINT64_MAX;
constexpr std::uint64_t kPipe = std::uint64_t{1} << 63;  // and its descriptor

constexpr std::less<const void*> is_before;

}  // namespace

DoorbellSleeper::DoorbellSleeper() = default;
DoorbellSleeper::~DoorbellSleeper() = default;

Result<void> DoorbellSleeper::set_bells(std::vector<Bell> bells) {
  bells_ = std::move(bells);
  std::sort(bells_.begin(), bells_.end(), [](const Bell& one, const Bell& other) {
    if (one.pipes != other.pipes) return is_before(one.pipes, other.pipes);
    return is_before(one.doorbell, other.doorbell);
  });
  const auto is_same = [](const Bell& one, const Bell& other) {
    return one.doorbell == other.doorbell;
  };
  bells_.erase(std::unique(bells_.begin(), bells_.end(), is_same), bells_.end());
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
  if (has_futex_ && descriptors_ == 0 && bells_.size() <= kMaxFutexBells) {
    end_polling();
    return {};
  }
  auto begun = poller_.is_open() ? Result<void>() : begin_polling();
  return begun ? make_pipes() : begun;
}

Result<void> DoorbellSleeper::begin_polling() {
  const auto bell = process_bell_fd();
  if (!bell) return bell.failure();
  auto poller = Poller::create();
  if (!poller) return poller.failure();
  if (auto added = poller->add(*bell, EPOLLIN | EPOLLET, kProcessBell); !added) return added;
  poller_ = std::move(*poller);
  who_ = Doorbell::kPipes;
  return {};
}

void DoorbellSleeper::end_polling() noexcept {
  pipes_.clear();
  poller_ = {};
  ready_.clear();
  who_ = Doorbell::kSleepers;
}

/// One for each directory, and none for others.
Result<void> DoorbellSleeper::make_pipes() {
  std::erase_if(pipes_, [this](const Pipe& pipe) {
    const auto first = std::partition_point(bells_.begin(), bells_.end(), [&](const Bell& bell) {
      return is_before(bell.pipes, pipe.directory);
    });
    const bool is_needed = first != bells_.end() && first->pipes == pipe.directory;
    if (!is_needed) poller_.remove(pipe.pipe.fd());
    return !is_needed;
  });
  for (const Bell& bell : bells_) {
    const auto place = std::partition_point(pipes_.begin(), pipes_.end(), [&](const Pipe& pipe) {
      return is_before(pipe.directory, bell.pipes);
    });
    if (place != pipes_.end() && place->directory == bell.pipes) continue;
    auto pipe = WakePipe::create(*bell.pipes, bell.pipe_mode);
    if (!pipe) return pipe.failure();
    const std::uint64_t tag = kPipe | static_cast<std::uint64_t>(pipe->fd());
    if (auto added = poller_.add(pipe->fd(), EPOLLIN, tag); !added) return added;
    pipes_.insert(place, {bell.pipes, std::move(*pipe)});
  }
  return {};
}

/// Before the doorbells are armed: what a futex sleeper compares with.
void DoorbellSleeper::read_bells() {
  if (uses_pipes()) return;
  futexes_.clear();
  // acquire: pairs with the release in `ring_process_bell`; what it tells of is looked at next.
  futexes_.emplace_back(process_bell(), process_bell().load(std::memory_order_acquire));
  for (const Bell& bell : bells_) futexes_.emplace_back(bell.doorbell->bell, bell.doorbell->rung());
}

Result<void> DoorbellSleeper::sleep(Time until) {
  if (uses_pipes()) {
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
  events_.resize(1 + pipes_.size() + descriptors_);
  const std::size_t count = poller_.wait(events_.data(), events_.size(), timeout);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t tag = events_[i].data.u64;
    if (tag == kProcessBell) continue;
    if ((tag & kPipe) == 0) {
      ready_.push_back(tag);
      continue;
    }
    const auto rung = std::find_if(pipes_.begin(), pipes_.end(), [tag](const Pipe& pipe) {
      return (kPipe | static_cast<std::uint64_t>(pipe.pipe.fd())) == tag;
    });
    if (rung != pipes_.end()) rung->pipe.drain();
  }
}

}  // namespace sluice
