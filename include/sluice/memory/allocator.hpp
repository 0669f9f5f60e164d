// SPDX-License-Identifier: Apache-2.0
//
// Where containers in shared memory get their memory from, and how an element that has containers
// itself is built so that all of them use one heap. An example is in sluice/containers.hpp.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <sluice/memory/offset_ptr.hpp>
#include <sluice/memory/shared_heap.hpp>
#include <string>
#include <type_traits>
#include <utility>

namespace sluice {

/// Allocates `T`s in the heap of a port or a segment, or, if it was made without one, in the
/// private heap of the process. Meets the requirements of the standard library's allocators.
///
/// A copied container uses the private heap, so that a copy of a received one is an ordinary value;
/// assigning keeps the heap of the container that is assigned to. Thread safety: as `SharedHeap`.
template <typename T = std::byte>
class Allocator {
 public:
  using value_type = T;
  using pointer = offset_ptr<T>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;

  /// Of the private heap.
  Allocator() noexcept = default;
  explicit Allocator(const SharedHeap& heap) noexcept : anchor_(heap.anchor()) {}
  template <typename U>
  Allocator(const Allocator<U>& other) noexcept : anchor_(other.anchor_) {}  // NOLINT

  /// Room for `count` elements, uninitialised. Throws `Error` (aborts without exceptions):
  /// no_address_space, no_memory, with what was needed and what there is; forked. The private heap
  /// throws `std::bad_alloc`. Aborts where the container is one that was received.
  [[nodiscard]] pointer allocate(size_type count) {
    const size_type least = count;
    return allocate(least, count);
  }
  /// The same for `count` elements, or at least for `least` where so many do not fit; `count` is
  /// then changed to that.
  [[nodiscard]] pointer allocate(size_type least, size_type& count) {
    static_assert(alignof(T) <= 4096, "sluice: an element's alignment is at most 4096 bytes");
    if (least > max_size()) raise_too_many(least);
    if (count > max_size()) count = least;
    if (!anchor_) return std::allocator<T>().allocate(count);
    SharedHeap& heap = SharedHeap::of(anchor_.get());
    auto block = heap.allocate(count * sizeof(T), alignof(T));
    if (!block && least < count) {
      count = least;
      block = heap.allocate(count * sizeof(T), alignof(T));
    }
    if (!block) raise(block.failure());
    return static_cast<T*>(*block);
  }
  /// Makes the block larger where it is, to `preferred` elements if they are there, and to at least
  /// `least`. Returns how many there are room for; 0: it cannot be.
  [[nodiscard]] size_type expand(const pointer& block, size_type least,
                                 size_type preferred) noexcept {
    if (!anchor_ || preferred > max_size()) return 0;
    return SharedHeap::of(anchor_.get())
               .expand(block.get(), least * sizeof(T), preferred * sizeof(T)) /
           sizeof(T);
  }
  void deallocate(const pointer& block, size_type count) noexcept {
    if (!anchor_) return std::allocator<T>().deallocate(block.get(), count);
    SharedHeap::of(anchor_.get()).deallocate(block.get(), alignof(T));
  }

  [[nodiscard]] static constexpr size_type max_size() noexcept {
    return static_cast<size_type>(std::numeric_limits<difference_type>::max()) / sizeof(T);
  }
  [[nodiscard]] Allocator select_on_container_copy_construction() const noexcept { return {}; }
  /// Whether it allocates in the private heap.
  [[nodiscard]] bool is_private() const noexcept { return !anchor_; }
  [[nodiscard]] const void* anchor() const noexcept { return anchor_.get(); }

  /// Whether they allocate from the same heap.
  template <typename U>
  [[nodiscard]] bool operator==(const Allocator<U>& other) const noexcept {
    return anchor_.get() == other.anchor_.get();
  }

 private:
  template <typename U>
  friend class Allocator;

  [[noreturn]] static void raise_too_many(size_type count) {
    raise({Errc::no_address_space, "cannot allocate " + std::to_string(count) + " elements of " +
                                       std::to_string(sizeof(T)) + " bytes: at most " +
                                       std::to_string(max_size()) + " are possible"});
  }

  offset_ptr<const void> anchor_;  // null: the private heap
};

/// A class that takes the heap for its containers in its constructor. Not counted are what is made
/// of anything at all (std::any) and what may be empty (std::optional).
template <typename T>
concept ConstructibleInHeap =
    std::is_class_v<T> && !std::is_trivially_copyable_v<T> && !std::is_polymorphic_v<T> &&
    std::is_constructible_v<T, Allocator<>> && !std::is_convertible_v<Allocator<>, T> &&
    !std::is_constructible_v<T, std::align_val_t> && !std::is_constructible_v<T, std::nullopt_t> &&
    std::is_nothrow_destructible_v<T>;

/// A `T` of `args…`, whose containers, if it has any, use `allocator`: by `T(args…, allocator)`, or
/// where there is no such constructor, for a copy of another `T`, by `T(allocator)` and assignment.
template <typename T, typename... Args>
[[nodiscard]] T make_in([[maybe_unused]] Allocator<> allocator, Args&&... args) {
  if constexpr (!ConstructibleInHeap<T>) {
    if constexpr (std::is_constructible_v<T, Args...>) {
      return T(std::forward<Args>(args)...);
    } else {
      return T{std::forward<Args>(args)...};
    }
  } else if constexpr (std::is_constructible_v<T, Args..., Allocator<>>) {
    return T(std::forward<Args>(args)..., allocator);
  } else {
    static_assert(
        sizeof...(Args) == 1 &&
            (... && std::is_assignable_v<T&, Args>)&&std::is_move_constructible_v<T>,
        "sluice: an element that has containers is made of (args..., Allocator<>): give its class "
        "such a constructor, or assign to its members");
    T made(allocator);
    (made = ... = std::forward<Args>(args));
    return made;
  }
}

}  // namespace sluice
