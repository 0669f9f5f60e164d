// SPDX-License-Identifier: Apache-2.0
//
// The files of a publisher and of a subscriber: which words are where, and who writes them.
//
//   publisher.<seat>, written by the publisher alone
//   +--------+--------+-------+-------------+----------------+------------------------------------+
//   | header | fixed  | head  | slot_chunks | ring[capacity] | help[kMaxSeats] | heap: slots,
//   chunks
//   +--------+--------+-------+-------------+----------------+------------------------------------+
//   slot:  | sequence (reserved) | bytes (reserved) | … payload at payload_offset |
//
//   subscriber.<seat>, written by the subscriber alone
//   +--------+--------+-------+--------+--------+-----
//   | header | fixed  | rows  | row 0  | row 1  | …      a row for each publisher that it reads
//   +--------+--------+-------+--------+--------+-----
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/queue/broadcast_index_queue.hpp>

namespace sluice {

inline constexpr std::uint32_t kMaxDepth = 1U << 20;
inline constexpr std::uint32_t kMaxRingCapacity = 2 * kMaxDepth;  ///< a lossless publisher's
inline constexpr std::uint32_t kMaxHandles =
    256;  ///< loans of a publisher, samples of a subscriber
inline constexpr std::uint64_t kMaxPayloadAlignment = 4096;

/// In front of every payload. The place of the form that waits for one cache line instead of two.
struct SlotHeader {
  std::uint64_t sequence;  ///< 0 in this layout
  std::uint64_t bytes;     ///< 0 in this layout
};
static_assert(sizeof(SlotHeader) == 16);

/// The offset of each slot is in a table that grows in chunks: chunk k holds 64 * 2^k offsets.
struct SlotTable {
  static constexpr std::uint32_t kChunks = 19;  // 64 * (2^19 - 1) slots, above kMaxSlots
  static constexpr std::uint32_t kFirst = 64;

  static constexpr std::uint32_t chunk_of(std::uint32_t slot) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(slot / kFirst + 1)) - 1;
  }
  static constexpr std::uint32_t chunk_size(std::uint32_t chunk) noexcept {
    return kFirst << chunk;
  }
  static constexpr std::uint32_t index_in_chunk(std::uint32_t slot) noexcept {
    return slot - kFirst * ((1U << chunk_of(slot)) - 1);
  }
};
static_assert(SlotTable::chunk_of(0) == 0 && SlotTable::chunk_of(63) == 0);
static_assert(SlotTable::chunk_of(64) == 1 && SlotTable::index_in_chunk(64) == 0);
static_assert(SlotTable::chunk_of(191) == 1 && SlotTable::index_in_chunk(191) == 127);
static_assert(SlotTable::chunk_of(kMaxSlots) < SlotTable::kChunks);

struct PublisherFile {
  FileHeader header;
  std::uint32_t capacity;  ///< entries of the ring, a power of two
  std::uint32_t delivery;
  std::uint64_t payload_bytes;
  std::uint64_t payload_alignment;
  std::uint32_t history;         ///< samples that a late subscriber gets
  std::uint32_t payload_offset;  ///< from the start of a slot
  std::uint64_t ring_offset;
  std::uint64_t help_offset;
  std::uint64_t unused[2];
  BroadcastHead words;
  /// Offset of each chunk of the slot table. Ordered by `words.slots`.
  std::atomic<std::uint64_t> slot_chunks[SlotTable::kChunks];
};
static_assert(offsetof(PublisherFile, capacity) == 64 && offsetof(PublisherFile, words) == 128 &&
              offsetof(PublisherFile, slot_chunks) == 192);

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
