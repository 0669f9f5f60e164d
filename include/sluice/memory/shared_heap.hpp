// SPDX-License-Identifier: Apache-2.0
//
// The heap that containers in shared memory allocate from.
//
// A container in shared memory knows its heap by an anchor, an address in the same file, which is
// the only pointer that may lie there. What this process knows of the heap is private: a table
// leads from the anchor to it. An anchor that a peer has written is compared and never followed.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <sluice/core/result.hpp>
#include <sluice/memory/heap.hpp>
#include <thread>

namespace sluice {

/// Makes a heap known to the allocators of this process for as long as it lives; containers must
/// not outlive it. Thread safety: any number of threads, if all use of the heap goes through here.
/// Allocating takes a lock of this process alone.
class SharedHeap {
 public:
  /// Of private memory, with an anchor that tells its containers from others.
  SharedHeap();
  /// `heap` must outlive it and stay where it is.
  explicit SharedHeap(Heap& heap);
  ~SharedHeap();
  SharedHeap(const SharedHeap&) = delete;
  SharedHeap& operator=(const SharedHeap&) = delete;

  [[nodiscard]] const void* anchor() const noexcept { return anchor_; }

  /// Errors: those of `Heap::allocate_counted`; Errc::forked.
  [[nodiscard]] Result<void*> allocate(std::uint64_t bytes, std::uint64_t alignment);
  /// For the heap's owner, both: a block of his own, which does not count. As `Heap::allocate`.
  [[nodiscard]] Result<std::uint64_t> allocate_uncounted(std::uint64_t bytes,
                                                         std::uint64_t alignment) {
    const std::lock_guard lock(mutex_);
    return heap_->allocate(bytes, alignment);
  }
  void deallocate_uncounted(std::uint64_t offset) noexcept {
    const std::lock_guard lock(mutex_);
    heap_->deallocate(offset);
  }
  /// As `Heap::expand`, as far as what counts allows.
  [[nodiscard]] std::uint64_t expand(void* block, std::uint64_t least_bytes,
                                     std::uint64_t preferred_bytes) noexcept;
  /// Gives back what `allocate` returned. A forked child leaves its parent's as it is.
  void deallocate(void* block, std::uint64_t alignment) noexcept;

  /// The owner uses the heap on this thread from now on: containers that grow on others do not make
  /// room in what he has.
  void use_here() noexcept {
    // relaxed: what he has is not ordered by it; who finds his own id wrote it himself.
    used_on_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_used_here() const noexcept {
    // relaxed: as in `use_here`.
    return used_on_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  /// The heap of this process with that anchor. Lock-free. Aborts where there is none: the
  /// container was received, or its port or segment is gone.
  [[nodiscard]] static SharedHeap& of(const void* anchor) noexcept;

 private:
  Heap* heap_ = nullptr;  // null: private memory
  const void* anchor_;
  std::uint32_t fork_generation_;
  std::atomic<std::thread::id> used_on_;
  std::recursive_mutex mutex_;  // when memory is short, its owner may give back under it
};

}  // namespace sluice
