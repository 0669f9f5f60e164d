// SPDX-License-Identifier: Apache-2.0
//
// A worker without its payload type: its file, the jobs that are held, and the producers whose
// payloads it reads.
//
// A job says by the seat of its producer in whose file its payload lies. The mapping of a seat is
// good until the board's generation changes: a producer announces itself before its first push, and
// its seat is not given away while a job of it is in the queue.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/work_queue/options.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/platform/clock.hpp>
#include <string>
#include <vector>

namespace sluice {

/// A producer as a worker sees it. Lives until its file is gone and none of its jobs is held. Not a
/// `Peer`: the file of one that left or died stays, and is read, until its jobs are done.
struct ProducerPeer {
  SharedFile file;
  PeerSlots slots;
  std::uint64_t inode = 0;
  Seat seat;
  bool is_seen = false;  ///< in this look
  std::atomic<bool> is_gone{false};
};

/// Thread safety: one thread at a time, except `give_back`, `reject` and `drop`.
class WorkerPort final : public ReceivingPort {
 public:
  /// Errors: see `Worker::Worker`.
  [[nodiscard]] static Result<WorkerPort*> create(const Node& node,
                                                  const ServiceDescription& service,
                                                  const PayloadLayout& payload,
                                                  const WorkerOptions& options);
  /// For `create`, both.
  WorkerPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
             const WorkerOptions& options);
  Result<void> open();

  /// A job whose payload cannot be read is not handed out. Lock-free; system calls only when ports
  /// came or went, a producer took more memory, or, at most every kLongestSleep, when there is no
  /// job.
  [[nodiscard]] Borrowed receive() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell cell = cells_.acquire();
    if (cell == kNoCell) [[unlikely]]
      return {.error = fail_all(Errc::too_many_borrowed, cells_.count(), "jobs are held; end one",
                                "WorkerOptions::max_jobs")};
    Borrowed job = take(cell);
    if (job.payload == nullptr && settle_descriptor()) [[unlikely]]
      job = take(cell);
    if (job.payload == nullptr) {
      cells_.withdraw(cell);
      job.error = report(pending_failure_);
    }
    return job;
  }
  /// Sleeps until there is a job, at most `timeout`.
  [[nodiscard]] Borrowed wait(std::chrono::nanoseconds timeout) noexcept;

  /// Ends the handle of a job: it is done, or goes to the next worker that asks. Any thread;
  /// afterwards this may be gone. Whether the job was still this worker's. Lock-free; a system call
  /// only if somebody sleeps, or the producer has left.
  bool give_back(const Borrowed& job) noexcept;
  bool reject(const Borrowed& job) noexcept;

  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  [[nodiscard]] std::uint32_t producers() noexcept;

 private:
  struct HeldJob {
    WorkIndexQueue::Job job{};
    ProducerPeer* producer = nullptr;
  };

  [[nodiscard]] bool has_news() const noexcept {
    return board().generation_now() != seen_generation_;
  }
  /// Whether there may be something to take.
  [[nodiscard]] bool has_ready() const noexcept {
    return has_news() || (queue_ && (*queue_)->has_ready());
  }

  /// Takes a job for the handle `cell`.
  [[nodiscard]] Borrowed take(Cell cell) noexcept {
    if (queue_) [[likely]] {
      if (const auto job = (*queue_)->take(file_.seat())) [[likely]]
        return assign(*job, cell);
    }
    if (!has_looked()) [[likely]]
      return {};
    const auto job = queue_ ? (*queue_)->take(file_.seat()) : std::nullopt;
    return job ? assign(*job, cell) : Borrowed{};
  }
  /// The payload of a job that was just taken.
  [[nodiscard]] Borrowed assign(const WorkIndexQueue::Job& job, Cell cell) noexcept {
    // A producer on that seat announced itself before it pushed: if that is news, so is the file.
    if (has_news()) [[unlikely]]
      look();
    ProducerPeer* const producer = by_seat_[job.producer].get();
    if (producer == nullptr || pending_failure_.code != Errc::ok) [[unlikely]]
      return assign_slowly(job, cell);
    const PeerSlots::Payload payload = producer->slots.payload(job.slot);
    if (payload.data == nullptr) [[unlikely]]
      return assign_slowly(job, cell);
    return hand_out(*producer, payload, job, cell);
  }
  [[nodiscard]] Borrowed hand_out(ProducerPeer& producer, const PeerSlots::Payload& payload,
                                  const WorkIndexQueue::Job& job, Cell cell) noexcept {
    held_[cell] = {job, &producer};
    return {.payload = payload.data, .count = payload.count, .sequence = job.attempt, .cell = cell};
  }
  Borrowed assign_slowly(const WorkIndexQueue::Job& job, Cell cell) noexcept;

  bool has_looked() noexcept;
  void look_at(const std::string& name);
  void look_at_producer(const std::string& name, Seat seat);
  Result<void> connect(File file, Seat seat);
  void reap(const std::string& name) noexcept;
  void retire(std::unique_ptr<ProducerPeer>& producer);
  bool finish(const WorkIndexQueue::Job& job) noexcept;
  bool put_back(const WorkIndexQueue::Job& job) noexcept;
  [[nodiscard]] std::uint32_t present_producers() const noexcept;
  [[nodiscard]] bool is_held(const ProducerPeer& producer) const noexcept;

  PayloadLayout payload_;
  std::uint64_t seen_generation_ = 0;
  std::optional<WorkQueue> queue_;                      // set once
  std::vector<std::unique_ptr<ProducerPeer>> by_seat_;  // null: nobody there
  std::vector<std::unique_ptr<ProducerPeer>> retired_;  // whose file is gone, with jobs still held
  std::vector<HeldJob> held_;                           // by cell
  Deadline next_look_{std::chrono::nanoseconds{0}};
  Failure pending_failure_;  // found by a look or a take, and not reported yet
};

}  // namespace sluice
