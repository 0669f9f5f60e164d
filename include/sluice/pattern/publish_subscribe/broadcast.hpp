// SPDX-License-Identifier: Apache-2.0
//
// The files of a publisher and of a subscriber: which words are where, and who writes them.
//
//   publisher.<seat>, written by the publisher alone
//   +--------+--------+------+------------+----------------+-----------------+-------------------+
//   | header | fixed  | head | slot table | ring[capacity] | help[kMaxSeats] | heap: slots, …    |
//   +--------+--------+------+------------+----------------+-----------------+-------------------+
//
//   subscriber.<seat>, written by the subscriber alone
//   +--------+--------+-------+--------+--------+-----
//   | header | fixed  | rows  | row 0  | row 1  | …      a row for each publisher that it reads
//   +--------+--------+-------+--------+--------+-----
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/queue/broadcast_index_queue.hpp>

namespace sluice {

inline constexpr std::uint32_t kMaxDepth = 1U << 20;
inline constexpr std::uint32_t kMaxRingCapacity = 2 * kMaxDepth;  ///< a lossless publisher's
inline constexpr std::uint32_t kMaxHandles =
    256;  ///< loans of a publisher, samples of a subscriber

static_assert(SlotTable::chunk_of(kMaxSlots) < SlotTable::kChunks);

struct PublisherFile {
  FileHeader header;
  std::uint32_t capacity;  ///< entries of the ring, a power of two
  std::uint32_t delivery;
  std::uint32_t history;  ///< samples that a late subscriber gets
  std::uint32_t unused;
  std::uint64_t ring_offset;
  std::uint64_t help_offset;
  std::uint64_t unused_too[4];
  BroadcastHead words;
  SlotTable slots;  ///< ordered by `words.slots`
};
static_assert(offsetof(PublisherFile, capacity) == 64 && offsetof(PublisherFile, words) == 128 &&
              offsetof(PublisherFile, slots) == 192);

struct SubscriberFile {
  FileHeader header;
  std::uint32_t max_borrowed;  ///< claims in a row
  std::uint32_t unused;
  std::uint64_t depth;  ///< how far it trails a publisher at most
  std::uint64_t row_bytes;
  std::uint64_t unused_too[5];
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> rows;  ///< rows that exist; only grows
  /// 1 after the first look for publishers: those that come from then on are read from their first
  /// sample on.
  std::atomic<std::uint64_t> looked;

  static constexpr std::uint64_t kRowsOffset = 192;
};
static_assert(offsetof(SubscriberFile, max_borrowed) == 64 &&
              offsetof(SubscriberFile, rows) == 128 && offsetof(SubscriberFile, looked) == 136 &&
              sizeof(SubscriberFile) == SubscriberFile::kRowsOffset);

}  // namespace sluice
