// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/core/error.hpp>
#include <sluice/pattern/work_queue/worker_port.hpp>
#include <span>
#include <utility>

namespace sluice {

/// What jobs of every type have in common.
class JobBase {
 public:
  JobBase() = default;
  JobBase(WorkerPort* owner, const Assigned& assigned) noexcept
      : owner_(owner), assigned_(assigned) {}
  JobBase(JobBase&& other) noexcept
      : owner_(other.owner_), assigned_(std::exchange(other.assigned_, {.error = Errc::closed})) {}
  JobBase& operator=(JobBase&& other) noexcept {
    if (this != &other) {
      done();
      owner_ = other.owner_;
      assigned_ = std::exchange(other.assigned_, {.error = Errc::closed});
    }
    return *this;
  }
  ~JobBase() { done(); }

  [[nodiscard]] explicit operator bool() const noexcept { return assigned_.payload != nullptr; }
  /// Why there is no job: ok (nothing there yet), timed_out, too_many_borrowed (`max_jobs` are
  /// held), forked, corrupted or version_mismatch (a job was dropped whose producer cannot be
  /// read), closed (moved from, done or rejected).
  [[nodiscard]] Errc error() const noexcept { return assigned_.error; }

  /// 1 if no worker had the job before; one more for each that died with it or rejected it, up to
  /// 64.
  [[nodiscard]] std::uint32_t attempt() const noexcept { return assigned_.job.attempt; }

  /// The job is done; its memory goes back to its producer. Returns whether it was this worker's
  /// until now, which it is while this process lives. Any thread. Lock-free; a system call only if
  /// a producer waits for room, or the producer of the job has left.
  bool done() noexcept {
    if (assigned_.payload == nullptr) return false;
    return owner_->done(std::exchange(assigned_, {.error = Errc::closed}));
  }
  /// Puts the job back, for any worker to take, before all that nobody had yet: this one, too.
  /// Otherwise as `done`; a system call only if a worker sleeps.
  bool reject() noexcept {
    if (assigned_.payload == nullptr) return false;
    return owner_->reject(std::exchange(assigned_, {.error = Errc::closed}));
  }

 protected:
  WorkerPort* owner_ = nullptr;
  Assigned assigned_{.error = Errc::closed};
};

/// A job that this worker has and no other, read where its producer wrote it. False where there was
/// none. Move-only. Destroying it means that it is done; a worker that is killed has not done it.
/// May outlive its port and its producer, and end on any thread.
template <typename T>
class [[nodiscard]] Job : public JobBase {
 public:
  using JobBase::JobBase;

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] const T* get() const noexcept {
    return reinterpret_cast<const T*>(assigned_.payload);
  }
  [[nodiscard]] const T& operator*() const noexcept { return *get(); }
  [[nodiscard]] const T* operator->() const noexcept { return get(); }
};

/// A job whose payload is a slice.
template <typename T>
class [[nodiscard]] Job<T[]> : public JobBase {
 public:
  using JobBase::JobBase;

  /// Precondition, here and below: holds a slice, which may be empty.
  [[nodiscard]] const T* data() const noexcept {
    return reinterpret_cast<const T*>(assigned_.payload);
  }
  [[nodiscard]] std::size_t size() const noexcept { return assigned_.count; }
  [[nodiscard]] bool empty() const noexcept { return assigned_.count == 0; }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size(); }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<const T> span() const noexcept { return {data(), size()}; }
};

}  // namespace sluice
