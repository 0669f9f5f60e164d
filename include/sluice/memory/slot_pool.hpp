// SPDX-License-Identifier: Apache-2.0
//
// An owner's slots, in which payloads lie, and the view that a peer has of them. Slots are
// numbered, stay where they are, and are only ever added; which of them are free is for the owner
// to know.
//
//   slot:   | number | stamp | … payload at payload_offset |
//
// What a payload is:
//   plain    the object itself, its bytes all there is to it
//   slice    {offset, count} of a block of elements elsewhere in the file, which the slot keeps
//            for its next payload
//   dynamic  an object whose containers take further blocks of the file, and give them back when
//            the owner destroys it
//
// The offset of each slot is in a table that grows in chunks: chunk k holds 64 * 2^k offsets. How
// many slots there are is another word of the owner's, which it stores (release) after the table,
// and its peers load (acquire) before they look.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/core/index.hpp>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/heap.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/shared_heap.hpp>
#include <sluice/platform/cache_line.hpp>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::uint64_t kMaxPayloadAlignment = 4096;

enum class PayloadShape : std::uint32_t { plain, slice, dynamic };

/// Payloads as both sides must agree on them, and how this process ends one.
struct PayloadLayout {
  std::uint64_t bytes = 0;  ///< of a payload; of an element for slices
  std::uint64_t alignment = 1;
  PayloadShape shape = PayloadShape::plain;
  /// The most that slices, or what containers take, have together, beside the slots. A slice of up
  /// to a cache line is in what a slot takes.
  std::uint64_t heap_bytes = 0;
  /// Owner, dynamic: the destructor.
  void (*destroy)(void* payload) = nullptr;
  /// Peer, dynamic: whether the payload's containers lie inside [begin, begin + bytes).
  bool (*check)(const void* payload, const std::byte* begin, std::size_t bytes) = nullptr;
};

/// In front of every payload.
struct SlotHeader {
  std::uint64_t number;  ///< of a request, see request_response/layout.hpp; else 0
  /// Of a sample: when it was published, nanoseconds of the steady clock. 0: its publisher was
  /// alone in the service, as far as it knew.
  std::uint64_t stamp;
};
static_assert(sizeof(SlotHeader) == 16 && offsetof(SlotHeader, stamp) == 8);

/// A slice's payload in its slot.
struct SliceWords {
  std::uint64_t offset;  ///< of the first element, from the start of the file
  std::uint64_t count;   ///< elements
};
static_assert(sizeof(SliceWords) == 16);

/// In the owner's file, written by it alone.
struct SlotTable {
  static constexpr std::uint32_t kChunks = 19;  // 64 * (2^19 - 1) slots
  static constexpr std::uint32_t kFirst = 64;

  std::uint64_t payload_bytes;  ///< of an element for slices
  std::uint64_t payload_alignment;
  std::uint32_t payload_offset;  ///< from the start of a slot
  PayloadShape shape;
  std::atomic<std::uint64_t> chunks[kChunks];  ///< offset of each chunk of the table

  static constexpr std::uint32_t chunk_of(Slot slot) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(slot / kFirst + 1)) - 1;
  }
  static constexpr std::uint32_t chunk_size(std::uint32_t chunk) noexcept {
    return kFirst << chunk;
  }
  static constexpr std::uint32_t index_in_chunk(Slot slot) noexcept {
    return slot - kFirst * ((1U << chunk_of(slot)) - 1);
  }
};
static_assert(sizeof(SlotTable) == 176 && offsetof(SlotTable, chunks) == 24);
static_assert(SlotTable::chunk_of(0) == 0 && SlotTable::chunk_of(63) == 0);
static_assert(SlotTable::chunk_of(64) == 1 && SlotTable::index_in_chunk(64) == 0);
static_assert(SlotTable::chunk_of(191) == 1 && SlotTable::index_in_chunk(191) == 127);

/// The owner's side. Thread safety: none.
class SlotPool {
 public:
  SlotPool() = default;
  /// Prepares `table`, and an empty heap that begins at `heap_offset` of `file`. Both must outlive
  /// the pool, and the file must not be moved.
  [[nodiscard]] static Result<SlotPool> create(SharedFile& file, SlotTable& table,
                                               std::uint64_t heap_offset,
                                               const PayloadLayout& layout);

  /// Where a payload begins in its slot.
  [[nodiscard]] static constexpr std::uint64_t payload_offset(
      const PayloadLayout& layout) noexcept {
    const std::uint64_t alignment =
        layout.shape == PayloadShape::slice ? alignof(SliceWords) : layout.alignment;
    return std::max<std::uint64_t>(sizeof(SlotHeader), alignment);
  }
  /// Bytes of a slot, at most; without the blocks of slices and containers.
  [[nodiscard]] static std::uint64_t slot_bytes(const PayloadLayout& layout) noexcept;
  /// Address space that `slots` slots and the layout's heap may take.
  [[nodiscard]] static std::uint64_t reserved_bytes(const PayloadLayout& layout,
                                                    std::uint64_t slots) noexcept;

  /// Adds the slot `size()`. Peers see it once the owner has stored the new number of slots.
  /// Errors: no_memory, no_address_space.
  [[nodiscard]] Result<void> add_slot();
  /// Adds slots until there are `slots`; those that could be added stay. `what`: what is in them,
  /// for the message. Errors: as `add_slot`.
  [[nodiscard]] Result<void> grow_to(std::uint64_t slots, std::string_view what);
  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(payloads_.size());
  }
  [[nodiscard]] std::byte* payload(Slot slot) const noexcept { return payloads_[slot]; }
  /// Where the slot begins, with room for a SlotHeader.
  [[nodiscard]] std::byte* header(Slot slot) const noexcept {
    return payloads_[slot] - payload_offset(layout_);
  }

  /// Slices: makes room for `count` elements in a slot that nobody reads; returns the first. Keeps
  /// the block that the slot has if it is large enough. Errors: no_memory, no_address_space.
  [[nodiscard]] Result<std::byte*> resize(Slot slot, std::uint64_t count);
  /// Slices and dynamic: gives back the blocks of slots that nobody reads, with the objects whose
  /// they are. Returns whether there were any.
  bool release_blocks(std::span<const Slot> slots) noexcept;

  /// Dynamic: the object that a loan's slot is to hold: `new (payload) T(…, place.prepare())`, then
  /// `place.set_built()`.
  class Place {
   public:
    Place(SlotPool& pool, Slot slot) noexcept : pool_(pool), slot_(slot) {}
    /// Destroys the one that was there before. Returns what the containers are to allocate from;
    /// when memory is short they make room on this thread, which is the port's.
    [[nodiscard]] Allocator<> prepare() const noexcept {
      pool_.clear(slot_);
      pool_.shared_heap_->use_here();
      return Allocator<>(*pool_.shared_heap_);
    }
    void set_built() const noexcept { pool_.built_[slot_] = true; }

   private:
    SlotPool& pool_;
    Slot slot_;
  };
  [[nodiscard]] Place place(Slot slot) noexcept { return {*this, slot}; }

  /// As `Heap::when_short`; `make_room` may `release_blocks`. Of dynamic payloads only on the
  /// port's thread.
  void when_short(std::function<bool()> make_room);
  /// A further block of the owner's file, which does not count. Errors: as `Heap::allocate`.
  [[nodiscard]] Result<std::uint64_t> allocate(std::uint64_t bytes, std::uint64_t alignment);
  void deallocate(std::uint64_t offset) noexcept;
  /// As `Heap::free_bytes`.
  [[nodiscard]] std::uint64_t free_bytes() const noexcept { return heap_->free_bytes(); }
  [[nodiscard]] const PayloadLayout& layout() const noexcept { return layout_; }

 private:
  /// Destroys the object in a slot. Returns whether there was one.
  bool clear(Slot slot) noexcept;

  SharedFile* file_ = nullptr;
  SlotTable* table_ = nullptr;
  PayloadLayout layout_;
  std::unique_ptr<Heap> heap_;
  std::unique_ptr<SharedHeap> shared_heap_;  // of dynamic payloads, whose containers use it too
  std::vector<std::byte*> payloads_;         // by slot
  std::vector<std::uint64_t> block_bytes_;   // by slot; of slices
  std::vector<bool> built_;                  // by slot; of dynamic payloads
};

/// A peer's side. What it reads in the owner's file it checks. Thread safety: none.
class PeerSlots {
 public:
  struct Payload {
    const std::byte* data = nullptr;  ///< null: the owner is broken, see `failure()`
    std::uint64_t count = 1;          ///< elements of a slice
  };

  PeerSlots() = default;
  /// `table` and `count`, the number of slots, lie in `file`; which must outlive this and stay.
  PeerSlots(SharedFile& file, const SlotTable& table, const std::atomic<std::uint64_t>& count,
            const PayloadLayout& layout) noexcept
      : file_(&file), table_(&table), count_(&count), layout_(layout) {}

  /// Whether the owner's payloads are what this side expects, and all slots lie inside the file.
  /// Errors: corrupted.
  [[nodiscard]] Result<void> connect();

  [[nodiscard]] std::size_t size() const noexcept { return payloads_.size(); }
  /// For a hint to the cache: where the slot's payload is, null if it is not known yet.
  [[nodiscard]] const std::byte* peek(Slot slot) const noexcept {
    return slot < payloads_.size() ? payloads_[slot] : nullptr;
  }
  /// Where the slot begins. Precondition: `peek(slot)` is not null.
  [[nodiscard]] const std::byte* header(Slot slot) const noexcept {
    return payloads_[slot] - SlotPool::payload_offset(layout_);
  }
  /// The payload in a slot that this side has claimed. Wait-free; system calls only when the
  /// owner's file has grown.
  [[nodiscard]] Payload payload(Slot slot) noexcept {
    if (slot >= payloads_.size()) [[unlikely]] {
      if (!learn() || slot >= payloads_.size()) return none();
    }
    if (layout_.shape == PayloadShape::plain) [[likely]]
      return {payloads_[slot]};
    return look_into(payloads_[slot]);
  }
  /// Why there was no payload.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  bool learn() noexcept;
  [[nodiscard]] Payload none() noexcept;
  [[nodiscard]] Payload look_into(const std::byte* payload) noexcept;
  [[nodiscard]] bool is_inside(std::uint64_t offset, std::uint64_t bytes) noexcept;
  /// Says why in `failure_`. False.
  bool fail(const std::string& what);

  SharedFile* file_ = nullptr;
  const SlotTable* table_ = nullptr;
  const std::atomic<std::uint64_t>* count_ = nullptr;
  PayloadLayout layout_;
  std::vector<const std::byte*> payloads_;  // by slot, each checked once
  Failure failure_;
};

}  // namespace sluice
