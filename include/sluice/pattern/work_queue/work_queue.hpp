// SPDX-License-Identifier: Apache-2.0
//
// The files of a work queue: which words are where, and who writes them.
//
//   work_queue, written by every producer and worker, with single atomic instructions
//   offset  0        64                 128      192
//           | header | capacity, 0, …   | room   | words of the queue: tail, head, …, cells |
//
//   producer.<seat>, written by the producer alone
//   offset  0        64      128          320
//           | header | slots | slot table | heap: slots, … |
//
//   worker.<seat>: a header, and the lock that says that the worker lives
//
// `work_queue` belongs to nobody. The first producer makes it; it stays until the service is
// removed. A job in it names the seats of its producer and of the worker that has it. So a seat is
// not given away while a job names it: a dead worker's file goes after its jobs were put back, a
// dead producer's after its jobs are done.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/work_index_queue.hpp>
#include <sluice/service/seats.hpp>
#include <sluice/wait/doorbell.hpp>
#include <string>

namespace sluice {

inline constexpr const char* kProducerKind = "producer";
inline constexpr const char* kWorkerKind = "worker";
static_assert(kMaxSeats == WorkIndexQueue::kMaxSeats);

/// Jobs of a queue that are not done, counted from the oldest. With the loans of one producer they
/// fit into the slots that a job can name.
inline constexpr std::uint32_t kMaxQueueDepth = 2048;
static_assert(kMaxQueueDepth <= WorkIndexQueue::kMaxCapacity);

struct WorkQueueFile {
  FileHeader header;
  std::uint32_t capacity;  ///< cells, a power of two
  std::uint32_t unused[15];
  /// Of producers that wait for room; rung when a job is done.
  alignas(kCacheLineBytes) Doorbell room;

  static constexpr std::uint64_t kWordsOffset = 192;
};
static_assert(offsetof(WorkQueueFile, capacity) == 64 && offsetof(WorkQueueFile, room) == 128 &&
              sizeof(WorkQueueFile) == WorkQueueFile::kWordsOffset);
static_assert(WorkQueueFile::kWordsOffset % kCacheLineBytes == 0);

struct ProducerFile {
  FileHeader header;
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> slots;  ///< that exist; only grows
  alignas(kCacheLineBytes) SlotTable table;                   ///< ordered by `slots`

  static constexpr std::uint64_t kHeapOffset = 320;
};
static_assert(offsetof(ProducerFile, slots) == 64 && offsetof(ProducerFile, table) == 128 &&
              sizeof(ProducerFile) == ProducerFile::kHeapOffset);

struct WorkerFile {
  FileHeader header;
};

/// A participant's view of the queue. Move-only. Thread safety: as `WorkIndexQueue`; `room` any.
class WorkQueue {
 public:
  /// Maps the queue of the service. Errors: not_found where no producer has made it yet; corrupted,
  /// version_mismatch, no_address_space, …
  [[nodiscard]] static Result<WorkQueue> open(const Directory& service);
  /// The same, but makes it where there is none, with room for `depth` jobs (rounded up to a power
  /// of two). The caller is a participant of the service, so that nobody removes it meanwhile.
  [[nodiscard]] static Result<WorkQueue> open_or_make(const Directory& service, std::uint64_t node,
                                                      mode_t mode, std::uint32_t depth);

  [[nodiscard]] WorkIndexQueue& operator*() noexcept { return queue_; }
  [[nodiscard]] WorkIndexQueue* operator->() noexcept { return &queue_; }
  [[nodiscard]] const WorkIndexQueue* operator->() const noexcept { return &queue_; }
  [[nodiscard]] Doorbell& room() const noexcept {
    return file_.region().at<WorkQueueFile>(0)->room;
  }

 private:
  explicit WorkQueue(SharedFile file, std::uint32_t capacity) noexcept;

  SharedFile file_;
  WorkIndexQueue queue_;
};

/// Last rites of a dead worker, with the lock of its file held: its jobs go to others. False: they
/// could not, the file must stay. Killed in the middle: the next reaper puts back the rest.
[[nodiscard]] bool put_back_jobs(const Directory& service, const std::string& worker);

/// Whether a dead producer's file can go, with its lock held: no job needs its slots.
[[nodiscard]] bool has_no_jobs(const Directory& service, const std::string& producer);

}  // namespace sluice
