// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen for a port. Every field has a default that suits most programs.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/pattern/events/event_id.hpp>

namespace sluice {

/// What happens to a subscriber that does not keep up.
enum class Delivery : std::uint32_t {
  latest,    ///< It loses the oldest samples, and is told how many. Nobody waits for it.
  lossless,  ///< `loan` finds no room until it has read on. A dead subscriber is not waited for.
};

/// The most address space that can be asked for: 1 TiB.
inline constexpr std::uint64_t kMaxHeapBytes = std::uint64_t{1} << 40;

/// Everything that a publisher has: a subscriber's default depth and history.
inline constexpr std::uint32_t kAll = UINT32_MAX;

/// Values outside the limits are refused with Errc::invalid_options.
struct PublisherOptions {
  /// Samples that a subscriber which joins late still gets, if it wants them. 0 to 1,048,576.
  std::uint32_t history = 0;
  /// How far a subscriber may fall behind, in samples. 1 to 1,048,576; rounded up to a power of
  /// two, and to at least `history`. Each sample of depth takes the memory of one payload.
  std::uint32_t depth = 16;
  /// Loans that may be held at once. 1 to 256.
  std::uint32_t max_loans = 4;
  /// A service has one policy; its first publisher decides, others are refused with
  /// Errc::delivery_mismatch.
  Delivery delivery = Delivery::latest;
  /// Address space, which costs nothing, for slices and for what containers in payloads take: the
  /// most that the samples in the ring and in the hands of subscribers can have together. In bytes,
  /// up to 1 TiB. Memory is taken from the system as payloads need it.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
};

struct SubscriberOptions {
  /// How far this subscriber may fall behind a publisher before it loses the oldest samples; at
  /// most, and by default, the publisher's own depth. At least 1.
  std::uint32_t depth = kAll;
  /// Old samples to start with; at most, and by default, what each publisher offers.
  std::uint32_t history = kAll;
  /// Samples that may be held at once. 1 to 256. Publishers have memory for so many more.
  std::uint32_t max_borrowed = 4;
};

/// Events that the listeners get without a call of `notify`. By default none.
struct NotifierOptions {
  /// When the notifier has joined. A listener that comes later does not get it.
  std::optional<EventId> on_join = {};
  /// When it is destroyed.
  std::optional<EventId> on_leave = {};
  /// When it was killed, or ended without being destroyed. A listener that waits gets it within
  /// about 200 ms. Also after `on_leave`, where it was killed while it was being destroyed.
  std::optional<EventId> on_death = {};
};

struct ClientOptions {
  /// Requests that are loaned, pending, or dropped by this client and still with a server. 1 to
  /// 256. Each takes the memory of one request, and in each server that of its responses.
  std::uint32_t max_pending = 16;
  /// Responses that may be held at once. 1 to 256. Servers have memory for so many more.
  std::uint32_t max_borrowed = 4;
  /// Address space for the elements of slices in requests, in bytes, up to 1 TiB.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
};

struct ServerOptions {
  /// Requests that may be held at once, of all clients. 1 to 256. Others wait.
  std::uint32_t max_requests = 16;
  /// Loans of responses that may be held at once. 1 to 256.
  std::uint32_t max_loans = 4;
  /// How far the responses to one request may be ahead of its client. 1 to 1024; rounded up to a
  /// power of two. A request with one response needs no more than 1.
  std::uint32_t depth = 8;
  /// Address space for the elements of slices in responses, in bytes, up to 1 TiB.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
};

/// What the service has already; where it has none yet, the default.
inline constexpr std::uint32_t kAny = UINT32_MAX;

struct ProducerOptions {
  /// Jobs of all producers together that may be waiting or under way, counted from the oldest. 1 to
  /// 2048; rounded up to a power of two. A service has one depth; its first producer decides, by
  /// default for 256, and others that ask for another one are refused.
  std::uint32_t depth = kAny;
  /// Loans that may be held at once. 1 to 256. A producer has memory for up to `depth` +
  /// `max_loans` payloads; it takes what it needs at once.
  std::uint32_t max_loans = 4;
  /// As `PublisherOptions::heap_bytes`: the most that the loans and the jobs that are not done can
  /// have together.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
};

struct WorkerOptions {
  /// Jobs that may be held at once. 1 to 256.
  std::uint32_t max_jobs = 4;
};

}  // namespace sluice
