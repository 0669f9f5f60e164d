// SPDX-License-Identifier: Apache-2.0
//
// The other side of exchanges, as a client or a server sees it. Each side makes a row for the other
// in its own file, and finds the one that the other has made for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sluice/memory/owned_slots.hpp>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/service/peers.hpp>
#include <sluice/service/port_file.hpp>

namespace sluice {

/// `Theirs` is the layout of its file, `Mine` that of this port's. Both rows begin with the
/// incarnation that they are for.
template <typename Theirs, typename Mine>
struct ExchangePeer : Peer {
  PeerSlots slots;
  std::uint64_t incarnation = 0;
  std::uint64_t row = 0;              ///< offset of its row in this port's file; 0: none
  const std::byte* theirs = nullptr;  ///< this port's row in its file; null: not there yet
  bool is_broken = false;             ///< nothing of it is read any more

  [[nodiscard]] const Theirs& words() const noexcept {
    return *file.region().template at<Theirs>(0);
  }
  /// Words of this port's row in its file.
  [[nodiscard]] const std::atomic<std::uint64_t>* words(std::uint64_t offset) const noexcept {
    return reinterpret_cast<const std::atomic<std::uint64_t>*>(theirs + offset);
  }
  /// Words of its row in this port's file.
  [[nodiscard]] std::atomic<std::uint64_t>* words_in(const PortFile& mine,
                                                     std::uint64_t offset) const noexcept {
    return mine.region().template at<std::atomic<std::uint64_t>>(row + offset);
  }

  /// Makes its row, of zeros. Nobody finds it before `show_row`.
  Result<void> make_row(const PortFile& mine, OwnedSlots& pool, std::uint64_t bytes) {
    const auto made = pool.allocate(bytes, kCacheLineBytes);
    if (!made) return made.failure();
    row = *made;
    std::memset(mine.region().data() + row, 0, bytes);
    // relaxed: ordered by the release that follows.
    words_in(mine, 0)->store(incarnation, std::memory_order_relaxed);
    return {};
  }
  void show_row(const PortFile& mine) const noexcept {
    // release: pairs with the acquire in `find_row`; the row is empty.
    mine.words<Mine>().rows[seat].store(row, std::memory_order_release);
  }
  /// When it is gone.
  void drop_row(const PortFile& mine, OwnedSlots& pool) const noexcept {
    if (row == 0) return;
    std::atomic<std::uint64_t>& shown = mine.words<Mine>().rows[seat];
    // relaxed, both: this process's own word; the one that would read it is gone.
    if (shown.load(std::memory_order_relaxed) == row) shown.store(0, std::memory_order_relaxed);
    pool.deallocate(row);
  }

  /// Finds `theirs`, of `bytes`, if it is there. Errors: corrupted where it cannot be; this process
  /// cannot follow the file's growth.
  Result<void> find_row(const PortFile& mine, std::uint64_t bytes) {
    // acquire: pairs with the release in `show_row`.
    const std::uint64_t found = words().rows[mine.seat()].load(std::memory_order_acquire);
    if (found == 0) return {};
    if (!file.region().contains(found, bytes)) {
      if (auto grown = file.follow_growth(); !grown) return grown;
    }
    if (found % kCacheLineBytes != 0 || !file.region().contains(found, bytes)) {
      return broken("has a row outside the file");
    }
    const auto* words = file.region().template at<std::atomic<std::uint64_t>>(found);
    // relaxed: ordered by the acquire. One that is for an earlier port on the same seat is not
    // ours.
    if (words->load(std::memory_order_relaxed) == mine.incarnation()) {
      theirs = file.region().data() + found;
    }
    return {};
  }
};

}  // namespace sluice
