// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/offset_ptr.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>
#include <new>
#include <sluice/core/format.hpp>
#include <sluice/memory/heap.hpp>

namespace sluice {
namespace {

namespace ipc = boost::interprocess;

// The algorithm alone, without Boost's segment manager: that one adds names, locks and exceptions.
using BestFit = ipc::rbtree_best_fit<ipc::null_mutex_family, ipc::offset_ptr<void>>;

constexpr std::uint64_t kMaxAlignment = 4096;
constexpr std::uint64_t kMaxSpareBytes = std::uint64_t{1} << 20;
// No less than what the algorithm asks for beside the bytes and their alignment.
constexpr std::uint64_t kBlockOverheadBytes = 128;
// No more than the smallest block, and no less than what ends the heap.
constexpr std::uint64_t kLeastBlockBytes = 32;
// The algorithm's `shrink_to_fit` cannot do with less in an empty heap.
constexpr std::uint64_t kLeastFreeBytes = 256;
static_assert(alignof(BestFit) <= BestFit::Alignment);

BestFit& best_fit(void* manager) noexcept { return *static_cast<BestFit*>(manager); }

/// Bytes of the free block at the heap's end, which growing makes larger.
std::uint64_t tail_bytes(BestFit& manager) noexcept {
  const std::uint64_t bytes = manager.get_size();
  manager.shrink_to_fit();
  const std::uint64_t tail = bytes - manager.get_size();
  if (tail > 0) manager.grow(tail);
  return tail;
}

}  // namespace

Result<Heap> Heap::create(SharedFile& file, std::uint64_t offset) {
  Heap heap;
  heap.file_ = &file;
  offset = (offset + BestFit::Alignment - 1) / BestFit::Alignment * BestFit::Alignment;
  const std::uint64_t least_bytes = BestFit::get_min_size(0) + kLeastFreeBytes;
  if (auto grown = file.grow_to(offset + least_bytes); !grown) return grown.failure();
  const std::uint64_t bytes = file.region().mapped_bytes() - offset;
  heap.manager_ = new (file.region().data() + offset) BestFit(bytes, 0);
  return heap;
}

Result<std::uint64_t> Heap::allocate(std::uint64_t bytes, std::uint64_t alignment) {
  return allocate_if([] { return Result<void>(); }, bytes, alignment);
}

Result<std::uint64_t> Heap::allocate_counted(std::uint64_t bytes, std::uint64_t alignment) {
  const auto is_within_limit = [&]() -> Result<void> {
    if (bytes <= uncounted_bytes()) return {};
    return Failure{Errc::no_address_space, format("{} of {} bytes are in use; raise heap_bytes",
                                                  counted_bytes_, most_counted_bytes_)};
  };
  auto block = allocate_if(is_within_limit, bytes, alignment);
  if (block) count(bytes);
  return block;
}

/// Unless `check()` fails when it is called; then it makes room, and tries again.
template <typename Check>
Result<std::uint64_t> Heap::allocate_if(Check&& check, std::uint64_t bytes,
                                        std::uint64_t alignment) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > kMaxAlignment) {
    return Failure{Errc::invalid_options,
                   format("alignment {} is not a power of two up to {}", alignment, kMaxAlignment)};
  }
  const Region& region = file_->region();
  if (bytes > region.reserved_bytes()) {
    return Failure{Errc::no_address_space,
                   format("cannot allocate {} bytes in {}: {} bytes of address space are reserved",
                          bytes, file_->path(), region.reserved_bytes())};
  }
  BestFit& manager = best_fit(manager_);
  for (;;) {
    auto possible = check();
    if (possible) {
      if (void* block = manager.allocate_aligned(bytes, alignment)) return region.offset_of(block);
      const std::uint64_t needed = bytes + alignment + kBlockOverheadBytes;
      possible = grow_by(needed - std::min(tail_bytes(manager), needed));
      if (possible) continue;
    }
    auto make_room = std::exchange(make_room_, nullptr);  // it may allocate, too
    const bool has_made_room = make_room && make_room();
    make_room_ = std::move(make_room);
    if (has_made_room) continue;
    return Failure{possible.error(),
                   format("cannot allocate {} bytes: {}", bytes, possible.failure().message)};
  }
}

std::uint64_t Heap::expand(std::uint64_t offset, std::uint64_t least_bytes,
                           std::uint64_t preferred_bytes) noexcept {
  if (least_bytes > file_->region().reserved_bytes()) return 0;
  BestFit& manager = best_fit(manager_);
  void* block = file_->region().data() + offset;
  const auto try_expand = [&](std::uint64_t& bytes) {
    const std::uint64_t most = manager.get_size();  // more it refuses without a look
    const std::uint64_t least = std::min(least_bytes, most);
    void* reuse = block;
    bytes = std::clamp(preferred_bytes, least, most);
    return manager.raw_allocation_command(ipc::expand_fwd, least, bytes, reuse, 1) != nullptr;
  };
  std::uint64_t bytes = 0;
  if (try_expand(bytes)) return bytes;
  // `bytes` is now what the block has, with a free one that may follow. Then nothing: it is last.
  if (offset + bytes + kLeastBlockBytes < file_->region().mapped_bytes()) return 0;
  if (!grow_by(least_bytes - std::min(bytes, least_bytes) + kBlockOverheadBytes)) return 0;
  return try_expand(bytes) ? bytes : 0;
}

void Heap::deallocate(std::uint64_t offset) noexcept {
  best_fit(manager_).deallocate(file_->region().data() + offset);
}

std::uint64_t Heap::block_bytes(std::uint64_t offset) const noexcept {
  return best_fit(manager_).size(file_->region().data() + offset);
}

std::uint64_t Heap::free_bytes() const noexcept { return best_fit(manager_).get_free_memory(); }

Result<void> Heap::grow_by(std::uint64_t missing_bytes) {
  const std::uint64_t present = file_->region().mapped_bytes();
  // Small blocks come in numbers: an eighth at a time keeps the system calls few.
  const std::uint64_t spare = std::min(present / 8, kMaxSpareBytes);
  auto grown = file_->grow_to(present + std::max(missing_bytes, spare));
  if (!grown && missing_bytes < spare) grown = file_->grow_to(present + missing_bytes);
  if (!grown) return grown;
  best_fit(manager_).grow(file_->region().mapped_bytes() - present);
  return {};
}

}  // namespace sluice
