// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of 64-bit indices from one producer to one consumer, cut in two halves: each half
// is written by one process only, so that they can live in two files that are mapped at different
// addresses, each read-only for the other side.
//
//   producer's half (written by the producer)        consumer's half (written by the consumer)
//   +------+---------+---+---+-----+--------------+  +------+---------+
//   | tail | padding | 0 | 1 | ... | capacity - 1 |  | head | padding |
//   +------+---------+---+---+-----+--------------+  +------+---------+
//   0      8         64 bytes, then 8 an entry       0      8         64 bytes
//
// tail and head are positions: entries ever pushed, entries ever popped. They only grow; entry
// `position % capacity` holds the value pushed at `position`. The queue is empty when they are
// equal, full when they differ by the capacity.
//
// Progress: wait-free, no loops. Killed at any instruction: a push has happened when `tail` is
// stored, a pop when `head` is stored; before that the other side sees the queue as it was.
//
// Trust: an end keeps its own position privately and never reads it back, masks every position
// before it indexes, and refuses a peer's position that went backwards or that is further away than
// the capacity allows: then `broken()`, and the queue stays full for the producer and empty for the
// consumer. Values are not checked here.
//
// The algorithm is Lamport's ("Specifying concurrent program modules", 1983); the private copy of
// the other side's position is the one of FastForward, MCRingBuffer and rigtorp's SPSCQueue.
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <sluice/platform/cache_line.hpp>

namespace sluice {

/// The parts of the queue: two halves of shared words, and the two ends that work on them.
struct SpscIndexQueue {
  struct ProducerHalf;
  struct ConsumerHalf;
  class Producer;
  class Consumer;
};

/// What the producer writes. `bytes(capacity)` bytes at a multiple of `kCacheLineBytes`.
struct alignas(kCacheLineBytes) SpscIndexQueue::ProducerHalf {
  using Entry = std::atomic<std::uint64_t>;

  std::atomic<std::uint64_t> tail{0};

  [[nodiscard]] static constexpr std::size_t bytes(std::size_t capacity) noexcept {
    return sizeof(ProducerHalf) + capacity * sizeof(Entry);
  }
  /// Makes an empty half in `memory`.
  static ProducerHalf* create(void* memory, std::size_t capacity) noexcept {
    auto* const half = new (memory) ProducerHalf;
    for (std::size_t i = 0; i != capacity; ++i) new (half->entries() + i) Entry{0};
    return half;
  }

  [[nodiscard]] Entry* entries() noexcept { return reinterpret_cast<Entry*>(this + 1); }
  [[nodiscard]] const Entry* entries() const noexcept {
    return reinterpret_cast<const Entry*>(this + 1);
  }
};

/// What the consumer writes.
struct alignas(kCacheLineBytes) SpscIndexQueue::ConsumerHalf {
  std::atomic<std::uint64_t> head{0};

  /// Makes an empty half in `memory`.
  static ConsumerHalf* create(void* memory) noexcept { return new (memory) ConsumerHalf; }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(sizeof(SpscIndexQueue::ProducerHalf) == kCacheLineBytes);
static_assert(sizeof(SpscIndexQueue::ConsumerHalf) == kCacheLineBytes);
static_assert(offsetof(SpscIndexQueue::ProducerHalf, tail) == 0);
static_assert(offsetof(SpscIndexQueue::ConsumerHalf, head) == 0);

/// The end that pushes. For one thread at a time, and the only one that pushes.
class SpscIndexQueue::Producer {
 public:
  /// Goes on from what the halves hold; who wants to start afresh creates both of them before.
  /// `capacity` is a power of two, and the same at both ends.
  Producer(ProducerHalf& mine, const ConsumerHalf& theirs, std::size_t capacity) noexcept
      : mine_(&mine),
        theirs_(&theirs),
        capacity_(capacity),
        // Relaxed: only the producer stores the tail.
        tail_(mine.tail.load(std::memory_order_relaxed)),
        head_(tail_ - capacity) {
    assert(std::has_single_bit(capacity));
  }
  Producer(Producer&&) noexcept = default;
  Producer& operator=(Producer&&) noexcept = default;
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  /// Appends `index`; false when the queue is full or broken.
  [[nodiscard]] bool try_push(std::uint64_t index) noexcept {
    if (tail_ - head_ == capacity_ && !found_room()) return false;
    // Relaxed: the release below publishes it, and the acquire in `found_room` has seen that the
    // consumer is done with what it overwrites.
    mine_->entries()[tail_ & (capacity_ - 1)].store(index, std::memory_order_relaxed);
    ++tail_;
    // Release, with the acquire in `Consumer::found_entry`: the entry, and what it stands for.
    mine_->tail.store(tail_, std::memory_order_release);
    return true;
  }

  /// Number of entries, at most; the consumer may be popping.
  [[nodiscard]] std::size_t size() const noexcept {
    // Relaxed: nothing but the number is used, and a later `found_room` reads no older one.
    const std::uint64_t head = theirs_->head.load(std::memory_order_relaxed);
    return broken_ || !plausible(head) ? capacity_ : static_cast<std::size_t>(tail_ - head);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// A push has met a consumer's position that cannot be. It stays so.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  // The consumer's position lies between the one seen last and the producer's own.
  [[nodiscard]] bool plausible(std::uint64_t head) const noexcept {
    return head - head_ <= tail_ - head_;
  }
  [[nodiscard]] bool found_room() noexcept {
    if (broken_) return false;
    // Acquire, with the release in `Consumer::try_pop`: the consumer has read the entries before.
    const std::uint64_t head = theirs_->head.load(std::memory_order_acquire);
    broken_ = !plausible(head);
    if (broken_) return false;
    head_ = head;
    return tail_ - head_ != capacity_;
  }

  ProducerHalf* mine_;
  const ConsumerHalf* theirs_;
  std::size_t capacity_;
  std::uint64_t tail_;  // what was last stored in mine_->tail
  std::uint64_t head_;  // what was last seen in theirs_->head
  bool broken_ = false;
};

/// The end that pops. For one thread at a time, and the only one that pops.
class SpscIndexQueue::Consumer {
 public:
  /// Goes on from what the halves hold; who wants to start afresh creates both of them before.
  /// `capacity` is a power of two, and the same at both ends.
  Consumer(ConsumerHalf& mine, const ProducerHalf& theirs, std::size_t capacity) noexcept
      : mine_(&mine),
        theirs_(&theirs),
        capacity_(capacity),
        // Relaxed: only the consumer stores the head.
        head_(mine.head.load(std::memory_order_relaxed)),
        tail_(head_) {
    assert(std::has_single_bit(capacity));
  }
  Consumer(Consumer&&) noexcept = default;
  Consumer& operator=(Consumer&&) noexcept = default;
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  /// Takes the oldest index; nothing when the queue is empty or broken.
  [[nodiscard]] std::optional<std::uint64_t> try_pop() noexcept {
    if (head_ == tail_ && !found_entry()) return std::nullopt;
    // Relaxed: the acquire in `found_entry` has seen it, the release below keeps it from changing.
    const std::uint64_t index =
        theirs_->entries()[head_ & (capacity_ - 1)].load(std::memory_order_relaxed);
    ++head_;
    // Release, with the acquire in `Producer::found_room`: the entry was read before it is reused.
    mine_->head.store(head_, std::memory_order_release);
    return index;
  }

  /// Number of entries, at least; the producer may be pushing.
  [[nodiscard]] std::size_t size() const noexcept {
    // Relaxed: nothing but the number is used, and a later `found_entry` reads no older one.
    const std::uint64_t tail = theirs_->tail.load(std::memory_order_relaxed);
    return broken_ || !plausible(tail) ? 0 : static_cast<std::size_t>(tail - head_);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// A pop has met a producer's position that cannot be. It stays so.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  // The producer's position lies between the one seen last and a full queue.
  [[nodiscard]] bool plausible(std::uint64_t tail) const noexcept {
    return tail - tail_ <= head_ + capacity_ - tail_;
  }
  [[nodiscard]] bool found_entry() noexcept {
    if (broken_) return false;
    // Acquire, with the release in `Producer::try_push`: the entries up to there are written.
    const std::uint64_t tail = theirs_->tail.load(std::memory_order_acquire);
    broken_ = !plausible(tail);
    if (broken_) return false;
    tail_ = tail;
    return head_ != tail_;
  }

  ConsumerHalf* mine_;
  const ProducerHalf* theirs_;
  std::size_t capacity_;
  std::uint64_t head_;  // what was last stored in mine_->head
  std::uint64_t tail_;  // what was last seen in theirs_->tail
  bool broken_ = false;
};

}  // namespace sluice
