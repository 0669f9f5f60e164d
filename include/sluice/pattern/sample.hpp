// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/core/error.hpp>
#include <sluice/pattern/handle_owner.hpp>
#include <span>
#include <utility>

namespace sluice {

/// What a port hands out to be read.
struct Borrowed {
  const std::byte* payload = nullptr;  ///< null: none
  std::uint64_t count = 1;             ///< elements of a slice
  /// The claim that keeps the payload from being reused, in a file of this process.
  std::atomic<std::uint64_t>* claim = nullptr;
  std::uint64_t sequence = 0;
  std::uint64_t publisher = 0;  ///< who wrote it
  Cell cell = 0;
  Errc error = Errc::ok;
};

/// What samples of every type have in common.
class SampleBase {
 public:
  SampleBase() = default;
  SampleBase(HandleOwner* owner, const Borrowed& borrowed) noexcept
      : owner_(owner), borrowed_(borrowed) {}
  SampleBase(SampleBase&& other) noexcept
      : owner_(other.owner_), borrowed_(std::exchange(other.borrowed_, {.error = Errc::closed})) {}
  SampleBase& operator=(SampleBase&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = other.owner_;
      borrowed_ = std::exchange(other.borrowed_, {.error = Errc::closed});
    }
    return *this;
  }
  ~SampleBase() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return borrowed_.payload != nullptr; }
  /// Why there is no sample: ok (nothing there yet), timed_out, too_many_borrowed, forked,
  /// corrupted or version_mismatch (a publisher or server that cannot be read), peer_died or
  /// unanswered (a response), closed (moved from or reset).
  [[nodiscard]] Errc error() const noexcept { return borrowed_.error; }

  /// Counts the publisher's samples from 0; a gap is what was lost.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return borrowed_.sequence; }
  /// Tells the service's publishers apart: `Publisher::id()`.
  [[nodiscard]] std::uint64_t publisher() const noexcept { return borrowed_.publisher; }

  /// Gives the memory back to the publisher. Wait-free, no system call.
  void reset() noexcept {
    if (borrowed_.payload == nullptr) return;
    const Borrowed was = std::exchange(borrowed_, {.error = Errc::closed});
    if (owner_->is_forked()) [[unlikely]]
      return;  // the parent's
    // release: pairs with the acquire of the owner that looks for free slots; the payload was read
    // before.
    was.claim->store(0, std::memory_order_release);
    owner_->drop(was.cell);
  }

 protected:
  HandleOwner* owner_ = nullptr;
  Borrowed borrowed_{.error = Errc::closed};
};

/// A published payload, read where its publisher wrote it. False where there was none. Move-only;
/// destroying it gives the memory back. It stays readable when its publisher dies; may outlive its
/// port, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Sample : public SampleBase {
 public:
  using SampleBase::SampleBase;

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] const T* get() const noexcept {
    return reinterpret_cast<const T*>(borrowed_.payload);
  }
  [[nodiscard]] const T& operator*() const noexcept { return *get(); }
  [[nodiscard]] const T* operator->() const noexcept { return get(); }
};

/// A slice: elements that are read where their publisher wrote them.
template <typename T>
class [[nodiscard]] Sample<T[]> : public SampleBase {
 public:
  using SampleBase::SampleBase;

  /// Precondition, here and below: holds a slice, which may be empty.
  [[nodiscard]] const T* data() const noexcept {
    return reinterpret_cast<const T*>(borrowed_.payload);
  }
  [[nodiscard]] std::size_t size() const noexcept { return borrowed_.count; }
  [[nodiscard]] bool empty() const noexcept { return borrowed_.count == 0; }
  [[nodiscard]] const T* begin() const noexcept { return data(); }
  [[nodiscard]] const T* end() const noexcept { return data() + size(); }
  [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<const T> span() const noexcept { return {data(), size()}; }
};

}  // namespace sluice
