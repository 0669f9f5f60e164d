// SPDX-License-Identifier: Apache-2.0
//
// Ports with handles that the user holds, which may outlive the port and be given back on any
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <sluice/core/handle_cells.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/handle.hpp>
#include <sluice/pattern/port.hpp>
#include <string_view>
#include <utility>

namespace sluice {

/// Lives until it is closed and the last of its handles is given back.
class HandleOwner : public Port {
 public:
  /// Gives a handle back. Any thread. Afterwards this may be gone.
  void drop(Cell cell) noexcept {
    if (is_forked()) [[unlikely]]
      return;
    if (cells_.give_back(cell)) end();
  }
  /// A loan that is not used.
  void give_back(const Loaned& loaned) noexcept { drop(loaned.cell); }
  /// What was read.
  void give_back(const Borrowed& borrowed) noexcept {
    if (is_forked()) [[unlikely]]
      return;  // the parent's
    // release: pairs with the acquire of the owner that looks for free slots; the payload was read
    // before.
    borrowed.claim->store(0, std::memory_order_release);
    drop(borrowed.cell);
  }

  /// The port is gone; its handles may live on.
  void close() noexcept {
    before_close();
    if (is_forked()) return;  // the parent's: left as it is
    if (cells_.close()) end();
  }

 protected:
  HandleOwner(const PortKind& kind, std::unique_ptr<Service> service, std::uint32_t handles = 0)
      : Port(kind, std::move(service)), cells_(handles) {}
  virtual ~HandleOwner() = default;
  /// On the port's thread, in a forked child too.
  virtual void before_close() noexcept {}
  /// Before all else is gone. Not of a port that could not be opened.
  virtual void before_end() noexcept { file_.leave(); }

  /// There is no cell for one more handle. `cure` ends in what to do before the option is raised:
  /// "loans are held; publish or drop one".
  Errc fail_too_many(Errc code, std::uint32_t count, std::string_view cure,
                     std::string_view option) noexcept;

  /// Gives a slice that was loaned, in `slot`, its size. Where that fails there is no loan.
  [[nodiscard]] Loaned sized(Loaned loaned, SlotPool& pool, Slot slot,
                             std::uint64_t count) noexcept {
    const auto resized = pool.resize(slot, count);
    if (!resized) {
      cells_.withdraw(loaned.cell);
      return {.error = fail(resized.failure())};
    }
    return {.payload = *resized, .count = count, .cell = loaned.cell};
  }

  HandleCells cells_;

 private:
  void end() noexcept {
    before_end();
    delete this;
  }
};

/// One that can be waited for: it is filled by others, which ring the service's doorbell.
class WaitableHandleOwner : public HandleOwner, public Waitable {
 public:
  [[nodiscard]] Doorbell& doorbell() noexcept override { return board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept { return descriptor_of(*this); }

 protected:
  using HandleOwner::HandleOwner;
  ~WaitableHandleOwner() override = default;
  void before_close() noexcept override { cut_link(); }
};

}  // namespace sluice
