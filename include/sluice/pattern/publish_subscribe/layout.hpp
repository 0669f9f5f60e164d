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
#include <sluice/memory/fixed_words.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/queue/broadcast_words.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

inline constexpr std::uint32_t kMaxDepth = 1U << 20;
inline constexpr std::uint32_t kMaxRingCapacity = 2 * kMaxDepth;  ///< a lossless publisher's
/// Loans of a publisher, samples of a subscriber.
inline constexpr std::uint32_t kMaxHandles = 256;

static_assert(SlotTable::chunk_of(kMaxSlots) < SlotTable::kChunks);

/// When a sample was published, as far as its publisher says so: the order of samples of different
/// publishers.
struct Moment {
  std::uint64_t stamp = 0;      ///< `SlotHeader::stamp`
  std::uint64_t announced = 0;  ///< `FileHeader::announced` of the publisher

  /// Whoever does not stamp has not met the other: it came when the other's file was gone, or has
  /// published before the other came.
  [[nodiscard]] bool is_before(const Moment& other) const noexcept {
    if (stamp == 0 || other.stamp == 0) return announced < other.announced;
    return stamp < other.stamp;
  }
};

/// A publisher's fixed words.
struct PublisherShape {
  std::uint32_t capacity;  ///< entries of the ring, a power of two
  std::uint32_t delivery;
  std::uint32_t history;     ///< samples that a late subscriber gets
  std::uint32_t keeps_last;  ///< 1: a writer, whose newest sample outlives it
  std::uint64_t ring_offset;
  std::uint64_t help_offset;
};

struct PublisherFile {
  FileHeader header;
  FixedWords<PublisherShape> shape;
  /// Samples of earlier publishers that were removed before all had found them.
  std::atomic<std::uint64_t> lost_before;
  /// `SlotHeader::stamp` of its newest sample.
  std::atomic<std::uint64_t> newest_stamp;
  std::uint64_t unused[2];
  BroadcastHead words;
  SlotTable slots;  ///< ordered by `words.slots`
};
static_assert(offsetof(PublisherFile, shape) == 64 && sizeof(PublisherShape) == 32 &&
              offsetof(PublisherShape, ring_offset) == 16 &&
              offsetof(PublisherFile, newest_stamp) == 104 &&
              offsetof(PublisherFile, words) == 128 && offsetof(PublisherFile, slots) == 192);

/// A subscriber's fixed words.
struct SubscriberShape {
  std::uint32_t max_borrowed;  ///< claims in a row
  std::uint32_t may_lose;      ///< 1: lossless publishers do not wait for it
  std::uint64_t depth;         ///< how far it trails a publisher at most
  std::uint64_t row_bytes;
};

struct SubscriberFile {
  FileHeader header;
  FixedWords<SubscriberShape> shape;
  std::atomic<std::uint64_t> has_closed;  ///< 1: it reads on no more, though samples may be held
  std::uint64_t unused[4];
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> rows;  ///< rows that exist; only grows

  static constexpr std::uint64_t kRowsOffset = 192;
};
static_assert(offsetof(SubscriberFile, shape) == 64 && sizeof(SubscriberShape) == 24 &&
              offsetof(SubscriberFile, has_closed) == 88 && offsetof(SubscriberFile, rows) == 128 &&
              sizeof(SubscriberFile) == SubscriberFile::kRowsOffset);

extern const PortKind kPublisherKind;
extern const PortKind kSubscriberKind;

}  // namespace sluice
