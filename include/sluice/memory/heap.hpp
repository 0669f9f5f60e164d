// SPDX-License-Identifier: Apache-2.0
//
// Allocation inside an owner's file. Only the owner allocates, so there is no lock in it that a
// killed process could hold: when the owner is gone, so is the file. The algorithm is the best-fit
// tree of Boost.Interprocess, which src/ alone includes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <sluice/memory/shared_file.hpp>
#include <utility>

namespace sluice {

/// The heap in a file that this process owns. Grows the file when it has to. Thread safety: none.
class Heap {
 public:
  Heap() = default;

  /// Makes an empty heap that begins at `offset` of `file` and may grow with it. The file must
  /// outlive the heap and must not be moved.
  [[nodiscard]] static Result<Heap> create(SharedFile& file, std::uint64_t offset);

  /// Offset, from the start of the file, of `bytes` bytes at a multiple of `alignment` (a power of
  /// two, at most a page). Errors: Errc::no_memory and Errc::no_address_space, with what was needed
  /// and what there is, Errc::invalid_options for another alignment; nothing has changed then.
  [[nodiscard]] Result<std::uint64_t> allocate(std::uint64_t bytes, std::uint64_t alignment);
  /// The same for a block that counts: those that do have at most `most_counted_bytes` together.
  /// Errors: no_address_space also where they would have more.
  [[nodiscard]] Result<std::uint64_t> allocate_counted(std::uint64_t bytes,
                                                       std::uint64_t alignment);
  /// What counts has `bytes` more or less than was asked for, or is given back.
  void count(std::uint64_t bytes) noexcept { counted_bytes_ += bytes; }
  void uncount(std::uint64_t bytes) noexcept { counted_bytes_ -= bytes; }
  void limit_counted(std::uint64_t bytes) noexcept { most_counted_bytes_ = bytes; }
  /// How much more may count.
  [[nodiscard]] std::uint64_t uncounted_bytes() const noexcept {
    return most_counted_bytes_ - std::min(counted_bytes_, most_counted_bytes_);
  }
  /// Bytes that the block at `offset` has: what was asked for, rounded up.
  [[nodiscard]] std::uint64_t block_bytes(std::uint64_t offset) const noexcept;

  /// `make_room()` is called when memory is short, before `allocate` gives up; it may deallocate,
  /// and returns whether it did. It is called until the block fits or it did not.
  void when_short(std::function<bool()> make_room) { make_room_ = std::move(make_room); }
  /// Makes the block at `offset` larger where it is: to `preferred_bytes` if they are there, and to
  /// at least `least_bytes`. Grows the file where the block is the heap's last. Returns the size
  /// that the block has now; 0: something follows it, or there is no memory, and nothing has
  /// changed for the block.
  [[nodiscard]] std::uint64_t expand(std::uint64_t offset, std::uint64_t least_bytes,
                                     std::uint64_t preferred_bytes) noexcept;
  /// Gives back what `allocate` returned.
  void deallocate(std::uint64_t offset) noexcept;

  /// Bytes that can be allocated without growing, in all; a single block may be smaller.
  [[nodiscard]] std::uint64_t free_bytes() const noexcept;

  [[nodiscard]] SharedFile& file() const noexcept { return *file_; }
  /// Where the heap begins in the owner's mapping.
  [[nodiscard]] const void* begin() const noexcept { return manager_; }

 private:
  template <typename Check>
  Result<std::uint64_t> allocate_if(Check&& check, std::uint64_t bytes, std::uint64_t alignment);
  Result<void> grow_by(std::uint64_t missing_bytes);

  SharedFile* file_ = nullptr;
  std::function<bool()> make_room_;
  void* manager_ = nullptr;  ///< the allocation algorithm's header
  std::uint64_t counted_bytes_ = 0;
  std::uint64_t most_counted_bytes_ = UINT64_MAX;
};

}  // namespace sluice
