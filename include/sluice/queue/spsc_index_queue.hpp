// SPDX-License-Identifier: Apache-2.0
//
// A bounded queue of indices from one producer to one consumer, cut in two halves: each half is
// written by one process only, so that they can live in two files that are mapped at different
// addresses, each read-only for the other side.
//
// An entry carries the position it was pushed at. The consumer polls the entry itself: it waits for
// one cache line, and there is no counter of what was pushed in shared memory.
//
// Progress: wait-free, no loops. Killed at any instruction: a push has happened when the entry is
// stored, a pop when `head` is stored; before that the other side sees the queue as it was.
//
// Trust: an end keeps its own position privately and never reads it back, masks it before it
// indexes, and refuses what an honest peer cannot write: a head that went backwards or that is
// beyond what was pushed, an entry of neither this position nor the lap before. Then `broken()`,
// and the queue stays full for the producer and empty for the consumer. The index of an entry is
// not checked here: from a hostile producer it is any number of 24 bits.
//
// Source: Lamport's queue ("Specifying concurrent program modules", 1983). An entry that itself
// says whether it is there is FastForward's (Giacomoni et al., 2008), the tag is that of Vyukov's
// bounded queue, the private copy of the other side's position that of MCRingBuffer and rigtorp's
// SPSCQueue.
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/queue/tagged_entry.hpp>

namespace sluice {

/// The two ends of a queue whose halves are part of something larger.
///
///   producer's half: entries                         consumer's half
///   +-------+-------+-----+--------------+           +------+
///   |   0   |   1   | ... | capacity - 1 |           | head |
///   +-------+-------+-----+--------------+           +------+
///   8 bytes each: {position + 1 : 40, index : 24}    8 bytes
///
/// A position counts from 0 and only grows; its entry is `position % capacity`. `head` is the
/// number of positions consumed. The queue is empty when the entry at `head` is not of position
/// `head`, and full when `head` is `capacity` behind what was pushed.
///
/// Zeroed memory is an empty queue. A connection always starts afresh: both ends are made over
/// halves full of zeros, and begin at position 0. `capacity` is a power of two and the same at both
/// ends. Nothing needs more than the 8 bytes of alignment that a word has; the two halves should
/// share no cache line.
struct SpscIndexQueue {
  class Producer;
  class Consumer;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8);

/// The end that pushes. Thread safety: one thread at a time.
class SpscIndexQueue::Producer {
 public:
  Producer(std::atomic<std::uint64_t>* entries, const std::atomic<std::uint64_t>& their_head,
           std::size_t capacity) noexcept
      : entries_(entries), their_head_(&their_head), capacity_(capacity) {
    assert(std::has_single_bit(capacity));
  }
  Producer(Producer&&) noexcept = default;
  Producer& operator=(Producer&&) noexcept = default;

  /// The consumer's half is there, with `their_head` in it: until now it was not, and the head was
  /// a word that stayed 0.
  void follow(const std::atomic<std::uint64_t>& their_head) noexcept { their_head_ = &their_head; }

  /// Appends `index`, at most `TaggedEntry::kMaxIndex`; false when the queue is full or broken.
  [[nodiscard]] bool try_push(std::uint32_t index) noexcept {
    assert(index <= TaggedEntry::kMaxIndex);
    if (broken_) return false;
    if (position_ - head_ == capacity_ && position_ - consumed() == capacity_) return false;
    // release: pairs with the acquire in `front`: what the index stands for comes before. That the
    // consumer is done with what this overwrites was seen in `consumed`.
    entries_[position_ & (capacity_ - 1)].store(TaggedEntry::pack(position_, index),
                                                std::memory_order_release);
    ++position_;
    return true;
  }

  /// Number of entries ever pushed, and the position of the next one.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }

  /// Number of positions that the consumer has passed. What it did before the `pop` of a position
  /// below that is seen afterwards: if it claims a payload before it pops, then whoever reads
  /// `consumed()` first and the claims (acquire) afterwards knows whether the payload of such a
  /// position is still in use. Once broken it stays at what was seen last.
  [[nodiscard]] std::uint64_t consumed() noexcept {
    // acquire: pairs with the release in `pop`.
    const std::uint64_t head = their_head_->load(std::memory_order_acquire);
    broken_ = broken_ || !plausible(head);
    if (!broken_) head_ = head;
    return head_;
  }

  /// Number of entries, at most; the consumer may be popping.
  [[nodiscard]] std::size_t size() const noexcept {
    // relaxed: nothing but the number is used, and a later `consumed` reads no older one.
    const std::uint64_t head = their_head_->load(std::memory_order_relaxed);
    return broken_ || !plausible(head) ? capacity_ : static_cast<std::size_t>(position_ - head);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// `try_push` or `consumed` has met a head that cannot be. It stays so.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  // The consumer's position lies between the one seen last and the producer's own.
  [[nodiscard]] bool plausible(std::uint64_t head) const noexcept {
    return head - head_ <= position_ - head_;
  }

  std::atomic<std::uint64_t>* entries_;
  const std::atomic<std::uint64_t>* their_head_;
  std::size_t capacity_;
  std::uint64_t position_ = 0;
  std::uint64_t head_ = 0;  // what was last seen in *their_head_
  bool broken_ = false;
};

/// The end that pops. Thread safety: one thread at a time.
class SpscIndexQueue::Consumer {
 public:
  Consumer(std::atomic<std::uint64_t>& head, const std::atomic<std::uint64_t>* entries,
           std::size_t capacity) noexcept
      : head_(&head), entries_(entries), capacity_(capacity) {
    assert(std::has_single_bit(capacity));
  }
  Consumer(Consumer&&) noexcept = default;
  Consumer& operator=(Consumer&&) noexcept = default;

  /// The oldest index, which stays in the queue; nothing when the queue is empty or broken. Look
  /// once: a hostile producer may put another index in its place.
  [[nodiscard]] std::optional<std::uint32_t> front() noexcept {
    if (broken_) return std::nullopt;
    // acquire: pairs with the release in `try_push`: what the index stands for is written.
    const std::uint64_t entry = next().load(std::memory_order_acquire);
    if (is_pushed(entry)) return TaggedEntry::index(entry);
    broken_ = !is_of_the_lap_before(entry);
    return std::nullopt;
  }

  /// Passes the entry that `front` returned: the producer may reuse it, and, where no claim says
  /// otherwise, what its index stands for. Precondition: `front` did return one.
  void pop() noexcept {
    ++position_;
    // release: pairs with the acquire in `Producer::consumed`: the entry was read, and what was
    // done with it, a claim for instance, comes before.
    head_->store(position_, std::memory_order_release);
  }

  /// Both at once.
  [[nodiscard]] std::optional<std::uint32_t> try_pop() noexcept {
    const std::optional<std::uint32_t> index = front();
    if (index) pop();
    return index;
  }

  /// Whether `front` would return nothing; the producer may be pushing.
  [[nodiscard]] bool empty() const noexcept {
    // relaxed: nothing but the answer is used, and a later `front` reads no older entry.
    return broken_ || !is_pushed(next().load(std::memory_order_relaxed));
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// `front` or `try_pop` has met an entry that cannot be. It stays so.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

 private:
  [[nodiscard]] const std::atomic<std::uint64_t>& next() const noexcept {
    return entries_[position_ & (capacity_ - 1)];
  }
  [[nodiscard]] bool is_pushed(std::uint64_t entry) const noexcept {
    return TaggedEntry::tag(entry) == TaggedEntry::tag_of(position_);
  }
  // What an honest producer leaves there until it pushes. In the first lap: never written.
  [[nodiscard]] bool is_of_the_lap_before(std::uint64_t entry) const noexcept {
    return position_ < capacity_
               ? entry == 0
               : TaggedEntry::tag(entry) == TaggedEntry::tag_of(position_ - capacity_);
  }

  std::atomic<std::uint64_t>* head_;
  const std::atomic<std::uint64_t>* entries_;
  std::size_t capacity_;
  std::uint64_t position_ = 0;  // what was last stored in *head_
  bool broken_ = false;
};

}  // namespace sluice
