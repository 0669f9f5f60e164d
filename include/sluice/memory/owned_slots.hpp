// SPDX-License-Identifier: Apache-2.0
//
// An owner's slots, and which of them are free. For owners that hand out slots one by one and get
// them back in any order.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <sluice/memory/slot_pool.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: none.
class OwnedSlots : public SlotPool {
 public:
  OwnedSlots() = default;
  OwnedSlots(const OwnedSlots&) = delete;
  OwnedSlots& operator=(const OwnedSlots&) = delete;

  /// As `SlotPool::create`; `count`, in the same file, tells peers how many slots there are.
  /// `reclaim()` gives back what is not in use any more; it is called when memory is short, and
  /// what free slots hold is given up then.
  [[nodiscard]] Result<void> open(SharedFile& file, SlotTable& table,
                                  std::atomic<std::uint64_t>& count, std::uint64_t heap_offset,
                                  const PayloadLayout& layout, std::function<void()> reclaim) {
    auto pool = create(file, table, heap_offset, layout);
    if (!pool) return pool.failure();
    SlotPool::operator=(std::move(*pool));
    count_ = &count;
    when_short([this, reclaim = std::move(reclaim)] {
      const std::uint64_t before = free_bytes();
      reclaim();
      release_blocks(free_);
      return free_bytes() > before;
    });
    return {};
  }

  /// As `SlotPool::grow_to`. What is added is free, and peers see it.
  Result<void> grow_to(std::uint64_t slots, std::string_view what) {
    const std::uint32_t present = size();
    auto grown = SlotPool::grow_to(slots, what);
    free_.reserve(std::bit_ceil(size()));
    for (std::uint32_t slot = size(); slot-- > present;) free_.emplace_back(slot);
    // release: pairs with the acquire in `PeerSlots::learn`; the slots' addresses come before it.
    count_->store(size(), std::memory_order_release);
    return grown;
  }

  [[nodiscard]] std::uint32_t free_count() const noexcept {
    return static_cast<std::uint32_t>(free_.size());
  }
  [[nodiscard]] bool has_free() const noexcept { return !free_.empty(); }
  /// The slot that became free last. Precondition: there is one.
  [[nodiscard]] Slot take() noexcept {
    const Slot slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void give_back(Slot slot) noexcept { free_.push_back(slot); }
  /// Fetches the line that the next payload begins in: it is in the caches of its last readers.
  void prefetch_next() const noexcept {
    if (!free_.empty()) __builtin_prefetch(header(free_.back()), 1);
  }

 private:
  std::atomic<std::uint64_t>* count_ = nullptr;
  std::vector<Slot> free_;
};

}  // namespace sluice
