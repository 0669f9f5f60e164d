// SPDX-License-Identifier: Apache-2.0
//
// What a port hands out, and the handles in which the user holds it until it is given back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/core/error.hpp>
#include <sluice/core/index.hpp>
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

/// What a port hands out to be read or waited for.
struct Borrowed {
  const std::byte* payload = nullptr;  ///< null: none
  std::uint64_t count = 1;             ///< elements of a slice
  /// The word, in a file of this process, by which others see when it is given back.
  std::atomic<std::uint64_t>* claim = nullptr;
  std::uint64_t sequence = 0;   ///< which of those of its writer; of a job, which attempt
  std::uint64_t publisher = 0;  ///< who wrote it
  Cell cell = 0;
  Errc error = Errc::ok;
};

/// Holds what `Owner` handed out, and gives it back once: `owner->give_back(what)`. Move-only.
template <typename Owner, typename What>
class Handle {
 public:
  Handle() = default;
  Handle(Owner* owner, const What& what) noexcept : owner_(owner), what_(what) {}
  Handle(Handle&& other) noexcept : owner_(other.owner_), what_(other.take()) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      owner_ = other.owner_;
      what_ = other.take();
    }
    return *this;
  }
  ~Handle() { reset(); }

  [[nodiscard]] explicit operator bool() const noexcept { return what_.payload != nullptr; }

 protected:
  [[nodiscard]] Errc error() const noexcept { return what_.error; }
  void reset() noexcept {
    if (what_.payload == nullptr) return;
    owner_->give_back(what_);
    what_ = {.error = Errc::closed};
  }
  /// Leaves the handle empty.
  [[nodiscard]] What take() noexcept { return std::exchange(what_, {.error = Errc::closed}); }

  Owner* owner_ = nullptr;
  What what_{.error = Errc::closed};
};

/// The handle `Base`, of a payload of type `T`.
template <typename Base, typename T>
class PayloadHandle : public Base {
 public:
  using Base::Base;

  /// Precondition, here and below: holds a payload.
  [[nodiscard]] T* get() const noexcept { return reinterpret_cast<T*>(this->what_.payload); }
  [[nodiscard]] T& operator*() const noexcept { return *get(); }
  [[nodiscard]] T* operator->() const noexcept { return get(); }
};

/// The same of a slice: elements in one block of shared memory.
template <typename Base, typename T>
class PayloadHandle<Base, T[]> : public Base {
 public:
  using Base::Base;

  /// Precondition, here and below: holds a slice, which may be empty.
  [[nodiscard]] T* data() const noexcept { return reinterpret_cast<T*>(this->what_.payload); }
  [[nodiscard]] std::size_t size() const noexcept { return this->what_.count; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] T* begin() const noexcept { return data(); }
  [[nodiscard]] T* end() const noexcept { return data() + size(); }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }
  [[nodiscard]] std::span<T> span() const noexcept { return {data(), size()}; }
};

}  // namespace sluice
