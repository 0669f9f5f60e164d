// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen for a producer and a worker. Every field has a default that suits most
// programs; values outside the limits are refused with Errc::invalid_options.
#pragma once

#include <cstdint>
#include <sluice/service/open_mode.hpp>

namespace sluice {

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
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

struct WorkerOptions {
  /// Jobs that may be held at once. 1 to 256.
  std::uint32_t max_jobs = 4;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

}  // namespace sluice
