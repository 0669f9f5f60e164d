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
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/work_index_queue.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/wait/doorbell.hpp>

namespace sluice {

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

extern const PortKind kProducerKind;
extern const PortKind kWorkerKind;

}  // namespace sluice
