// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/memory/slot_pool.hpp>

namespace sluice {
namespace {

/// The allocator's own words around a block.
constexpr std::uint64_t kBlockOverheadBytes = 64;

std::uint64_t payload_bytes(const PayloadLayout& layout) noexcept {
  return layout.shape == PayloadShape::slice ? sizeof(SliceWords) : layout.bytes;
}

constexpr auto payload_offset = SlotPool::payload_offset;

/// At least that of the payload, which begins at a multiple of its alignment in the slot.
std::uint64_t slot_alignment(const PayloadLayout& layout) noexcept {
  return std::max<std::uint64_t>(kCacheLineBytes, payload_offset(layout));
}

/// Whether a slice's block is one of those that have `heap_bytes` together: a slot needs a line.
constexpr bool counts(std::uint64_t block_bytes) noexcept { return block_bytes > kCacheLineBytes; }

/// Elements that are read by vector instructions or shared with nobody else's writes.
std::uint64_t element_alignment(const PayloadLayout& layout) noexcept {
  return std::max<std::uint64_t>(kCacheLineBytes, layout.alignment);
}

}  // namespace

std::uint64_t SlotPool::slot_bytes(const PayloadLayout& layout) noexcept {
  return payload_offset(layout) + payload_bytes(layout) + kBlockOverheadBytes;
}

std::uint64_t SlotPool::reserved_bytes(const PayloadLayout& layout, std::uint64_t slots) noexcept {
  const std::uint64_t heap = layout.shape == PayloadShape::plain ? 0 : layout.heap_bytes;
  const std::uint64_t least_block =
      layout.shape == PayloadShape::slice ? 2 * element_alignment(layout) + kBlockOverheadBytes : 0;
  return slots * (slot_bytes(layout) + slot_alignment(layout) + least_block) * 5 / 4 + heap;
}

Result<SlotPool> SlotPool::create(SharedFile& file, SlotTable& table, std::uint64_t heap_offset,
                                  const PayloadLayout& layout) {
  SlotPool pool;
  pool.file_ = &file;
  pool.table_ = &table;
  pool.layout_ = layout;
  table.payload_bytes = layout.bytes;
  table.payload_alignment = layout.alignment;
  table.payload_offset = static_cast<std::uint32_t>(payload_offset(layout));
  table.shape = layout.shape;
  auto heap = Heap::create(file, heap_offset);
  if (!heap) return heap.failure();
  pool.heap_ = std::make_unique<Heap>(std::move(*heap));
  if (layout.shape != PayloadShape::plain) pool.heap_->limit_counted(layout.heap_bytes);
  if (layout.shape == PayloadShape::dynamic) {
    pool.shared_heap_ = std::make_unique<SharedHeap>(*pool.heap_);
  }
  return pool;
}

Result<std::uint64_t> SlotPool::allocate(std::uint64_t bytes, std::uint64_t alignment) {
  if (!shared_heap_) return heap_->allocate(bytes, alignment);
  return shared_heap_->allocate_uncounted(bytes, alignment);
}

void SlotPool::deallocate(std::uint64_t offset) noexcept {
  if (!shared_heap_) return heap_->deallocate(offset);
  shared_heap_->deallocate_uncounted(offset);
}

void SlotPool::when_short(std::function<bool()> make_room) {
  if (!shared_heap_) return heap_->when_short(std::move(make_room));
  // A container may grow on another thread than the port's; that one must not touch the slots.
  heap_->when_short([heap = shared_heap_.get(), make_room = std::move(make_room)] {
    return heap->is_used_here() && make_room();
  });
}

Result<void> SlotPool::add_slot() {
  const Slot slot = size();
  const std::uint32_t chunk = SlotTable::chunk_of(slot);
  // relaxed, here and below: this process's own words; the number of slots hands them on.
  std::uint64_t offsets = table_->chunks[chunk].load(std::memory_order_relaxed);
  if (offsets == 0) {
    const auto allocated =
        allocate(SlotTable::chunk_size(chunk) * sizeof(std::uint64_t), kCacheLineBytes);
    if (!allocated) return allocated.failure();
    offsets = *allocated;
    table_->chunks[chunk].store(offsets, std::memory_order_relaxed);
  }
  const auto block =
      allocate(payload_offset(layout_) + payload_bytes(layout_), slot_alignment(layout_));
  if (!block) return block.failure();
  *file_->region().at<SlotHeader>(*block) = {};
  file_->region().at<std::atomic<std::uint64_t>>(offsets)[SlotTable::index_in_chunk(slot)].store(
      *block, std::memory_order_relaxed);
  std::byte* payload = file_->region().data() + *block + payload_offset(layout_);
  if (layout_.shape == PayloadShape::slice) {
    *reinterpret_cast<SliceWords*>(payload) = {};
    block_bytes_.push_back(0);
  }
  if (layout_.shape == PayloadShape::dynamic) built_.push_back(false);
  payloads_.push_back(payload);
  return {};
}

Result<void> SlotPool::grow_to(std::uint64_t slots, std::string_view what) {
  Result<void> added;
  while (size() < slots && added) added = add_slot();
  if (added) return added;
  return Failure{added.error(), format("{} {} of {} bytes needed, {} there: {}", slots, what,
                                       layout_.bytes, size(), added.failure().message)};
}

Result<std::byte*> SlotPool::resize(Slot slot, std::uint64_t count) {
  auto& words = *reinterpret_cast<SliceWords*>(payloads_[slot]);
  const std::uint64_t most = std::max<std::uint64_t>(layout_.heap_bytes, kCacheLineBytes);
  if (layout_.bytes != 0 && count > most / layout_.bytes) {
    return Failure{Errc::no_address_space,
                   format("cannot loan {} elements of {} bytes: all slices together may have {} "
                          "bytes; raise heap_bytes",
                          count, layout_.bytes, layout_.heap_bytes)};
  }
  const std::uint64_t bytes = count * layout_.bytes;
  if (bytes > block_bytes_[slot] || words.offset == 0) {
    const Slot slots[] = {slot};
    release_blocks(slots);
    const std::uint64_t wanted = std::max<std::uint64_t>(bytes, kCacheLineBytes);
    const auto block = counts(wanted) ? heap_->allocate_counted(wanted, element_alignment(layout_))
                                      : heap_->allocate(wanted, element_alignment(layout_));
    if (!block) return block.failure();
    words.offset = *block;
    block_bytes_[slot] = wanted;
  }
  words.count = count;
  return file_->region().data() + words.offset;
}

bool SlotPool::release_blocks(std::span<const Slot> slots) noexcept {
  bool any = false;
  if (layout_.shape == PayloadShape::dynamic) {
    for (const Slot slot : slots) any |= clear(slot);
  }
  if (layout_.shape != PayloadShape::slice) return any;
  for (const Slot slot : slots) {
    auto& words = *reinterpret_cast<SliceWords*>(payloads_[slot]);
    if (words.offset == 0) continue;
    heap_->deallocate(words.offset);
    if (counts(block_bytes_[slot])) heap_->uncount(block_bytes_[slot]);
    words = {};
    block_bytes_[slot] = 0;
    any = true;
  }
  return any;
}

bool SlotPool::clear(Slot slot) noexcept {
  if (!built_[slot]) return false;
  built_[slot] = false;
  layout_.destroy(payloads_[slot]);
  return true;
}

bool PeerSlots::fail(const std::string& what) {
  failure_ = {Errc::corrupted,
              format("{} {}; its owner is broken, restart it", file_->path(), what)};
  return false;
}

Result<void> PeerSlots::connect() {
  const std::uint64_t bytes = read_once(table_->payload_bytes);
  const std::uint64_t alignment = read_once(table_->payload_alignment);
  if (bytes != layout_.bytes || alignment != layout_.alignment ||
      read_once(table_->shape) != layout_.shape ||
      read_once(table_->payload_offset) != payload_offset(layout_)) {
    fail(format("has payloads of {} bytes aligned to {}, needed are {} and {}", bytes, alignment,
                layout_.bytes, layout_.alignment));
    return failure_;
  }
  return learn() ? Result<void>() : Result<void>(failure_);
}

bool PeerSlots::is_inside(std::uint64_t offset, std::uint64_t bytes) noexcept {
  if (file_->region().contains(offset, bytes)) return true;
  return file_->follow_growth() && file_->region().contains(offset, bytes);
}

/// Reads the offsets of the slots that were added, checking each.
bool PeerSlots::learn() noexcept {
  // acquire: pairs with the release of the number of slots, which comes after the table.
  const std::uint64_t slots = count_->load(std::memory_order_acquire);
  const std::uint64_t bytes = payload_offset(layout_) + payload_bytes(layout_);
  for (std::uint64_t slot = payloads_.size(); slot < slots; ++slot) {
    const auto number = static_cast<std::uint32_t>(slot);
    if (slot >= UINT32_MAX || SlotTable::chunk_of(number) >= SlotTable::kChunks) {
      return fail(format("has {} slots", slots));
    }
    const std::uint32_t chunk = SlotTable::chunk_of(number);
    // relaxed, here and below: ordered by the acquire of the number of slots.
    const std::uint64_t offsets = table_->chunks[chunk].load(std::memory_order_relaxed);
    const std::uint64_t offsets_bytes = SlotTable::chunk_size(chunk) * sizeof(std::uint64_t);
    if (offsets % sizeof(std::uint64_t) != 0 || !is_inside(offsets, offsets_bytes)) {
      return fail("has a slot table outside the file");
    }
    const std::uint64_t offset =
        file_->region()
            .at<const std::atomic<std::uint64_t>>(offsets)[SlotTable::index_in_chunk(number)]
            .load(std::memory_order_relaxed);
    if (offset % slot_alignment(layout_) != 0 || !is_inside(offset, bytes)) {
      return fail(format("has slot {} outside the file", slot));
    }
    payloads_.push_back(file_->region().data() + offset + payload_offset(layout_));
  }
  return true;
}

PeerSlots::Payload PeerSlots::none() noexcept {
  if (failure_.code == Errc::ok) fail("hands out a slot that it does not have");
  return {};
}

PeerSlots::Payload PeerSlots::look_into(const std::byte* payload) noexcept {
  if (layout_.shape == PayloadShape::dynamic) {
    const auto is_sound = [&] {
      return layout_.check(payload, file_->region().data(), file_->region().mapped_bytes());
    };
    if (is_sound() || (file_->follow_growth() && is_sound())) return {payload};
    fail("has a payload with a container that leads outside the file");
    return {};
  }
  const auto* words = reinterpret_cast<const SliceWords*>(payload);
  const std::uint64_t offset = read_once(words->offset);
  const std::uint64_t count = read_once(words->count);
  if (count > file_->region().reserved_bytes() / std::max<std::uint64_t>(layout_.bytes, 1) ||
      offset % layout_.alignment != 0 || !is_inside(offset, count * layout_.bytes)) {
    fail(format("has a slice of {} elements at {}, outside the file", count, offset));
    return {};
  }
  return {file_->region().data() + offset, count};
}

}  // namespace sluice
