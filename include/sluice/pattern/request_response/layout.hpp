// SPDX-License-Identifier: Apache-2.0
//
// The files of a client and of a server: which words are where, and who writes them. Each owns the
// slots of what it sends, and a row for every peer that it is connected with.
//
//   client.<seat>, written by the client alone
//   +--------+-------+------------+-----------------+----------------------+
//   | header | fixed | slot table | rows[kMaxSeats] | heap: requests, rows |
//   +--------+-------+------------+-----------------+----------------------+
//
//   server.<seat>, written by the server alone
//   +--------+-------+------------+-----------------+-----------------------+
//   | header | fixed | slot table | rows[kMaxSeats] | heap: responses, rows |
//   +--------+-------+------------+-----------------+-----------------------+
//
// `rows[s]` is the offset of the row for the peer on seat s. A row is zeroed memory, made for one
// pair of incarnations, and never used for another.
//
//   client's row for a server            server's row for a client
//   | server | requests | claims | heads |     | client | head | lane 0 | lane 1 | …
//                                         lane i: | responses[depth] | done |
//
// Requests go through one queue: entries `requests` here, `head` there. Responses to the request in
// slot i go through lane i: entries `responses` there, `heads[i]` here. So no stream waits for
// another, and who waits for one response polls one line.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/fixed_words.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/platform/cache_line.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

/// Limits of every number of handles in this pattern.
inline constexpr std::uint32_t kMaxExchanges = 256;
inline constexpr std::uint32_t kMaxResponseDepth = 1024;

/// Slots that a client may have for each request that may be pending. Those beyond the first are
/// made when they are needed, in place of those that a server keeps and does not end. A server
/// keeps `max_pending` of them at most; so it takes several that stop at different times until a
/// client has none left.
inline constexpr std::uint32_t kSlotsPerPending = 4;

/// In front of each request and response, where its slot begins.
struct MessageHeader {
  /// Of the request, from 1: which it is, or which it answers. Ordered by the queue's entry.
  std::atomic<std::uint64_t> number;
  /// Of a request: its number while its responses are wanted. In the line that the server reads.
  std::atomic<std::uint64_t> wanted;
};
static_assert(sizeof(MessageHeader) == sizeof(SlotHeader));

/// A client's fixed words.
struct ClientShape {
  std::uint32_t max_pending;   ///< requests that one server has not ended, at most
  std::uint32_t max_borrowed;  ///< claims in a row
};

struct ClientFile {
  FileHeader header;
  FixedWords<ClientShape> shape;
  std::uint64_t unused[7];
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> slot_count;
  alignas(kCacheLineBytes) SlotTable slots;
  /// Offset of the row for the server on each seat; 0: none.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> rows[kMaxSeats];
};
static_assert(offsetof(ClientFile, shape) == 64 && offsetof(ClientFile, slot_count) == 128 &&
              offsetof(ClientFile, slots) == 192 && offsetof(ClientFile, rows) == 384 &&
              sizeof(ClientFile) == 384 + 8 * kMaxSeats);

/// A server's fixed words.
struct ServerShape {
  std::uint32_t depth;  ///< responses in a lane, a power of two
  std::uint32_t unused;
};

struct ServerFile {
  FileHeader header;
  FixedWords<ServerShape> shape;
  std::uint64_t unused[7];
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> slot_count;
  /// 1: takes no more requests; it stays for those that it works on.
  std::atomic<std::uint64_t> is_leaving;
  alignas(kCacheLineBytes) SlotTable slots;
  /// Offset of the row for the client on each seat; 0: none.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> rows[kMaxSeats];
};
static_assert(offsetof(ServerFile, shape) == 64 && offsetof(ServerFile, slot_count) == 128 &&
              offsetof(ServerFile, is_leaving) == 136 && offsetof(ServerFile, slots) == 192 &&
              offsetof(ServerFile, rows) == 384);

/// Whole cache lines for `words` words.
[[nodiscard]] constexpr std::uint64_t line_bytes(std::uint64_t words) noexcept {
  return (8 * words + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

/// A client's row for a server: where its words are. Both sides work it out from the client's
/// limits.
///
///   0          64                 claims_offset()        heads_offset()
///   | server   | requests[…]      | claims[max_borrowed] | heads[slots()] |
struct ClientRow {
  std::uint32_t max_pending;
  std::uint32_t max_borrowed;

  static constexpr std::uint64_t kRequestsOffset = kCacheLineBytes;
  /// Slots of requests that there may be.
  [[nodiscard]] constexpr std::uint32_t slots() const noexcept {
    return kSlotsPerPending * max_pending;
  }
  /// Entries of the queue of requests. A slot is in it once at most, and no more than `max_pending`
  /// are, so that it is never too small.
  [[nodiscard]] constexpr std::uint64_t queue_capacity() const noexcept {
    return std::bit_ceil(std::uint64_t{max_pending});
  }
  /// slot + 1 of each response that the client holds.
  [[nodiscard]] constexpr std::uint64_t claims_offset() const noexcept {
    return kRequestsOffset + line_bytes(queue_capacity());
  }
  /// Responses that were taken from each lane.
  [[nodiscard]] constexpr std::uint64_t heads_offset() const noexcept {
    return claims_offset() + line_bytes(max_borrowed);
  }
  [[nodiscard]] constexpr std::uint64_t bytes() const noexcept {
    return heads_offset() + line_bytes(slots());
  }
};

/// A server's row for a client.
///
///   0          64       128      lane_offset(1)
///   | client   | head   | lane 0 | lane 1 | …      lane: | responses[depth] | done |
struct ServerRow {
  std::uint32_t slots;  ///< the client's, `ClientRow::slots()`
  std::uint32_t depth;

  /// Requests that were taken.
  static constexpr std::uint64_t kHeadOffset = kCacheLineBytes;
  /// Entries of the lane of slot i, …
  [[nodiscard]] constexpr std::uint64_t lane_offset(std::uint64_t i) const noexcept {
    return 2 * kCacheLineBytes + i * line_bytes(std::uint64_t{depth} + 1);
  }
  /// … and number of the last request in it whose stream has ended.
  [[nodiscard]] constexpr std::uint64_t done_offset(std::uint64_t i) const noexcept {
    return lane_offset(i) + 8 * std::uint64_t{depth};
  }
  [[nodiscard]] constexpr std::uint64_t bytes() const noexcept { return lane_offset(slots); }
};

extern const PortKind kClientKind;
extern const PortKind kServerKind;

}  // namespace sluice
