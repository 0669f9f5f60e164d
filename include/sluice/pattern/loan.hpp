// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <new>
#include <sluice/container/dynamic_payload.hpp>
#include <sluice/pattern/port.hpp>
#include <type_traits>
#include <utility>

namespace sluice {

/// What loans of every type have in common: memory that is given back unless it is handed on.
class LoanBase : public Handle<Port, Loaned> {
 public:
  using Handle::Handle;

  /// Why there is no loan: would_block, timed_out, too_many_loans, no_memory, no_address_space,
  /// abandoned (a response), forked; closed where it was moved from, handed on or reset.
  using Handle::error;
  /// Gives the memory back unused.
  using Handle::reset;

  /// For the port `owner`: its cell. Aborts with `message` where the handle is empty or another
  /// port's: a programmer's error.
  [[nodiscard]] Cell cell_in(const Port* owner, const char* message) const noexcept {
    if (what_.payload == nullptr || owner_ != owner) [[unlikely]]
      abort_with(message);
    return what_.cell;
  }
  /// The same, and takes its memory out of the handle.
  [[nodiscard]] Cell hand_on(const Port* owner, const char* message) noexcept {
    const Cell cell = cell_in(owner, message);
    (void)take();
    return cell;
  }
};

/// A payload in shared memory, or a slice, `T[]`, that may be written until it is published or
/// sent. False where there was none to be had. Move-only; one that is destroyed unused gives its
/// memory back. May outlive its port, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Loan : public PayloadHandle<LoanBase, T> {
 public:
  using PayloadHandle<LoanBase, T>::PayloadHandle;
};

/// Whether `construct` throws nothing.
template <typename T, typename... Args>
consteval bool constructs_without_throwing() {
  if constexpr (DynamicPayload<T>) {
    return std::is_nothrow_constructible_v<T, Args..., Allocator<>>;
  } else {
    return noexcept(T{std::declval<Args>()...});
  }
}

/// A loan of `T{args…}`, or of memory left as it is without arguments; of a class with containers,
/// of `T(args…, allocator)`.
template <typename T, typename P, typename... Args>
[[nodiscard]] Loan<T> construct(P* owner, const Loaned& loaned, Args&&... args) noexcept(
    constructs_without_throwing<T, Args...>()) {
  // Before the payload is constructed: if that throws, the loan is given back.
  Loan<T> loan(owner, loaned);
  if (!loan) return loan;
  if constexpr (DynamicPayload<T>) {
    const SlotPool::Place place = owner->place_of(loaned.cell);
    new (loaned.payload) T(std::forward<Args>(args)..., place.prepare());
    place.set_built();
  } else if constexpr (sizeof...(Args) == 0) {
    new (loaned.payload) T;
  } else {
    new (loaned.payload) T{std::forward<Args>(args)...};
  }
  return loan;
}

}  // namespace sluice
