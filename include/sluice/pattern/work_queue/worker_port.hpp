// SPDX-License-Identifier: Apache-2.0
//
// What is the same for workers of every payload type: the service, the channel, and which jobs are
// held.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/pattern/handle_owner.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/work_queue/worker_channel.hpp>
#include <string_view>

namespace sluice {

/// What a worker hands out to be done.
struct Assigned {
  const std::byte* payload = nullptr;  ///< null: none
  std::uint64_t count = 1;             ///< elements of a slice
  WorkIndexQueue::Job job{};
  WorkerChannel::Connection* producer = nullptr;
  std::uint32_t cell = 0;
  Errc error = Errc::ok;
};

/// Thread safety: one thread at a time, except `done`, `reject` and `drop`.
class WorkerPort final : public HandleOwner, public Waitable {
 public:
  ~WorkerPort() override = default;

  /// Errors: see `Worker::Worker`.
  [[nodiscard]] static Result<WorkerPort*> create(const Node& node, std::string_view service,
                                                  Schema schema, const PayloadLayout& payload,
                                                  const WorkerOptions& options);

  [[nodiscard]] Assigned receive() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const std::uint32_t cell = cells_.acquire();
    if (cell == HandleCells::kNone) [[unlikely]]
      return {.error = fail_too_many()};
    WorkerChannel::Taken taken = channel_->take(cell);
    if (taken.connection == nullptr && settle_descriptor()) [[unlikely]]
      taken = channel_->take(cell);
    if (taken.connection == nullptr) {
      cells_.withdraw(cell);
      return {.error = report(*channel_)};
    }
    return {.payload = taken.payload.data,
            .count = taken.payload.count,
            .job = taken.job,
            .producer = taken.connection,
            .cell = cell};
  }
  /// Sleeps until there is a job, at most `timeout`.
  [[nodiscard]] Assigned wait(std::chrono::nanoseconds timeout) noexcept;

  /// Ends the handle of a job. Any thread; afterwards this may be gone. Whether the job was still
  /// this worker's.
  bool done(const Assigned& assigned) noexcept;
  bool reject(const Assigned& assigned) noexcept;

  [[nodiscard]] Doorbell& doorbell() noexcept override { return service().board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return service().directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept { return descriptor_of(*this); }

  [[nodiscard]] std::uint32_t producers() noexcept;

 private:
  explicit WorkerPort(const WorkerOptions& options) : HandleOwner("worker", options.max_jobs) {}

  void before_close() noexcept override { cut_link(); }
  Errc fail_too_many() noexcept;

  std::unique_ptr<WorkerChannel> channel_;
};

}  // namespace sluice
