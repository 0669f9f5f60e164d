// SPDX-License-Identifier: Apache-2.0
//
// One publisher, any number of subscribers: a ring of sample handles that the publisher alone
// writes, and for each subscriber a row that the subscriber alone writes.
//
//   publisher's words                        a subscriber's words (its row for this publisher)
//   +--------+------------------+--------+   +-----------+--------+---------+----------+--------+
//   | head   | ring[capacity]   | help[] |   | publisher | cursor | request | answered | claims |
//   +--------+------------------+--------+   +-----------+--------+---------+----------+--------+
//
// Invariants
//  - A word has one writer. Whatever a killed process wrote stays valid; it stops changing.
//  - A slot is free, loaned, in the ring, or retired (evicted, perhaps still claimed). It goes from
//    retired to free in `reclaim` alone, and only when no row claims or pins it.
//  - A subscriber reads a payload only between a validated claim (or a pin) and `release`.
//
// Why a validated claim holds: the subscriber stores its claim, passes a seq_cst fence and finds
// the entry unchanged; the publisher overwrites the entry, passes a seq_cst fence and reads the
// claims. Whichever fence comes second sees the other side's store.
//
// Progress: every operation is wait-free. `take` fails a try only when the publisher overwrote what
// it was looking at; after `kTries` it asks for help, and since a publisher recycles no slot
// without `reclaim`, which answers every request, a further `slots` publications at most can pass.
//
// Source: the announce-and-validate scheme is that of hazard pointers (M. Michael, 2004), the help
// that of wait-free constructions (M. Herlihy, 1991). docs/memory_model.md lists every pair.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/core/index.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/queue/tagged_entry.hpp>

namespace sluice {

/// A sample handle as it stands in the ring: the entry's index is a slot.
struct SampleHandle : TaggedEntry {
  static constexpr Slot slot(std::uint64_t entry) noexcept { return index(entry); }
};

inline constexpr std::uint32_t kMaxSlots = SampleHandle::kMaxIndex;

/// The publisher's line that everybody polls.
struct alignas(kCacheLineBytes) BroadcastHead {
  std::atomic<std::uint64_t> head;   ///< number of samples published
  std::atomic<std::uint64_t> slots;  ///< number of slots that exist; only grows
};

/// The publisher's answer to one subscriber seat: `entry` is that of the pinned sample.
struct BroadcastHelp {
  std::atomic<std::uint64_t> request;
  std::atomic<std::uint64_t> entry;
};

/// A subscriber's words for one publisher. `claims` follow directly behind it.
struct alignas(kCacheLineBytes) BroadcastRow {
  std::atomic<std::uint64_t> publisher;  ///< incarnation it is bound to; 0: nobody's
  std::atomic<std::uint64_t> cursor;     ///< next position to take; kUnset until it is known
  std::atomic<std::uint64_t> request;    ///< number of the last request for help
  std::atomic<std::uint64_t> answered;   ///< number of the last request that needs no help any more

  static constexpr std::uint64_t kUnset = UINT64_MAX;

  /// slot + 1 that the subscriber is looking at, or 0.
  [[nodiscard]] std::atomic<std::uint64_t>* claims() noexcept {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(this + 1);
  }
  [[nodiscard]] const std::atomic<std::uint64_t>* claims() const noexcept {
    return reinterpret_cast<const std::atomic<std::uint64_t>*>(this + 1);
  }
  /// Hands the row, which has `claim_count` claims and holds none, to the publisher `incarnation`.
  /// Requests count on from `first_request`: a random number, so that an answer that the seat's
  /// former subscriber got is never taken for one's own.
  void bind(std::uint64_t incarnation, std::uint64_t first_request,
            std::uint32_t claim_count) noexcept {
    // relaxed: ordered by the release that follows.
    cursor.store(kUnset, std::memory_order_relaxed);
    request.store(first_request, std::memory_order_relaxed);
    answered.store(first_request, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < claim_count; ++i) claims()[i].store(0, std::memory_order_relaxed);
    // release: pairs with the acquire of the publisher that looks for its row.
    publisher.store(incarnation, std::memory_order_release);
  }
  /// Bytes of a row with `claim_count` claims, a multiple of the cache line.
  static constexpr std::size_t bytes(std::size_t claim_count) noexcept {
    return sizeof(std::uint64_t) * ((8 + claim_count + 7) / 8 * 8);
  }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(sizeof(BroadcastHead) == 64 && offsetof(BroadcastHead, slots) == 8);
static_assert(sizeof(BroadcastHelp) == 16 && offsetof(BroadcastHelp, entry) == 8);
static_assert(sizeof(BroadcastRow) == 64 && offsetof(BroadcastRow, answered) == 24);
static_assert(BroadcastRow::bytes(1) == 128 && BroadcastRow::bytes(8) == 128);

}  // namespace sluice
