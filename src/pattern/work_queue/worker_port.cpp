// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/pattern/work_queue/worker_port.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/reaping.hpp>
#include <utility>

namespace sluice {
namespace {

constexpr std::uint32_t kMaxJobs = 256;

/// Whether nobody else could read that payload either.
bool is_hopeless(Errc failure) noexcept {
  return failure == Errc::corrupted || failure == Errc::version_mismatch ||
         failure == Errc::not_found;
}

}  // namespace

WorkerPort::WorkerPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
                       const WorkerOptions& options)
    : ReceivingPort(kWorkerKind, std::move(service), options.max_jobs),
      payload_(payload),
      by_seat_(kMaxSeats),
      held_(options.max_jobs) {}

Result<WorkerPort*> WorkerPort::create(const Node& node, const ServiceDescription& service,
                                       const PayloadLayout& payload, const WorkerOptions& options) {
  return open_port<WorkerPort>(
      node, service, options.mode,
      require({{"WorkerOptions::max_jobs", options.max_jobs, 1, kMaxJobs}}), payload, options);
}

Result<void> WorkerPort::open() {
  // Shared: others must be able to lock the file when this worker is dead, for its jobs.
  if (auto made = create_shared_file(sizeof(WorkerFile)); !made) return made;
  if (auto joined = file_.join(); !joined) return joined;
  look();
  return pending_failure_.code == Errc::ok ? Result<void>() : Result<void>(pending_failure_);
}

/// Where there is no job: whether it was worth a look, after which there may be one.
bool WorkerPort::has_looked() noexcept {
  if (!has_news() && next_look_.left().count() > 0) return false;
  look();
  return true;
}

/// Who joined, who left, who died. System calls.
void WorkerPort::look() noexcept {
  if (is_forked()) return;
  next_look_ = Deadline(kLongestSleep);
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board().generation_now();
  pending_failure_ = {};
  const auto names = list(directory());
  if (!names) {
    pending_failure_ = names.failure();
    return;
  }
  for (auto& producer : by_seat_) {
    if (producer) producer->is_seen = false;
  }
  for (const std::string& name : *names) look_at(name);
  for (auto& producer : by_seat_) {
    if (producer && !producer->is_seen && !is_locked(producer->file.file())) retire(producer);
  }
  std::erase_if(retired_, [this](const auto& producer) { return !is_held(*producer); });
  if (pending_failure_.code != Errc::ok) return;
  // Somebody may have been killed while it gave back a job.
  if (queue_) (*queue_)->announce_returned();
  seen_generation_ = generation;
  note_loss();
}

void WorkerPort::look_at(const std::string& name) {
  if (name == kWorkQueueFile) {
    if (queue_) return;
    if (auto queue = WorkQueue::open(directory()); queue) {
      queue_.emplace(std::move(*queue));
    } else {
      pending_failure_ = queue.failure();
    }
  } else if (const auto producer = seat_in(name, kProducerKind)) {
    look_at_producer(name, *producer);
  } else if (seat_in(name, kWorkerKind) && name != file_.name()) {
    (void)open_living(directory(), board(), name);
  }
}

void WorkerPort::look_at_producer(const std::string& name, Seat seat) {
  auto file = open_file(directory(), name, false);
  if (!file) return;
  const bool is_gone = !is_locked(*file);
  if (is_gone && !(queue_ && (*queue_)->has_jobs_of(seat))) reap(name);
  const auto status = status_of(*file, name);
  if (!status || status->links == 0) return;
  auto& producer = by_seat_[seat];
  if (producer && producer->inode != status->inode) retire(producer);
  // Where it cannot be mapped, that is reported once there is a job of it.
  if (!producer && !connect(std::move(*file), seat)) return;
  producer->is_seen = true;
  // relaxed: who does not see it yet leaves the file to the next look.
  producer->is_gone.store(is_gone, std::memory_order_relaxed);
}

Result<void> WorkerPort::connect(File file, Seat seat) {
  const std::string path = directory().path_of(file_name_of(kProducerKind, seat));
  const auto status = status_of(file, path);
  if (!status) return status.failure();
  auto opened = SharedFile::adopt(std::move(file), path, FileKind::producer, sizeof(ProducerFile),
                                  Region::Access::read_only);
  if (!opened) return opened.failure();
  auto producer = std::make_unique<ProducerPeer>();
  producer->file = std::move(*opened);
  producer->inode = status->inode;
  producer->seat = seat;
  const auto& words = *producer->file.region().at<ProducerFile>(0);
  producer->slots = PeerSlots(producer->file, words.table, words.slots, payload_);
  if (auto connected = producer->slots.connect(); !connected) return connected;
  by_seat_[seat] = std::move(producer);
  return {};
}

/// Where the payload is not at hand. A job that cannot be handed out for a reason that is its
/// producer's could be done by nobody, and is taken out of the way; if the reason is this
/// process's, another worker may have it.
Borrowed WorkerPort::assign_slowly(const WorkIndexQueue::Job& job, Cell cell) noexcept {
  const auto& producer = by_seat_[job.producer];
  if (pending_failure_.code == Errc::ok && !producer) {
    auto file = open_file(directory(), file_name_of(kProducerKind, job.producer), false);
    pending_failure_ = file ? connect(std::move(*file), job.producer).failure() : file.failure();
  }
  if (pending_failure_.code == Errc::ok) {
    const PeerSlots::Payload payload = producer->slots.payload(job.slot);
    if (payload.data != nullptr) return hand_out(*producer, payload, job, cell);
    pending_failure_ = producer->slots.failure();
  }
  if (is_hopeless(pending_failure_.code)) {
    if (pending_failure_.code == Errc::not_found) pending_failure_.code = Errc::corrupted;
    pending_failure_.message =
        "a job was dropped, its payload cannot be read: " + pending_failure_.message;
    finish(job);
  } else {
    put_back(job);
  }
  return {};
}

Borrowed WorkerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  const Borrowed job = take_or_sleep(
      timeout, [this] { return receive(); },
      [this](std::chrono::nanoseconds left) {
        // After a long sleep: somebody may have died without a word.
        if (sleep_unless([this] { return has_ready(); }, left)) look();
      });
  if (job.error == Errc::timed_out) {
    const std::uint32_t producers = present_producers();
    fail_timed_out(format("no job for {} ms; {} producers are there", to_ms(timeout), producers),
                   producers, timeout);
  }
  return job;
}

bool WorkerPort::give_back(const Borrowed& job) noexcept {
  if (is_forked()) return false;  // the parent's
  const auto& [held, producer] = held_[job.cell];
  const bool was_ours = finish(held);
  // relaxed: who does not see it yet leaves the file to the next look.
  if (producer->is_gone.load(std::memory_order_relaxed)) [[unlikely]] {
    // After the fence in `finish`: of several workers that finish the last jobs, one at least sees
    // that there are no more.
    const Seat seat = producer->seat;
    if (!(*queue_)->has_jobs_of(seat)) reap(file_name_of(kProducerKind, seat));
  }
  drop(job.cell);
  return was_ours;
}

bool WorkerPort::reject(const Borrowed& job) noexcept {
  if (is_forked()) return false;
  const bool was_ours = put_back(held_[job.cell].job);
  drop(job.cell);
  return was_ours;
}

bool WorkerPort::finish(const WorkIndexQueue::Job& job) noexcept {
  const bool was_ours = (*queue_)->finish(job);
  // seq_cst: pairs with the fence in `Doorbell::arm`, and with itself in `give_back`.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  queue_->room().wake(directory());
  return was_ours;
}

bool WorkerPort::put_back(const WorkIndexQueue::Job& job) noexcept {
  const bool was_ours = (*queue_)->put_back(job);
  wake();
  return was_ours;
}

void WorkerPort::reap(const std::string& name) noexcept {
  if (reap_port(directory(), name)) board().announce_change(directory());
}

/// A seat whose producer is not there any more.
void WorkerPort::retire(std::unique_ptr<ProducerPeer>& producer) {
  if (is_held(*producer)) retired_.push_back(std::move(producer));
  producer.reset();
}

bool WorkerPort::is_held(const ProducerPeer& producer) const noexcept {
  return cells_.held([&](Cell cell) { return held_[cell].producer == &producer; }) != 0;
}

bool WorkerPort::is_ready() noexcept {
  if (is_forked()) return false;
  if (has_news()) look();
  return has_ready() || pending_failure_.code != Errc::ok;
}

std::uint32_t WorkerPort::producers() noexcept {
  if (is_forked()) return 0;
  look();
  return present_producers();
}

std::uint32_t WorkerPort::present_producers() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(by_seat_.begin(), by_seat_.end(), [](const auto& producer) {
        // relaxed: this thread's own.
        return producer && !producer->is_gone.load(std::memory_order_relaxed);
      }));
}

}  // namespace sluice
