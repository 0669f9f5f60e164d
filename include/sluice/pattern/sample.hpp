// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <sluice/pattern/port.hpp>

namespace sluice {

/// What samples of every type have in common.
class SampleBase : public Handle<Port, Borrowed> {
 public:
  using Handle::Handle;

  /// Why there is no sample: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a publisher or server that cannot be read), peer_died or
  /// unanswered (a response), closed (moved from or reset).
  using Handle::error;
  /// Gives the memory back to the publisher. Wait-free, no system call.
  using Handle::reset;

  /// Counts the publisher's samples from 0; a gap is what was lost.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return what_.sequence; }
  /// Tells the service's publishers apart: `Publisher::id()`.
  [[nodiscard]] std::uint64_t publisher() const noexcept { return what_.publisher; }
};

/// A published payload, or a slice, `T[]`, read where its publisher wrote it. False where there was
/// none. Move-only; destroying it gives the memory back. It stays readable when its publisher dies;
/// may outlive its port, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Sample : public PayloadHandle<SampleBase, const T> {
 public:
  using PayloadHandle<SampleBase, const T>::PayloadHandle;
};

}  // namespace sluice
