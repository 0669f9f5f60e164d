// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a broadcast index queue: one publisher, any number of subscribers.
// broadcast_words.hpp says how it works and why.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/core/index.hpp>
#include <sluice/queue/broadcast_words.hpp>
#include <span>
#include <vector>

namespace sluice {

/// The publisher's end. Thread safety: one thread at a time.
class BroadcastWriter {
 public:
  struct Words {
    BroadcastHead* head;
    std::atomic<std::uint64_t>* ring;
    BroadcastHelp* help;     ///< one a subscriber seat
    std::uint32_t capacity;  ///< entries of the ring, a power of two
  };

  /// One subscriber, as the publisher sees it.
  struct Reader {
    const BroadcastRow* row = nullptr;
    std::uint32_t claims = 0;  ///< number of claims in the row
    Seat seat;                 ///< index into `Words::help`
    std::uint64_t depth = 0;   ///< how far it may trail; used under lossless delivery
    /// Lossless: a cursor it cannot be behind of while its row says `kUnset`.
    std::uint64_t assumed_cursor = 0;
    std::uint64_t helped = 0;  ///< last request that was answered
    Slot pinned = kNoSlot;
    bool may_lose = false;  ///< lossless delivery does not wait for it
  };

  BroadcastWriter() = default;
  explicit BroadcastWriter(Words words)
      : words_(words), mask_(words.capacity - 1), in_ring_(words.capacity, kNoSlot) {}

  /// Adds the slots `slots() … slots() + count - 1` to the free ones. Allocates heap memory.
  void add_slots(std::uint32_t count) {
    const auto first = slots();
    free_.resize(first + count);
    retired_.resize(first + count);
    marks_.resize(first + count, 0);
    for (std::uint32_t i = count; i-- > 0;) free_[free_count_++] = first + i;
    // release: pairs with a subscriber's acquire of `slots`; the slots' addresses come before it.
    words_.head->slots.store(slots(), std::memory_order_release);
  }

  [[nodiscard]] std::uint32_t slots() const noexcept {
    return static_cast<std::uint32_t>(marks_.size());
  }
  [[nodiscard]] std::uint32_t free_slots() const noexcept { return free_count_; }
  /// The free slots; the one that became free last is at the end.
  [[nodiscard]] std::span<const Slot> free_list() const noexcept {
    return {free_.data(), free_count_};
  }
  [[nodiscard]] std::uint64_t published() const noexcept { return published_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return words_.capacity; }

  /// Takes the free slot that was used last. Precondition: `free_slots() > 0`.
  [[nodiscard]] Slot take_free() noexcept { return free_[--free_count_]; }

  /// What `take_free` would return; any slot where none is free. Precondition: there are slots.
  [[nodiscard]] Slot next_free() const noexcept {
    return free_[free_count_ - static_cast<std::uint32_t>(free_count_ > 0)];
  }

  /// Gives back a slot from `take_free` that was not published.
  void give_back(Slot slot) noexcept { free_[free_count_++] = slot; }

  /// Publishes the payload in `slot`; returns its position. O(1), whatever the number of
  /// subscribers. Ends with a full fence, so that a look at the board's `armed` that follows cannot
  /// come too early, and a subscriber that joined is seen before the next loan.
  std::uint64_t publish(Slot slot) noexcept {
    const std::uint64_t position = published_++;
    const std::size_t index = position & mask_;
    // release: the payload comes first; pairs with the acquire of the entry in `take`.
    words_.ring[index].store(SampleHandle::pack(position, slot), std::memory_order_release);
    // release: pairs with the acquire of `head` in `take`. Killed between the two stores: who polls
    // the entry receives the sample, who goes by `head` does not.
    words_.head->head.store(position + 1, std::memory_order_release);
    const Slot evicted = in_ring_[index];
    in_ring_[index] = slot;
    if (evicted != kNoSlot) retired_[retired_count_++] = evicted;
    // seq_cst: pairs with the fence of a subscriber that arms the board and then looks at `head`,
    // and with that of one that joins and then reads `head`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return position;
  }

  /// Moves every retired slot that nobody claims to the free ones, and answers requests for help.
  /// `readers_now()` is called after the fence and returns a pointer-like to a range of the readers
  /// of this moment, which is empty where they are not known: then nothing is freed.
  template <typename ReadersNow>
  void reclaim(ReadersNow&& readers_now) noexcept {
    // seq_cst: pairs with the fence between claim and validation in `take`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto readers = readers_now();
    if (!readers) return;
    ++epoch_;
    for (Reader& reader : *readers) mark_claims(reader);
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < retired_count_; ++i) {
      const Slot slot = retired_[i];
      if (marks_[slot] == epoch_) {
        retired_[kept++] = slot;
      } else {
        free_[free_count_++] = slot;
      }
    }
    retired_count_ = kept;
  }

  /// Lossless delivery: the first position whose publication would lap one of `readers`.
  template <typename Readers>
  [[nodiscard]] std::uint64_t lap_limit(const Readers& readers) const noexcept {
    std::uint64_t limit = UINT64_MAX;
    for (const Reader& reader : readers) {
      if (reader.may_lose) continue;
      // acquire: pairs with the release of `cursor` in `take`: what was taken stays taken.
      std::uint64_t cursor = reader.row == nullptr
                                 ? BroadcastRow::kUnset
                                 : reader.row->cursor.load(std::memory_order_acquire);
      if (cursor == BroadcastRow::kUnset) cursor = reader.assumed_cursor;
      limit = std::min(limit, cursor + std::min<std::uint64_t>(words_.capacity, reader.depth));
    }
    return limit;
  }

 private:
  void mark_claims(Reader& reader) noexcept {
    if (reader.row == nullptr) return;
    // acquire: pairs with the release of `request` in `take`.
    const std::uint64_t request = reader.row->request.load(std::memory_order_acquire);
    // acquire, and before the claims are read: pairs with the release of `answered`, which comes
    // after the claim that takes the pin's place.
    const std::uint64_t answered = reader.row->answered.load(std::memory_order_acquire);
    if (request == answered || published_ == 0) {
      reader.pinned = kNoSlot;
    } else if (reader.helped != request) {
      const std::uint64_t newest = published_ - 1;
      reader.pinned = in_ring_[newest & mask_];
      reader.helped = request;
      BroadcastHelp& help = words_.help[reader.seat];
      // relaxed: ordered by the release of `request` that follows.
      help.entry.store(SampleHandle::pack(newest, reader.pinned), std::memory_order_relaxed);
      // release: pairs with the acquire of `help.request` in `take`.
      help.request.store(request, std::memory_order_release);
    }
    const std::atomic<std::uint64_t>* claims = reader.row->claims();
    for (std::uint32_t i = 0; i < reader.claims; ++i) {
      // acquire: pairs with the release of the claim; where it was cleared, the payload was read.
      mark(claims[i].load(std::memory_order_acquire) - 1);
    }
    mark(reader.pinned);
  }

  /// Out of range is no slot, or a claim that a broken subscriber made up.
  void mark(std::uint64_t slot) noexcept {
    if (slot < marks_.size()) marks_[slot] = epoch_;
  }

  Words words_{};
  std::uint64_t mask_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint32_t free_count_ = 0;
  std::uint32_t retired_count_ = 0;
  std::vector<Slot> in_ring_;  // private copy of the ring's slots
  std::vector<Slot> free_;
  std::vector<Slot> retired_;
  std::vector<std::uint64_t> marks_;  // epoch in which the slot was last seen claimed
};

/// A subscriber's end for one publisher. Thread safety: one thread at a time, except `release`,
/// which any thread may call for a claim that it holds.
class BroadcastReader {
 public:
  struct Words {
    const BroadcastHead* head;
    const std::atomic<std::uint64_t>* ring;
    const BroadcastHelp* help;  ///< the word of this subscriber's seat
    BroadcastRow* row;
    std::uint32_t capacity;  ///< entries of the ring, a power of two
  };
  enum class Want : std::uint8_t {
    oldest,
    newest,   ///< passing over older ones, which do not count as lost
    current,  ///< the newest, even if it was taken before
  };
  struct Taken {
    std::uint64_t position = 0;
    Slot slot = kNoSlot;  ///< kNoSlot: nothing there. From the publisher: check its range.
  };

  struct ExpectNothing {
    void operator()(Slot) const noexcept {}
  };

  /// Tries before help is asked for.
  static constexpr std::uint32_t kTries = 4;

  BroadcastReader() = default;

  /// Reads from `cursor` on, never trailing the head by more than `depth`, which is at most the
  /// ring's capacity. The row must be bound to the publisher already.
  BroadcastReader(Words words, std::uint64_t cursor, std::uint64_t depth) noexcept
      : words_(words),
        mask_(words.capacity - 1),
        cursor_(cursor),
        depth_(depth),
        // relaxed: this process's own word.
        requests_(words.row->request.load(std::memory_order_relaxed)) {
    // release: pairs with the acquire in `lap_limit`.
    words_.row->cursor.store(cursor, std::memory_order_release);
  }

  [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }
  /// Samples that were overwritten, or fell behind `depth`, before they were taken.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  /// Whether `take` would take something, or pass over what was lost. Like it, this does not
  /// believe a `head` without an entry, which no honest publisher has.
  [[nodiscard]] bool has_new() const noexcept {
    // acquire: pairs with the release of `head` in `publish`.
    if (words_.head->head.load(std::memory_order_acquire) <= cursor_) return false;
    // relaxed: nothing is read by it; of the position of `head`, the acquire before has it here.
    return !SampleHandle::is_before(words_.ring[cursor_ & mask_].load(std::memory_order_relaxed),
                                    cursor_);
  }

  /// Takes the next sample, or the newest, and holds it in claim `claim`, which must be clear,
  /// until `release(claim)`. `expect(slot)` is called before the claim, to fetch the payload into
  /// the cache.
  template <typename Expect = ExpectNothing>
  [[nodiscard]] Taken take(Claim claim, Want want = Want::oldest, Expect&& expect = {}) noexcept {
    if (want == Want::oldest) {
      // The entry itself says whether it is there: one cache line to wait for, not `head`'s too.
      // acquire: pairs with the release of the entry in `publish`; if it is of a later position,
      // `head` is at least that.
      const std::uint64_t entry = words_.ring[cursor_ & mask_].load(std::memory_order_acquire);
      if (SampleHandle::is_before(entry, cursor_)) return {};
      if (SampleHandle::tag(entry) == SampleHandle::tag_of(cursor_) && !is_too_far_behind()) {
        expect(SampleHandle::slot(entry));
        const std::uint64_t claimed = try_claim(cursor_, claim);
        if (claimed != kNone) [[likely]]
          return taken(cursor_, claimed, want);
      }
    }
    // acquire: pairs with the release in `publish`.
    const std::uint64_t head = words_.head->head.load(std::memory_order_acquire);
    if (head <= cursor_ && (want != Want::current || head == 0)) return {};
    const std::uint64_t depth = want == Want::oldest ? depth_ : 1;
    const std::uint64_t position =
        want == Want::current || head - cursor_ > depth ? head - depth : cursor_;
    const std::uint64_t entry = try_claim(position, claim);
    if (entry != kNone) [[likely]]
      return taken(position, entry, want);
    return take_contended(position, claim, want, depth);
  }

  /// Gives the slot back to the publisher.
  void release(Claim claim) noexcept {
    // release: pairs with the acquire in `reclaim`; the payload was read before.
    words_.row->claims()[claim].store(0, std::memory_order_release);
  }
  /// What `release` stores 0 into.
  [[nodiscard]] std::atomic<std::uint64_t>& claim_word(Claim claim) const noexcept {
    return words_.row->claims()[claim];
  }

 private:
  /// No handle is this: its slot number is above kMaxSlots - 1. 0 is one, every 2^40 samples.
  static constexpr std::uint64_t kNone = UINT64_MAX;

  /// Whether a sample was published that is `depth` or more after the cursor.
  [[nodiscard]] bool is_too_far_behind() const noexcept {
    const std::uint64_t limit = cursor_ + depth_;
    // relaxed: a hint; the position is worked out from `head`.
    return depth_ <= mask_ &&
           !SampleHandle::is_before(words_.ring[limit & mask_].load(std::memory_order_relaxed),
                                    limit);
  }

  /// The entry of `position`, claimed and validated, or kNone with the claim cleared.
  std::uint64_t try_claim(std::uint64_t position, Claim claim) noexcept {
    const std::atomic<std::uint64_t>& cell = words_.ring[position & mask_];
    // acquire: pairs with the release of the entry in `publish`.
    const std::uint64_t entry = cell.load(std::memory_order_acquire);
    if (SampleHandle::tag(entry) != SampleHandle::tag_of(position)) return kNone;
    std::atomic<std::uint64_t>& word = words_.row->claims()[claim];
    // release, even over a cleared claim: `reclaim` may read this value instead of the 0 before it,
    // and must still come after the reads of the payload that the 0 ended.
    word.store(std::uint64_t{SampleHandle::slot(entry)} + 1, std::memory_order_release);
    // seq_cst: pairs with the fence in `reclaim`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // acquire: keeps the reads of the payload behind the validation.
    if (cell.load(std::memory_order_acquire) == entry) return entry;
    // release: pairs with the acquire of the claims in `reclaim`.
    word.store(0, std::memory_order_release);
    return kNone;
  }

  Taken taken(std::uint64_t position, std::uint64_t entry, Want want) noexcept {
    pass_to(position, want);
    cursor_ = position + 1;
    // release: pairs with the acquire in `lap_limit`.
    words_.row->cursor.store(cursor_, std::memory_order_release);
    return {position, SampleHandle::slot(entry)};
  }

  void pass_to(std::uint64_t position, Want want) noexcept {
    if (want == Want::oldest) lost_ += position - cursor_;
    cursor_ = position;
  }

  /// The publisher overwrote `position` while it was looked at.
  [[gnu::noinline]] Taken take_contended(std::uint64_t position, Claim claim, Want want,
                                         std::uint64_t depth) noexcept {
    std::uint64_t request = 0;
    // relaxed: a bound only; 4 * slots is above what an honest publisher can need. What another one
    // has is passed over.
    const std::uint64_t most =
        64 +
        4 * std::min<std::uint64_t>(words_.head->slots.load(std::memory_order_relaxed), kMaxSlots);
    Taken result;
    for (std::uint64_t tries = 1;; ++tries) {
      // acquire: pairs with the release of `head` in `publish`.
      const std::uint64_t head = words_.head->head.load(std::memory_order_acquire);
      // At least one further: the entry is overwritten before `head` says so, and a publisher
      // killed in between will never say so.
      ++position;
      if (head > position && head - position > depth) position = head - depth;
      if (want == Want::current && position > head) position = head - 1;
      if (tries == most || (head <= position && want != Want::current)) {
        pass_to(std::max(cursor_, head), want);
        break;
      }
      const std::uint64_t entry = try_claim(position, claim);
      if (entry != kNone) {
        result = taken(position, entry, want);
        break;
      }
      if (tries < kTries) continue;
      if (request == 0) {
        request = ++requests_;
        // release: pairs with the acquire in `reclaim`.
        words_.row->request.store(request, std::memory_order_release);
        continue;
      }
      // acquire: pairs with the release of `help.request` in `reclaim`.
      if (words_.help->request.load(std::memory_order_acquire) != request) continue;
      // relaxed: ordered by the acquire before; it stays as it is until the request is answered.
      const std::uint64_t help = words_.help->entry.load(std::memory_order_relaxed);
      // release: pairs with the acquire of the claims in `reclaim`; the pin holds until `answered`
      // is seen, so nothing to validate.
      words_.row->claims()[claim].store(std::uint64_t{SampleHandle::slot(help)} + 1,
                                        std::memory_order_release);
      // The current sample may be the one before the cursor.
      const std::uint64_t least = want == Want::current && cursor_ > 0 ? cursor_ - 1 : cursor_;
      const std::uint64_t ahead =
          (SampleHandle::tag(help) - SampleHandle::tag_of(least)) & SampleHandle::kTagMask;
      result = taken(least + ahead, help, want);
      break;
    }
    if (request != 0) {
      // release: pairs with the acquire in `reclaim`; the claim comes first.
      words_.row->answered.store(request, std::memory_order_release);
    }
    return result;
  }

  Words words_{};
  std::uint64_t mask_ = 0;
  std::uint64_t cursor_ = 0;
  std::uint64_t depth_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace sluice
