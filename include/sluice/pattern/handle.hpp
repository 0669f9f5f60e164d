// SPDX-License-Identifier: Apache-2.0
//
// What a port hands out: something in shared memory that is held until it is given back.
#pragma once

#include <cstddef>
#include <sluice/core/error.hpp>
#include <span>
#include <utility>

namespace sluice {

/// What handles of every kind have in common. Move-only. `Held` has `data()`, null where there is
/// nothing, `error`, and `give_back(Owner&)`.
template <typename Owner, typename Held>
class Handle {
 public:
  Handle() = default;
  Handle(Owner* owner, const Held& held) noexcept : owner_(owner), held_(held) {}
  Handle(Handle&& other) noexcept : owner_(other.owner_), held_(other.let_go()) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = other.owner_;
      held_ = other.let_go();
    }
    return *this;
  }
  ~Handle() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return held_.data() != nullptr; }

 protected:
  void reset() noexcept {
    if (*this) let_go().give_back(*owner_);
  }
  /// What is held, which is for the caller to give back now.
  Held let_go() noexcept { return std::exchange(held_, {.error = Errc::closed}); }

  Owner* owner_ = nullptr;
  Held held_{.error = Errc::closed};
};

/// The payload of a handle, which is of type `T`.
template <typename Base, typename T>
class PayloadHandle : public Base {
 public:
  using Base::Base;

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] T* get() const noexcept { return reinterpret_cast<T*>(this->held_.data()); }
  [[nodiscard]] T& operator*() const noexcept { return *get(); }
  [[nodiscard]] T* operator->() const noexcept { return get(); }
};

/// A slice: elements in one block of shared memory, as many as were asked for.
template <typename Base, typename T>
class PayloadHandle<Base, T[]> : public Base {
 public:
  using Base::Base;

  /// Precondition, here and below: holds a slice, which may be empty.
  [[nodiscard]] T* data() const noexcept { return reinterpret_cast<T*>(this->held_.data()); }
  [[nodiscard]] std::size_t size() const noexcept { return this->held_.size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] T* begin() const noexcept { return data(); }
  [[nodiscard]] T* end() const noexcept { return data() + size(); }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<T> span() const noexcept { return {data(), size()}; }
};

}  // namespace sluice
