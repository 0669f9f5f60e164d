// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <atomic>
#include <new>
#include <sluice/memory/shared_heap.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {
namespace {

/// The heaps of this process. Entries are used again; chunks are added in front and stay.
struct Chunk {
  struct Entry {
    std::atomic<SharedHeap*> heap{nullptr};  // null: free
    std::atomic<const void*> anchor{nullptr};
  };
  std::array<Entry, 64> entries;
  Chunk* next = nullptr;
};

constinit Chunk last_chunk;
constinit std::atomic<Chunk*> first_chunk{&last_chunk};

/// The first entry that `is_wanted(entry)`; null where there is none.
template <typename IsWanted>
Chunk::Entry* find_entry(IsWanted is_wanted) {
  // acquire: pairs with the release in `add_chunk`; a chunk's `next` is as old as the chunk.
  for (Chunk* chunk = first_chunk.load(std::memory_order_acquire); chunk; chunk = chunk->next) {
    const auto found = std::ranges::find_if(chunk->entries, is_wanted);
    if (found != chunk->entries.end()) return &*found;
  }
  return nullptr;
}

void add_chunk() {
  auto* added = new Chunk;
  // release: pairs with the acquire in `find_entry`. relaxed: it hands on what others released.
  while (!first_chunk.compare_exchange_weak(added->next, added, std::memory_order_release,
                                            std::memory_order_relaxed)) {
  }
}

void enter(SharedHeap& heap) {
  const auto take = [&](Chunk::Entry& entry) {
    SharedHeap* free = nullptr;
    // acquire: pairs with the release in `leave`, so that the anchor below is the later one.
    // relaxed where it fails: the entry is another's.
    return entry.heap.compare_exchange_strong(free, &heap, std::memory_order_acquire,
                                              std::memory_order_relaxed);
  };
  Chunk::Entry* entry = find_entry(take);
  for (; entry == nullptr; entry = find_entry(take)) add_chunk();
  // release: pairs with the acquire in `of`.
  entry->anchor.store(heap.anchor(), std::memory_order_release);
}

void leave(const SharedHeap& heap) noexcept {
  // relaxed: only an entry of this heap's own, which `enter` wrote before, can match.
  Chunk::Entry& entry = *find_entry([&](const Chunk::Entry& other) {
    return other.heap.load(std::memory_order_relaxed) == &heap;
  });
  // relaxed: nobody looks for it any more, and the release below comes after it.
  entry.anchor.store(nullptr, std::memory_order_relaxed);
  // release: pairs with the acquire in `enter`.
  entry.heap.store(nullptr, std::memory_order_release);
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
  const auto offset = heap_->allocate_counted(bytes, alignment);
  if (!offset) return offset.failure();
  heap_->count(heap_->block_bytes(*offset) - bytes);  // nobody says how much he gives back
  return static_cast<void*>(heap_->file().region().data() + *offset);
}

std::uint64_t SharedHeap::expand(void* block, std::uint64_t least_bytes,
                                 std::uint64_t preferred_bytes) noexcept {
  if (heap_ == nullptr || fork_generation_ != fork_generation()) return 0;
  const std::lock_guard lock(mutex_);
  const std::uint64_t offset = heap_->file().region().offset_of(block);
  const std::uint64_t before = heap_->block_bytes(offset);
  const std::uint64_t left = heap_->uncounted_bytes();
  const std::uint64_t most = left < UINT64_MAX - before ? before + left : UINT64_MAX;
  if (least_bytes > most) return 0;
  const std::uint64_t bytes = heap_->expand(offset, least_bytes, std::min(preferred_bytes, most));
  heap_->count(heap_->block_bytes(offset) - before);
  return bytes;
}

void SharedHeap::deallocate(void* block, std::uint64_t alignment) noexcept {
  if (heap_ == nullptr) return ::operator delete (block, std::align_val_t{alignment});
  if (fork_generation_ != fork_generation()) return;
  const std::lock_guard lock(mutex_);
  const std::uint64_t offset = heap_->file().region().offset_of(block);
  heap_->uncount(heap_->block_bytes(offset));
  heap_->deallocate(offset);
}

SharedHeap& SharedHeap::of(const void* anchor) noexcept {
  // acquire: pairs with the release in `enter`.
  const Chunk::Entry* entry = find_entry([&](const Chunk::Entry& other) {
    return other.anchor.load(std::memory_order_acquire) == anchor;
  });
  // relaxed: written before the anchor, and not changed while a container has that anchor.
  if (entry != nullptr) return *entry->heap.load(std::memory_order_relaxed);
  abort_with(
      "a container is changed that this process does not own: it was received, or its port or "
      "segment is gone; change a copy");
}

}  // namespace sluice
