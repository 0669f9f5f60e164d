// SPDX-License-Identifier: Apache-2.0
//
// The queue of a service, in the file `work_queue`, which belongs to nobody. The first producer
// makes it; it stays until the service is removed. A job in it names the seats of its producer and
// of the worker that has it. So a seat is not given away while a job names it: a dead worker's file
// goes after its jobs were put back, a dead producer's after its jobs are done.
#pragma once

#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/pattern/work_queue/layout.hpp>
#include <sluice/queue/work_index_queue.hpp>
#include <sluice/service/service.hpp>
#include <sluice/wait/doorbell.hpp>
#include <utility>

namespace sluice {

/// A participant's view of the queue. Move-only. Thread safety: as `WorkIndexQueue`; `room` any.
class WorkQueue {
 public:
  /// Maps the queue of the service. Errors: not_found where no producer has made it yet; corrupted,
  /// version_mismatch, no_address_space, …
  [[nodiscard]] static Result<WorkQueue> open(const Directory& service);
  /// The same, but makes it where there is none, with room for `depth` jobs (rounded up to a power
  /// of two). The caller is a participant of the service, so that nobody removes it meanwhile.
  [[nodiscard]] static Result<WorkQueue> open_or_make(const Service& service, std::uint32_t depth);

  /// One of no service, for a producer that was never open.
  [[nodiscard]] static WorkQueue none();

  [[nodiscard]] WorkIndexQueue& operator*() noexcept { return queue_; }
  [[nodiscard]] WorkIndexQueue* operator->() noexcept { return &queue_; }
  [[nodiscard]] const WorkIndexQueue* operator->() const noexcept { return &queue_; }
  [[nodiscard]] Doorbell& room() const noexcept {
    return file_.region().at<WorkQueueFile>(0)->room;
  }

 private:
  WorkQueue(SharedFile file, WorkIndexQueue::Words& words, std::uint32_t capacity) noexcept
      : file_(std::move(file)), queue_(words, capacity) {}

  SharedFile file_;
  WorkIndexQueue queue_;
};

}  // namespace sluice
