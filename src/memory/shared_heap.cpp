// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <sluice/memory/shared_heap.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {
namespace {

/// The heaps of this process. Entries are used again; chunks are added and stay.
struct Chunk {
  struct Entry {
    std::atomic<SharedHeap*> heap{nullptr};  // null: free
    std::atomic<const void*> anchor{nullptr};
  };
  std::array<Entry, 64> entries;
  std::atomic<Chunk*> next{nullptr};
};

constinit Chunk first_chunk;

Chunk& chunk_after(Chunk& chunk) {
  // acquire: pairs with the release below, here and in `of`.
  Chunk* next = chunk.next.load(std::memory_order_acquire);
  if (next != nullptr) return *next;
  auto* added = new Chunk;
  // release: the chunk is empty before it can be seen; acquire: another's is.
  if (chunk.next.compare_exchange_strong(next, added, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
    return *added;
  }
  delete added;
  return *next;
}

void enter(SharedHeap& heap) {
  for (Chunk* chunk = &first_chunk;; chunk = &chunk_after(*chunk)) {
    for (Chunk::Entry& entry : chunk->entries) {
      SharedHeap* free = nullptr;
      // acquire: pairs with the release in `leave`, so that the anchor below is the later one.
      // relaxed where it fails: the entry is another's.
      if (!entry.heap.compare_exchange_strong(free, &heap, std::memory_order_acquire,
                                              std::memory_order_relaxed)) {
        continue;
      }
      // release: pairs with the acquire in `of`.
      entry.anchor.store(heap.anchor(), std::memory_order_release);
      return;
    }
  }
}

void leave(const SharedHeap& heap) noexcept {
  for (Chunk* chunk = &first_chunk; chunk != nullptr;
       // acquire: pairs with the release in `chunk_after`.
       chunk = chunk->next.load(std::memory_order_acquire)) {
    for (Chunk::Entry& entry : chunk->entries) {
      // relaxed: only an entry of this heap's own, which `enter` wrote before, can match.
      if (entry.heap.load(std::memory_order_relaxed) != &heap) continue;
      // relaxed: nobody looks for it any more, and the release below comes after it.
      entry.anchor.store(nullptr, std::memory_order_relaxed);
      // release: pairs with the acquire in `enter`.
      entry.heap.store(nullptr, std::memory_order_release);
      return;
    }
  }
}

}  // namespace

SharedHeap::SharedHeap() : anchor_(this), fork_generation_(fork_generation()) { enter(*this); }

SharedHeap::SharedHeap(Heap& heap)
    : heap_(&heap), anchor_(heap.begin()), fork_generation_(fork_generation()) {
  watch_forks();
  enter(*this);
}

SharedHeap::~SharedHeap() { leave(*this); }

Result<void*> SharedHeap::allocate(std::uint64_t bytes, std::uint64_t alignment) {
  if (heap_ == nullptr) return ::operator new (bytes, std::align_val_t{alignment});
  if (fork_generation_ != fork_generation()) {
    return Failure{Errc::forked, "a container of the parent process grows in a forked child"};
  }
  const std::lock_guard lock(mutex_);
  const auto offset = heap_->allocate(bytes, alignment);
  if (!offset) return offset.failure();
  return static_cast<void*>(heap_->file().region().data() + *offset);
}

std::uint64_t SharedHeap::expand(void* block, std::uint64_t least_bytes,
                                 std::uint64_t preferred_bytes) noexcept {
  if (heap_ == nullptr || fork_generation_ != fork_generation()) return 0;
  const std::lock_guard lock(mutex_);
  const auto offset =
      static_cast<std::uint64_t>(static_cast<std::byte*>(block) - heap_->file().region().data());
  return heap_->expand(offset, least_bytes, preferred_bytes);
}

void SharedHeap::deallocate(void* block, std::uint64_t alignment) noexcept {
  if (heap_ == nullptr) return ::operator delete (block, std::align_val_t{alignment});
  if (fork_generation_ != fork_generation()) return;
  const std::lock_guard lock(mutex_);
  heap_->deallocate(
      static_cast<std::uint64_t>(static_cast<std::byte*>(block) - heap_->file().region().data()));
}

SharedHeap& SharedHeap::of(const void* anchor) noexcept {
  for (Chunk* chunk = &first_chunk; chunk != nullptr;
       // acquire: pairs with the release in `chunk_after`.
       chunk = chunk->next.load(std::memory_order_acquire)) {
    for (Chunk::Entry& entry : chunk->entries) {
      // acquire: pairs with the release in `enter`.
      if (entry.anchor.load(std::memory_order_acquire) != anchor) continue;
      // relaxed: written before the anchor, and not changed while a container has that anchor.
      return *entry.heap.load(std::memory_order_relaxed);
    }
  }
  abort_with(
      "a container is changed that this process does not own: it was received, or its publisher or "
      "segment is gone; change a copy");
}

}  // namespace sluice
