// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <sluice/core/format.hpp>
#include <sluice/pattern/work_queue/producer_port.hpp>
#include <sluice/service/reaping.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr std::uint32_t kUsualDepth = 256;
constexpr std::uint32_t kMaxLoans = 256;
static_assert(kMaxQueueDepth + kMaxLoans <= WorkIndexQueue::kMaxSlots);

/// Slots are made as they are needed, except for so many that take no more memory than this: then
/// no push makes a system call, and their cells in the queue are looked at several at a time.
constexpr std::uint64_t kFirstSlotsBytes = std::uint64_t{256} << 10;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

Result<void> check(const ProducerOptions& options) {
  return require(
      {{"ProducerOptions::depth", options.depth == kAny ? 1 : options.depth, 1, kMaxQueueDepth},
       {"ProducerOptions::max_loans", options.max_loans, 1, kMaxLoans},
       {"ProducerOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
}

/// The service's queue, made where there is none. Errors: invalid_options where its depth is
/// another one than is wanted, …
Result<WorkQueue> open_queue(const Service& service, const ProducerOptions& options) {
  const bool is_any = options.depth == kAny;
  auto queue = WorkQueue::open_or_make(service, is_any ? kUsualDepth : options.depth);
  if (!queue) return queue;
  const std::size_t capacity = (*queue)->capacity();
  if (!is_any && std::bit_ceil(options.depth) != capacity) {
    return Failure{Errc::invalid_options,
                   format("ProducerOptions::depth is {}, the service's first producer chose {}; "
                          "leave it out, or choose the same",
                          options.depth, capacity)};
  }
  if (capacity + options.max_loans > WorkIndexQueue::kMaxSlots) {
    return Failure{Errc::corrupted,
                   format("{} has a queue of {} jobs, at most {} are possible",
                          service.directory().path_of(kWorkQueueFile), capacity, kMaxQueueDepth)};
  }
  return queue;
}

}  // namespace

ProducerPort::ProducerPort(std::shared_ptr<Service> service, WorkQueue queue,
                           const ProducerOptions& options)
    : Port(kProducerKind, std::move(service), options.max_loans),
      queue_(std::move(queue)),
      most_slots_(static_cast<std::uint32_t>(queue_->capacity()) + options.max_loans),
      slots_(options.max_loans, kNoSlot),
      pending_(most_slots_) {}

Result<ProducerPort*> ProducerPort::create(const Node& node, const ServiceDescription& service,
                                           const PayloadLayout& payload,
                                           const ProducerOptions& options) {
  if (auto checked = check(options); !checked) return in_service(service.name, checked.failure());
  auto joined = Service::join(node.state(), service, options.mode);
  if (!joined) return joined.failure();
  auto queue = open_queue(**joined, options);
  if (!queue) return in_service(service.name, queue.failure());
  auto port = std::make_unique<ProducerPort>(std::move(*joined), std::move(*queue), options);
  if (auto opened = port->open(payload); !opened) return in_service(service.name, opened.failure());
  return port.release();
}

Result<void> ProducerPort::open(const PayloadLayout& payload) {
  const std::uint64_t reserved =
      std::max(kLeastReservedBytes,
               ProducerFile::kHeapOffset + SlotPool::reserved_bytes(payload, most_slots_));
  if (auto made = create_file(ProducerFile::kHeapOffset + 1024, reserved); !made) return made;
  auto& words = file_.words<ProducerFile>();
  if (auto opened =
          pool_.open(file_.shared(), words.table, words.slots, ProducerFile::kHeapOffset, payload,
                     [this] {
                       give_back_dropped();
                       reclaim();
                     });
      !opened) {
    return opened;
  }
  const std::uint64_t first =
      std::clamp<std::uint64_t>(kFirstSlotsBytes / SlotPool::slot_bytes(payload), 1, most_slots_);
  if (auto grown = pool_.grow_to(first, "jobs"); !grown) return grown;
  if (auto joined = file_.join(); !joined) return joined;
  look();
  return {};
}

/// The slots of the jobs that are done, up to the oldest that is not, become free. Returns whether
/// there were any.
bool ProducerPort::reclaim() noexcept {
  const std::uint32_t before = pool_.free_count();
  while (!pending_.empty() && !is_pending(pending_[0])) {
    pool_.give_back(pending_.pop_front().slot);
  }
  return pool_.free_count() > before;
}

/// The slots that cells keep of loans that were dropped.
void ProducerPort::give_back_dropped() noexcept {
  for (std::uint32_t i = 0; i < cells_.count(); ++i) {
    const Cell cell(i);
    if (slots_[cell] == kNoSlot || cells_.is_held(cell)) continue;
    pool_.give_back(std::exchange(slots_[cell], kNoSlot));
  }
}

Result<void> ProducerPort::find_free() noexcept {
  if (reclaim()) return {};
  if (pool_.size() < most_slots_) return pool_.grow_to(pool_.size() + 1, "jobs");
  return Failure{Errc::corrupted, format("{} holds more jobs of this producer than it can",
                                         directory().path_of(kWorkQueueFile))};
}

Errc ProducerPort::push_for(Cell cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Errc error = push(cell);
    if (error != Errc::would_block) return error;
    const auto left = deadline.left();
    if (takes_interruption()) return Errc::interrupted;
    if (left.count() == 0) {
      return fail(Errc::timed_out,
                  format("no room for {} ms, because the oldest of {} jobs is not done",
                         to_ms(timeout), queue_->capacity()));
    }
    sleep_for_done([this] { return !queue_->full(); }, left);
  }
}

std::uint32_t ProducerPort::pending() const noexcept {
  if (is_forked()) return 0;
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < pending_.count(); ++i) count += is_pending(pending_[i]) ? 1 : 0;
  return count;
}

bool ProducerPort::wait_until_done(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  while (pending() > 0) {
    const auto left = deadline.left();
    if (takes_interruption()) return false;
    if (left.count() == 0) {
      fail(Errc::timed_out, format("{} jobs are not done after {} ms", pending(), to_ms(timeout)));
      return false;
    }
    sleep_for_done([this] { return pending() == 0; }, left);
  }
  return !is_forked();
}

template <typename Ready>
void ProducerPort::sleep_for_done(Ready&& ready, std::chrono::nanoseconds timeout) {
  const auto may_go_on = [&] { return is_interrupted() || ready(); };
  if (queue_.room().sleep_unless(may_go_on, timeout)) return;
  look_in_time();  // a worker may have died without a word
}

std::uint32_t ProducerPort::workers() noexcept {
  if (is_forked()) return 0;
  look();
  return workers_;
}

/// Who is there, and who died. System calls.
void ProducerPort::look() noexcept {
  next_look_ = Deadline(kLongestSleep);
  const auto names = list(directory());
  if (!names) return;
  workers_ = 0;
  for (const std::string& name : *names) {
    const bool is_worker = seat_in(name, kWorkerKind).has_value();
    if (!is_worker && !seat_in(name, kProducerKind)) continue;
    if (open_living(directory(), board(), name) && is_worker) ++workers_;
  }
  queue_->announce_returned();
  note_loss();
}

/// The oldest job may be that of a worker that died.
Errc ProducerPort::fail_full() noexcept {
  look_in_time();
  if (last_failure().code != Errc::would_block) {
    fail(Errc::would_block, format("the queue is full, because the oldest of {} jobs is not done; "
                                   "use push_for to wait",
                                   queue_->capacity()));
  }
  return Errc::would_block;
}

}  // namespace sluice
