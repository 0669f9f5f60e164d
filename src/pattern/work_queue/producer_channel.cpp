// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <sluice/pattern/work_queue/producer_channel.hpp>
#include <utility>

namespace sluice {
namespace {

/// Slots are made as they are needed, except for so many that take no more memory than this: then
/// no push makes a system call, and their cells in the queue are looked at several at a time.
constexpr std::uint64_t kFirstSlotsBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

}  // namespace

ProducerChannel::ProducerChannel(const Directory& service, Board& board, WorkQueue queue,
                                 const Config& config)
    : service_(service),
      board_(board),
      config_(config),
      queue_(std::move(queue)),
      most_slots_(static_cast<std::uint32_t>(queue_->capacity()) + config.max_loans),
      pending_(most_slots_) {
  free_.reserve(most_slots_);
}

Result<std::unique_ptr<ProducerChannel>> ProducerChannel::create(const Directory& service,
                                                                 Board& board, std::uint64_t node,
                                                                 mode_t file_mode,
                                                                 mode_t shared_mode,
                                                                 const Config& config) {
  auto queue =
      WorkQueue::open_or_make(service, node, shared_mode, config.depth.value_or(kUsualDepth));
  if (!queue) return queue.failure();
  const std::size_t capacity = (*queue)->capacity();
  if (config.depth && std::bit_ceil(*config.depth) != capacity) {
    return Failure{Errc::invalid_options,
                   fmt::format("ProducerOptions::depth is {}, the service's first producer chose "
                               "{}; leave it out, or choose the same",
                               *config.depth, capacity)};
  }
  if (capacity + config.max_loans > WorkIndexQueue::kMaxSlots) {
    return Failure{Errc::corrupted,
                   fmt::format("{} has a queue of {} jobs, at most {} are possible",
                               service.path_of(kWorkQueueFile), capacity, kMaxQueueDepth)};
  }
  std::unique_ptr<ProducerChannel> producer(
      new ProducerChannel(service, board, std::move(*queue), config));
  if (auto done = producer->initialise(node, file_mode); !done) return done.failure();
  return producer;
}

Result<void> ProducerChannel::initialise(std::uint64_t node, mode_t mode) {
  const std::uint64_t reserved =
      std::max(kLeastReservedBytes,
               ProducerFile::kHeapOffset + SlotPool::reserved_bytes(config_.payload, most_slots_));
  auto file = SharedFile::create(service_, mode, FileKind::producer, node,
                                 ProducerFile::kHeapOffset + 1024, reserved);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const FileHeader header = file_.header();  // the new object takes its place
  words_ = new (file_.region().data()) ProducerFile{.header = header, .slots = {}, .table = {}};
  auto pool = SlotPool::create(file_, words_->table, ProducerFile::kHeapOffset, config_.payload);
  if (!pool) return pool.failure();
  pool_ = std::move(*pool);
  pool_.heap().when_short([this] {
    reclaim();
    return pool_.release_blocks(free_);
  });
  const std::uint64_t first = std::clamp<std::uint64_t>(
      kFirstSlotsBytes / SlotPool::slot_bytes(config_.payload), 1, most_slots_);
  while (pool_.size() < first) {
    if (auto added = add_slot(); !added) return added;
  }
  const auto seat = take_seat(file_, service_, kProducerKind);
  if (!seat) return seat.failure();
  seat_ = *seat;
  name_ = seat_name(kProducerKind, seat_);
  board_.announce_change(service_);
  look();
  return {};
}

ProducerChannel::~ProducerChannel() {
  if (name_.empty()) return;
  if (queue_->has_jobs_of(seat_)) {
    // The lock goes, the file stays: whoever looks from now on sees to it that it goes, too.
    file_ = {};
  } else {
    ::unlinkat(service_.fd(), name_.c_str(), 0);
  }
  board_.announce_change(service_);
}

Result<void> ProducerChannel::add_slot() {
  if (auto added = pool_.add_slot(); !added) {
    return Failure{added.error(),
                   fmt::format("cannot make slot {} of {} bytes: {}", pool_.size() + 1,
                               config_.payload.bytes, added.failure().message)};
  }
  // release: pairs with the acquire in `PeerSlots`; the table comes first.
  words_->slots.store(pool_.size(), std::memory_order_release);
  free_.push_back(pool_.size() - 1);
  return {};
}

/// The slots of the jobs that are done, up to the oldest that is not, become free. Returns whether
/// there were any.
bool ProducerChannel::reclaim() noexcept {
  const std::size_t before = free_.size();
  while (!pending_.empty() && !is_pending(pending_.at(0))) {
    free_.push_back(pending_.at(0).slot);
    pending_.pop_front();
  }
  return free_.size() > before;
}

bool ProducerChannel::find_free() noexcept {
  if (reclaim()) return true;
  if (pool_.size() == most_slots_) {
    failure_ = {Errc::corrupted, fmt::format("{} holds more jobs of this producer than it can",
                                             service_.path_of(kWorkQueueFile))};
    return false;
  }
  if (auto added = add_slot(); !added) {
    failure_ = added.failure();
    return false;
  }
  return true;
}

std::byte* ProducerChannel::resize(std::uint32_t slot, std::uint64_t count) noexcept {
  auto resized = pool_.resize(slot, count);
  if (resized) return *resized;
  failure_ = resized.failure();
  return nullptr;
}

std::uint32_t ProducerChannel::pending() const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < pending_.count(); ++i) count += is_pending(pending_.at(i)) ? 1 : 0;
  return count;
}

template <typename Ready>
void ProducerChannel::sleep_unless(Ready&& ready, std::chrono::nanoseconds timeout) {
  if (queue_.room().sleep_unless(ready, timeout)) return;
  look_now_and_then();  // a worker may have died without a word
}

void ProducerChannel::wait_for_room(std::chrono::nanoseconds timeout) {
  sleep_unless([this] { return !is_full(); }, timeout);
}

void ProducerChannel::wait_until_done(std::chrono::nanoseconds timeout) {
  sleep_unless([this] { return pending() == 0; }, timeout);
}

void ProducerChannel::look() noexcept {
  next_look_ = Deadline(kLongestSleep);
  const auto names = list(service_);
  if (!names) return;
  workers_ = 0;
  for (const std::string& name : *names) {
    const bool is_worker = seat_in(name, kWorkerKind).has_value();
    if (!is_worker && !seat_in(name, kProducerKind)) continue;
    if (open_living(service_, board_, name) && is_worker) ++workers_;
  }
  queue_->announce_returned();
}

}  // namespace sluice
