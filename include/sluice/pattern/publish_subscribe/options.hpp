// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen for a publisher and a subscriber. Every field has a default that suits most
// programs; values outside the limits are refused with Errc::invalid_options.
#pragma once

#include <cstdint>
#include <sluice/service/open_mode.hpp>

namespace sluice {

/// What happens to a subscriber that does not keep up.
enum class Delivery : std::uint32_t {
  latest,    ///< It loses the oldest samples, and is told how many. Nobody waits for it.
  lossless,  ///< `loan` finds no room until it has read on, unless it is dead or `may_lose`.
};

/// Everything that a publisher has: a subscriber's default depth and history.
inline constexpr std::uint32_t kAll = UINT32_MAX;

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
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

/// What a `Writer` is more than a publisher.
struct WriterRole {
  bool is_writer = false;
  bool is_exclusive = false;  ///< no other writer or publisher at the same time
};

struct SubscriberOptions {
  /// How far this subscriber may fall behind a publisher before it loses the oldest samples; at
  /// most, and by default, the publisher's own depth. At least 1.
  std::uint32_t depth = kAll;
  /// Old samples to start with; at most, and by default, what each publisher offers.
  std::uint32_t history = kAll;
  /// Samples that may be held at once. 1 to 256. Publishers have memory for so many more.
  std::uint32_t max_borrowed = 4;
  /// Under lossless delivery: this subscriber loses the oldest samples, as under `latest`, instead
  /// of making a publisher wait. For those who only look on: a viewer, a logger.
  bool may_lose = false;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

}  // namespace sluice
