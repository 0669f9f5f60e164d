// SPDX-License-Identifier: Apache-2.0
//
// The floor of what passes between two processes that poll: a bare sequence number, there on one
// cache line and back on another; and medians of batches of such trips.
#pragma once

#include <atomic>

#include "support.hpp"

namespace bench {

/// A batch is far shorter than a time slice: its median passes over what the scheduler took away.
inline constexpr int kTripsInBatch = 200;

/// 256 bytes between the two: no prefetcher takes one for the other's neighbour.
struct Floor {
  alignas(256) std::atomic<std::uint64_t> there;
  alignas(256) std::atomic<std::uint64_t> back;
};

/// One end of the ping-pong on a floor that both processes share.
class FloorEnd {
 public:
  explicit FloorEnd(Floor& words) : words_(words) {}

  /// One trip, there and back, of the process that asks.
  void ask() noexcept {
    words_.there.store(++sent_, std::memory_order_release);
    while (words_.back.load(std::memory_order_acquire) != sent_) {
    }
  }
  /// The same of the process that answers.
  void answer() noexcept {
    ++sent_;
    while (words_.there.load(std::memory_order_acquire) != sent_) {
    }
    words_.back.store(sent_, std::memory_order_release);
  }

 private:
  Floor& words_;
  std::uint64_t sent_ = 0;
};

/// Nanoseconds a trip: the median of the batches.
template <typename Trip>
double batch_ns(int batches, Trip&& make_trip) {
  std::vector<double> times;
  for (int batch = 0; batch < batches; ++batch) {
    const std::int64_t start = now_ns();
    for (int i = 0; i < kTripsInBatch; ++i) make_trip();
    times.push_back(static_cast<double>(now_ns() - start) / kTripsInBatch);
  }
  return median(std::move(times));
}

}  // namespace bench
