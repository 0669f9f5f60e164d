// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <sluice/pattern/work_queue/worker_port.hpp>

namespace sluice {

/// What jobs of every type have in common.
class JobBase : public Handle<WorkerPort, Borrowed> {
 public:
  using Handle::Handle;

  /// Why there is no job: ok (nothing there yet), timed_out, too_many_borrowed (`max_jobs` are
  /// held), forked, corrupted or version_mismatch (a job was dropped whose producer cannot be
  /// read), closed (moved from, done or rejected).
  using Handle::error;

  /// 1 if no worker had the job before; one more for each that died with it or rejected it, up to
  /// 64.
  [[nodiscard]] std::uint32_t attempt() const noexcept {
    return static_cast<std::uint32_t>(what_.sequence);
  }

  /// The job is done; its memory goes back to its producer. Returns whether it was this worker's
  /// until now, which it is while this process lives. Any thread. Lock-free; a system call only if
  /// a producer waits for room, or the producer of the job has left.
  bool done() noexcept { return *this && owner_->give_back(take()); }
  /// Puts the job back, for any worker to take, before all that nobody had yet: this one, too.
  /// Otherwise as `done`; a system call only if a worker sleeps.
  bool reject() noexcept { return *this && owner_->reject(take()); }
};

/// A job, of one payload or a slice, `T[]`, that this worker has and no other, read where its
/// producer wrote it. False where there was none. Move-only. Destroying it means that it is done; a
/// worker that is killed has not done it. May outlive its port and its producer, and end on any
/// thread.
template <typename T>
class [[nodiscard]] Job : public PayloadHandle<JobBase, const T> {
 public:
  using PayloadHandle<JobBase, const T>::PayloadHandle;
};

}  // namespace sluice
