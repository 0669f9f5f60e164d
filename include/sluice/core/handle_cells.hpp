// SPDX-License-Identifier: Apache-2.0
//
// Which of a port's handles (loans, samples) are held. A handle may be given back on any thread,
// and may outlive its port: then the last one to be given back ends what the port left.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <sluice/core/index.hpp>

namespace sluice {

/// A fixed number of cells, one a handle. Wait-free. Thread safety: `acquire`, `withdraw` and
/// `close` on the port's thread, `give_back` on any.
class HandleCells {
 public:
  HandleCells() = default;
  explicit HandleCells(std::uint32_t count)
      : cells_(std::make_unique<std::atomic<std::uint8_t>[]>(count)), count_(count) {}

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  /// Whether cell `i` is held. Ordered after the `give_back` that freed it.
  [[nodiscard]] bool is_held(Cell i) const noexcept {
    // acquire: pairs with the exchange in `give_back`.
    return (cells_[i].load(std::memory_order_acquire) & kHeld) != 0;
  }

  /// How many are held of those for which `counts(i)`.
  template <typename Counts>
  [[nodiscard]] std::uint32_t held(Counts&& counts) const noexcept {
    std::uint32_t held = 0;
    for (std::uint32_t i = 0; i < count_; ++i) held += counts(Cell(i)) && is_held(i) ? 1 : 0;
    return held;
  }
  [[nodiscard]] std::uint32_t held() const noexcept {
    return held([](Cell) { return true; });
  }

  /// The first cell that is free, now held; kNoCell where there is none.
  [[nodiscard]] Cell acquire() noexcept { return acquire(0, count_); }
  /// The same among the cells from `first` up to `end`, for ports with several kinds of handles.
  [[nodiscard]] Cell acquire(Cell first, Cell end) noexcept {
    for (std::uint32_t i = first; i < end; ++i) {
      if (is_held(i)) continue;
      // relaxed: the handle is passed on by other means.
      if (closed_) [[unlikely]]
        orphans_.fetch_add(1, std::memory_order_relaxed);
      cells_[i].store(closed_ ? kHeldOrphan : kHeld, std::memory_order_relaxed);
      return i;
    }
    return kNoCell;
  }

  /// Frees a cell on the port's own thread, where no other thread can hold its handle.
  void withdraw(Cell i) noexcept {
    // relaxed: the port's thread alone reads it from here on.
    cells_[i].store(0, std::memory_order_relaxed);
    if (closed_) [[unlikely]]
      forget_one();  // never the last: the handle that is being used is another
  }

  /// Frees a cell. True: the port is closed and this was its last handle; the caller ends what it
  /// left. Where false, nothing of the port may be touched any more.
  [[nodiscard]] bool give_back(Cell i) noexcept {
    // acq_rel: release what was done with the handle to `is_held`; acquire `close`'s mark.
    if (cells_[i].exchange(0, std::memory_order_acq_rel) == kHeld) return false;
    return forget_one();
  }

  /// The port is gone. True: no handle is held; the caller ends what it leaves. False: the last
  /// `give_back` will be told. Until then, one of the handles that are held may `acquire` others.
  [[nodiscard]] bool close() noexcept {
    closed_ = true;
    for (std::uint32_t i = 0; i < count_; ++i) {
      // relaxed: this thread's later mark, an acq_rel, hands it on.
      orphans_.fetch_add(1, std::memory_order_relaxed);
      // acq_rel: pairs with the exchange in `give_back`, whichever comes first.
      if (cells_[i].fetch_or(kOrphan, std::memory_order_acq_rel) == 0) forget_one();
    }
    return forget_one();
  }

 private:
  static constexpr std::uint8_t kHeld = 1;
  static constexpr std::uint8_t kOrphan = 2;  // counted in `orphans_` while it is held
  static constexpr std::uint8_t kHeldOrphan = kHeld | kOrphan;

  bool forget_one() noexcept {
    // acq_rel: whoever is last comes after all others.
    return orphans_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  std::unique_ptr<std::atomic<std::uint8_t>[]> cells_;
  std::uint32_t count_ = 0;
  bool closed_ = false;                    // the port's thread
  std::atomic<std::uint32_t> orphans_{1};  // handles that outlive the port, and the port itself
};

}  // namespace sluice
