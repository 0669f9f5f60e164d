// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <sluice/core/error.hpp>
#include <sluice/pattern/handle_owner.hpp>
#include <span>
#include <utility>

namespace sluice {

/// What a port hands out to be written.
struct Loaned {
  std::byte* payload = nullptr;  ///< null: none
  std::uint64_t count = 1;       ///< elements of a slice
  Cell cell = 0;
  Errc error = Errc::ok;
};

/// What loans of every type have in common: memory that is given back unless it is handed on.
class LoanBase {
 public:
  LoanBase() = default;
  LoanBase(HandleOwner* owner, const Loaned& loaned) noexcept : owner_(owner), loaned_(loaned) {}
  LoanBase(LoanBase&& other) noexcept
      : owner_(other.owner_), loaned_(std::exchange(other.loaned_, {.error = Errc::closed})) {}
  LoanBase& operator=(LoanBase&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = other.owner_;
      loaned_ = std::exchange(other.loaned_, {.error = Errc::closed});
    }
    return *this;
  }
  ~LoanBase() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return loaned_.payload != nullptr; }
  /// Why there is no loan: would_block, timed_out, too_many_loans, no_memory, no_address_space,
  /// abandoned (a response), forked; closed where it was moved from, handed on or reset.
  [[nodiscard]] Errc error() const noexcept { return loaned_.error; }

  /// Gives the memory back unused.
  void reset() noexcept {
    if (loaned_.payload == nullptr) return;
    const Cell cell = loaned_.cell;
    loaned_ = {.error = Errc::closed};
    owner_->drop(cell);
  }

  /// For the port `owner`: its cell. Aborts with `message` where the handle is empty or another
  /// port's: a programmer's error.
  [[nodiscard]] Cell cell_in(const HandleOwner* owner, const char* message) const noexcept {
    if (loaned_.payload == nullptr || owner_ != owner) [[unlikely]]
      abort_with(message);
    return loaned_.cell;
  }
  /// The same, and takes its memory out of the handle.
  [[nodiscard]] std::uint32_t hand_on(const HandleOwner* owner, const char* message) noexcept {
    const Cell cell = cell_in(owner, message);
    loaned_ = {.error = Errc::closed};
    return cell;
  }

 protected:
  HandleOwner* owner_ = nullptr;
  Loaned loaned_{.error = Errc::closed};
};

/// A payload in shared memory that may be written until it is published or sent. False where there
/// was none to be had. Move-only; one that is destroyed unused gives its memory back. May outlive
/// its port, and be destroyed on any thread.
template <typename T>
class [[nodiscard]] Loan : public LoanBase {
 public:
  using LoanBase::LoanBase;

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] T* get() const noexcept { return reinterpret_cast<T*>(loaned_.payload); }
  [[nodiscard]] T& operator*() const noexcept { return *get(); }
  [[nodiscard]] T* operator->() const noexcept { return get(); }
};

/// A slice: elements in one block of shared memory, as many as were asked for.
template <typename T>
class [[nodiscard]] Loan<T[]> : public LoanBase {
 public:
  using LoanBase::LoanBase;

  /// Precondition, here and below: holds a slice, which may be empty.
  [[nodiscard]] T* data() const noexcept { return reinterpret_cast<T*>(loaned_.payload); }
  [[nodiscard]] std::size_t size() const noexcept { return loaned_.count; }
  [[nodiscard]] bool empty() const noexcept { return loaned_.count == 0; }
  [[nodiscard]] T* begin() const noexcept { return data(); }
  [[nodiscard]] T* end() const noexcept { return data() + size(); }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<T> span() const noexcept { return {data(), size()}; }
};

/// A loan of `T{args…}`, or of memory left as it is without arguments.
template <typename T, typename... Args>
[[nodiscard]] Loan<T> construct(HandleOwner* owner, const Loaned& loaned,
                                Args&&... args) noexcept(noexcept(T{std::declval<Args>()...})) {
  // Before the payload is constructed: if that throws, the loan is given back.
  Loan<T> loan(owner, loaned);
  if (!loan) return loan;
  if constexpr (sizeof...(Args) == 0) {
    new (loaned.payload) T;
  } else {
    new (loaned.payload) T{std::forward<Args>(args)...};
  }
  return loan;
}

}  // namespace sluice
