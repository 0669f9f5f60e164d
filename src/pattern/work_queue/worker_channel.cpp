// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <sluice/pattern/work_queue/worker_channel.hpp>
#include <sluice/platform/lock.hpp>

namespace sluice {
namespace {

/// Whether nobody else could read that payload either.
bool is_hopeless(Errc failure) noexcept {
  return failure == Errc::corrupted || failure == Errc::version_mismatch ||
         failure == Errc::not_found;
}

}  // namespace

Result<std::unique_ptr<WorkerChannel>> WorkerChannel::create(const Directory& service, Board& board,
                                                             std::uint64_t node, mode_t mode,
                                                             const Config& config,
                                                             const HandleCells& held) {
  std::unique_ptr<WorkerChannel> worker(new WorkerChannel(service, board, config, held));
  if (auto done = worker->initialise(node, mode); !done) return done.failure();
  return worker;
}

Result<void> WorkerChannel::initialise(std::uint64_t node, mode_t mode) {
  auto file = SharedFile::create(service_, mode, FileKind::worker, node, sizeof(WorkerFile), 0);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const auto seat = take_seat(file_, service_, kWorkerKind);
  if (!seat) return seat.failure();
  seat_ = *seat;
  name_ = seat_name(kWorkerKind, seat_);
  board_.announce_change(service_);
  refresh();
  if (failure_.code != Errc::ok) return failure_;
  return {};
}

WorkerChannel::~WorkerChannel() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

/// Where there is no job: whether it was worth a look, after which there may be one.
bool WorkerChannel::has_looked() noexcept {
  if (board_.generation_now() == seen_generation_ && next_look_.left().count() > 0) return false;
  refresh();
  return true;
}

void WorkerChannel::refresh() noexcept {
  next_look_ = Deadline(kLongestSleep);
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board_.generation_now();
  failure_ = {};
  const auto names = list(service_);
  if (!names) {
    failure_ = names.failure();
    return;
  }
  for (auto& connection : by_seat_) {
    if (connection) connection->is_seen_ = false;
  }
  for (const std::string& name : *names) look_at(name);
  for (auto& connection : by_seat_) {
    if (connection && !connection->is_seen_) retire(connection);
  }
  std::erase_if(retired_, [this](const auto& connection) { return !is_held(*connection); });
  if (failure_.code != Errc::ok) return;
  // Somebody may have been killed while it gave back a job.
  if (queue_) (*queue_)->announce_returned();
  seen_generation_ = generation;
}

void WorkerChannel::look_at(const std::string& name) {
  if (name == kWorkQueueFile) {
    if (queue_) return;
    auto queue = WorkQueue::open(service_);
    if (queue) {
      queue_.emplace(std::move(*queue));
    } else {
      failure_ = queue.failure();
    }
  } else if (const auto producer = seat_in(name, kProducerKind)) {
    look_at_producer(name, *producer);
  } else if (seat_in(name, kWorkerKind) && name != name_) {
    (void)open_living(service_, board_, name);
  }
}

void WorkerChannel::look_at_producer(const std::string& name, std::uint32_t seat) {
  auto file = open_file(service_, name, false);
  if (!file) return;
  const bool is_gone = !is_locked(*file);
  if (is_gone && !(queue_ && (*queue_)->has_jobs_of(seat))) reap(name);
  const auto status = status_of(*file, name);
  if (!status || status->links == 0) return;
  auto& connection = by_seat_[seat];
  if (connection && connection->inode_ != status->inode) retire(connection);
  // Where it cannot be mapped, that is reported once there is a job of it.
  if (!connection && !connect(std::move(*file), seat)) return;
  connection->is_seen_ = true;
  // relaxed: who does not see it yet leaves the file to the next look.
  connection->is_gone_.store(is_gone, std::memory_order_relaxed);
}

Result<void> WorkerChannel::connect(File file, std::uint32_t seat) {
  const std::string path = service_.path_of(seat_name(kProducerKind, seat));
  const auto status = status_of(file, path);
  if (!status) return status.failure();
  auto opened = SharedFile::adopt(std::move(file), path, FileKind::producer, sizeof(ProducerFile),
                                  Region::Access::read_only);
  if (!opened) return opened.failure();
  auto connection = std::make_unique<Connection>();
  connection->file_ = std::move(*opened);
  connection->inode_ = status->inode;
  connection->seat_ = seat;
  const auto& words = *connection->file_.region().at<ProducerFile>(0);
  connection->slots_ = PeerSlots(connection->file_, words.table, words.slots, config_.payload);
  if (auto connected = connection->slots_.connect(); !connected) return connected;
  by_seat_[seat] = std::move(connection);
  return {};
}

Result<void> WorkerChannel::connect_to(std::uint32_t seat) {
  auto file = open_file(service_, seat_name(kProducerKind, seat), false);
  return file ? connect(std::move(*file), seat) : file.failure();
}

/// Where the payload is not at hand. A job that cannot be handed out for a reason that is its
/// producer's could be done by nobody, and is taken out of the way; if the reason is this
/// process's, another worker may have it.
WorkerChannel::Taken WorkerChannel::open_slowly(const WorkIndexQueue::Job& job,
                                                std::uint32_t cell) noexcept {
  auto& connection = by_seat_[job.producer];
  if (failure_.code == Errc::ok && !connection) failure_ = connect_to(job.producer).failure();
  if (failure_.code == Errc::ok) {
    const PeerSlots::Payload payload = connection->slots_.payload(job.slot);
    if (payload.data != nullptr) {
      held_of_[cell] = connection.get();
      return {connection.get(), payload, job};
    }
    failure_ = connection->slots_.failure();
  }
  if (is_hopeless(failure_.code)) {
    if (failure_.code == Errc::not_found) failure_.code = Errc::corrupted;
    failure_.message =
        fmt::format("a job was dropped, its payload cannot be read: {}", failure_.message);
    (*queue_)->finish(job);
    ring_for_room();
  } else {
    put_back(job);
  }
  return {};
}

bool WorkerChannel::finish(const WorkIndexQueue::Job& job, Connection& connection) noexcept {
  const bool was_ours = (*queue_)->finish(job);
  ring_for_room();
  // relaxed: see `look_at_producer`.
  if (connection.is_gone_.load(std::memory_order_relaxed)) [[unlikely]] {
    // After the fence in `ring_for_room`: of several workers that finish the last jobs, one at
    // least sees that there are no more.
    if (!(*queue_)->has_jobs_of(connection.seat_)) {
      reap(seat_name(kProducerKind, connection.seat_));
    }
  }
  return was_ours;
}

bool WorkerChannel::put_back(const WorkIndexQueue::Job& job) noexcept {
  const bool was_ours = (*queue_)->put_back(job);
  // seq_cst: pairs with the fence in `Doorbell::arm`.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  board_.doorbell.wake(service_);
  return was_ours;
}

void WorkerChannel::ring_for_room() noexcept {
  // seq_cst: pairs with the fence in `Doorbell::arm`, and with itself in `finish`.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  queue_->room().wake(service_);
}

void WorkerChannel::reap(const std::string& name) noexcept {
  if (reap_port(service_, name)) board_.announce_change(service_);
}

/// A seat whose producer is not there any more.
void WorkerChannel::retire(std::unique_ptr<Connection>& connection) {
  if (is_held(*connection)) retired_.push_back(std::move(connection));
  connection.reset();
}

bool WorkerChannel::is_held(const Connection& connection) const noexcept {
  for (std::uint32_t cell = 0; cell < held_of_.size(); ++cell) {
    if (held_of_[cell] == &connection && held_.is_held(cell)) return true;
  }
  return false;
}

void WorkerChannel::wait(std::chrono::nanoseconds timeout) {
  const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  if (board_.doorbell.sleep_unless([this] { return has_ready(); }, timeout)) return;
  if (slice.left().count() == 0) refresh();  // somebody may have died without a word
}

std::uint32_t WorkerChannel::producers() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(by_seat_.begin(), by_seat_.end(), [](const auto& connection) {
        // relaxed: this thread's own.
        return connection && !connection->is_gone_.load(std::memory_order_relaxed);
      }));
}

}  // namespace sluice
