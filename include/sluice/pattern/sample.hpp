// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/handle.hpp>
#include <sluice/pattern/handle_owner.hpp>
#include <type_traits>

namespace sluice {

/// What a port hands out to be read.
struct Borrowed {
  PeerSlots::Payload payload = {};
  /// The claim that keeps the payload from being reused, in a file of this process.
  std::atomic<std::uint64_t>* claim = nullptr;
  std::uint64_t sequence = 0;
  std::uint64_t publisher = 0;  ///< who wrote it
  Cell cell = 0;
  Errc error = Errc::ok;

  [[nodiscard]] const std::byte* data() const noexcept { return payload.data; }
  [[nodiscard]] std::uint64_t size() const noexcept { return payload.count; }
  void give_back(HandleOwner& owner) const noexcept {
    if (owner.is_forked()) [[unlikely]]
      return;  // the parent's
    // release: pairs with the acquire of the owner that looks for free slots; the payload was read
    // before.
    claim->store(0, std::memory_order_release);
    owner.drop(cell);
  }
};

/// What samples of every type have in common.
class SampleBase : public Handle<HandleOwner, Borrowed> {
 public:
  using Handle::Handle;

  /// Why there is no sample: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a publisher or server that cannot be read), peer_died or
  /// unanswered (a response), closed (moved from or reset).
  [[nodiscard]] Errc error() const noexcept { return held_.error; }
  /// Counts the publisher's samples from 0; a gap is what was lost.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return held_.sequence; }
  /// Tells the service's publishers apart: `Publisher::id()`.
  [[nodiscard]] std::uint64_t publisher() const noexcept { return held_.publisher; }

  /// Gives the memory back to the publisher. Wait-free, no system call.
  using Handle::reset;
};

/// A published payload, or slice (`T[]`), read where its publisher wrote it. False where there was
/// none. Move-only; destroying it gives the memory back. It stays readable when its publisher dies;
/// may outlive its port, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Sample : public PayloadHandle<SampleBase, std::add_const_t<T>> {
 public:
  using PayloadHandle<SampleBase, std::add_const_t<T>>::PayloadHandle;
};

}  // namespace sluice
