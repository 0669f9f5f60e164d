// SPDX-License-Identifier: Apache-2.0
//
// A worker's side of a work queue: the jobs that it takes, and the producers whose payloads it
// reads.
//
// A job says by the seat of its producer in whose file its payload lies. The mapping of a seat is
// good until the board's generation changes: a producer announces itself before its first push, and
// its seat is not given away while a job of it is in the queue.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/core/handle_cells.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `finish` and `put_back`, which any thread may call
/// for a job that it holds.
class WorkerChannel {
 public:
  struct Config {
    PayloadLayout payload;
    std::uint32_t max_jobs = 1;
  };

  /// One producer. Lives until its file is gone and none of its jobs is held.
  class Connection {
   private:
    friend class WorkerChannel;

    SharedFile file_;
    PeerSlots slots_;
    std::uint64_t inode_ = 0;
    std::uint32_t seat_ = 0;
    /// The producer left or died; its file stays until its jobs are done.
    std::atomic<bool> is_gone_{false};
    bool is_seen_ = false;
  };

  struct Taken {
    Connection* connection = nullptr;  ///< null: nothing there
    PeerSlots::Payload payload;
    WorkIndexQueue::Job job{};
  };

  /// Links a worker's file into `service`, announces it, and connects to the producers that are
  /// there. `held` tells which cells' jobs are with the user. The references must outlive it.
  /// Whoever may write the file with `mode` can give the jobs of this worker to others when it is
  /// dead.
  [[nodiscard]] static Result<std::unique_ptr<WorkerChannel>> create(
      const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config,
      const HandleCells& held);
  /// Unlinks the file and announces that. Precondition: no job is held.
  ~WorkerChannel();
  WorkerChannel(const WorkerChannel&) = delete;
  WorkerChannel& operator=(const WorkerChannel&) = delete;

  /// Takes a job for the handle `cell`. A job whose payload cannot be read is not handed out, see
  /// `failure()`. Lock-free; system calls only when ports came or went, a producer took more
  /// memory, or, at most every kLongestSleep, when there is no job.
  [[nodiscard]] Taken take(std::uint32_t cell) noexcept {
    if (queue_) [[likely]] {
      if (const auto job = (*queue_)->take(seat_)) [[likely]]
        return open(*job, cell);
    }
    if (!has_looked()) [[likely]]
      return {};
    const auto job = queue_ ? (*queue_)->take(seat_) : std::nullopt;
    return job ? open(*job, cell) : Taken{};
  }

  /// The job is done, or goes to the next worker that asks. False if it was not this worker's any
  /// more. Lock-free; a system call only if somebody sleeps, or the producer has left.
  bool finish(const WorkIndexQueue::Job& job, Connection& connection) noexcept;
  bool put_back(const WorkIndexQueue::Job& job) noexcept;

  /// Whether there may be something to take.
  [[nodiscard]] bool has_ready() const noexcept {
    return board_.generation_now() != seen_generation_ || (queue_ && (*queue_)->has_ready());
  }
  /// Sleeps until there may be something, a worker may have died, or `timeout` is over.
  void wait(std::chrono::nanoseconds timeout);

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
  }
  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  /// Producers that the last look found alive.
  [[nodiscard]] std::uint32_t producers() const noexcept;
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  /// The failure, which is then forgotten.
  [[nodiscard]] Failure take_failure() noexcept { return std::exchange(failure_, {}); }

 private:
  WorkerChannel(const Directory& service, Board& board, const Config& config,
                const HandleCells& held)
      : service_(service),
        board_(board),
        config_(config),
        held_(held),
        by_seat_(kMaxSeats),
        held_of_(config.max_jobs) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);

  /// The payload of a job that was just taken.
  [[nodiscard]] Taken open(const WorkIndexQueue::Job& job, std::uint32_t cell) noexcept {
    // A producer on that seat announced itself before it pushed: if that is news, so is the file.
    follow_changes();
    Connection* const connection = by_seat_[job.producer].get();
    if (connection == nullptr || failure_.code != Errc::ok) [[unlikely]]
      return open_slowly(job, cell);
    const PeerSlots::Payload payload = connection->slots_.payload(job.slot);
    if (payload.data == nullptr) [[unlikely]]
      return open_slowly(job, cell);
    held_of_[cell] = connection;
    return {connection, payload, job};
  }

  bool has_looked() noexcept;
  void look_at(const std::string& name);
  void look_at_producer(const std::string& name, std::uint32_t seat);
  Result<void> connect(File file, std::uint32_t seat);
  Result<void> connect_to(std::uint32_t seat);
  Taken open_slowly(const WorkIndexQueue::Job& job, std::uint32_t cell) noexcept;
  void reap(const std::string& name) noexcept;
  void retire(std::unique_ptr<Connection>& connection);
  void ring_for_room() noexcept;
  [[nodiscard]] bool is_held(const Connection& connection) const noexcept;

  const Directory& service_;
  Board& board_;
  Config config_;
  const HandleCells& held_;
  SharedFile file_;
  std::string name_;
  std::uint32_t seat_ = 0;
  std::uint64_t seen_generation_ = 0;
  std::optional<WorkQueue> queue_;                    // set once
  std::vector<std::unique_ptr<Connection>> by_seat_;  // null: nobody there
  std::vector<std::unique_ptr<Connection>> retired_;  // whose file is gone, with jobs still held
  std::vector<const Connection*> held_of_;            // by cell
  Deadline next_look_{std::chrono::nanoseconds{0}};
  Failure failure_;
};

}  // namespace sluice
