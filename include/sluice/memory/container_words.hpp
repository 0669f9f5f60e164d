// SPDX-License-Identifier: Apache-2.0
//
// What all containers in shared memory have in common: their words, where in a class they are, and
// the check that a reader makes before it follows them.
//
//    0         8            16     24         32
//   | allocator | data ──┐  | size | capacity |          written by the heap's owner alone
//                        └──► [ element 0 ][ element 1 ] … size … capacity, in the same file
//
// A reader knows the offsets of the containers in a class from a specimen: an object of that class
// that it builds in private memory, whose containers report themselves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <sluice/core/error.hpp>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/offset_ptr.hpp>
#include <sluice/reflect/type_name.hpp>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {

class ContainerMap;

/// What the containers of one type refer to.
struct ContainerType {
  std::uint64_t element_bytes;
  std::uint64_t element_alignment;
  bool terminated;                    ///< a zero element follows the last
  const ContainerMap& (*elements)();  ///< null: no element has containers
};

/// The words of one container, at its beginning.
class ContainerWords {
 public:
  ContainerWords(const Allocator<>& heap, const ContainerType& type) noexcept : allocator(heap) {
    if (specimen != nullptr) [[unlikely]]
      report(type);
  }
  ContainerWords(const ContainerWords&) = delete;
  ContainerWords& operator=(const ContainerWords&) = delete;
  ~ContainerWords() {
    if (specimen != nullptr) [[unlikely]]
      withdraw();
  }

  /// Exchanges all but the allocators, which are equal.
  void swap(ContainerWords& other) noexcept {
    std::swap(data, other.data);
    std::swap(size, other.size);
    std::swap(capacity, other.capacity);
  }

  Allocator<> allocator;
  offset_ptr<void> data;
  std::uint64_t size = 0;
  std::uint64_t capacity = 0;

 private:
  friend class ContainerMap;

  void report(const ContainerType& type) const noexcept;
  void withdraw() const noexcept;

  /// The map that this thread is drawing.
  static inline constinit thread_local ContainerMap* specimen = nullptr;
};
static_assert(sizeof(ContainerWords) == 32 && std::is_standard_layout_v<ContainerWords>);

/// Where in a class its containers are.
class ContainerMap {
 public:
  struct Place {
    std::uint64_t offset;
    const ContainerType* type;
  };
  /// How to build a specimen.
  struct Class {
    std::uint64_t bytes;
    std::uint64_t alignment;
    std::string_view spelling;  ///< `type_spelling`
    void (*construct)(void* memory, Allocator<> allocator);
    void (*destroy)(void* object) noexcept;
  };

  /// Builds a specimen. Aborts with a message where the class cannot be shared: it has a container
  /// that was not given the allocator, or a pointer into itself (a std::string, std::list, …).
  explicit ContainerMap(const Class& specimen_class);
  ContainerMap(const ContainerMap&) = delete;
  ContainerMap& operator=(const ContainerMap&) = delete;

  [[nodiscard]] const std::vector<Place>& places() const noexcept { return places_; }
  /// Draws the maps of the elements too, and of theirs, so that `check_containers` need not.
  void complete() const;

 private:
  friend class ContainerWords;

  std::vector<Place> places_;  // by offset
  const std::byte* object_ = nullptr;
  std::uint64_t bytes_ = 0;
  mutable std::atomic<bool> is_complete_{false};
};

/// The map of `T`, drawn when it is asked for first. Runs `T`'s constructor on private memory.
template <ConstructibleInHeap T>
[[nodiscard]] const ContainerMap& containers_in() {
  static const ContainerMap map(
      {sizeof(T), alignof(T), type_spelling<T>,
       [](void* memory, Allocator<> allocator) { ::new (memory) T(allocator); },
       [](void* object) noexcept { static_cast<T*>(object)->~T(); }});
  return map;
}

/// The same as a function; null where `T` has no containers.
template <typename T>
inline constexpr const ContainerMap& (*containers_of)() = nullptr;
template <ConstructibleInHeap T>
inline constexpr const ContainerMap& (*containers_of<T>)() = &containers_in<T>;

/// Elements nested deeper in each other are refused.
inline constexpr unsigned kMaxContainerDepth = 32;

/// Whether every container of the object at `object`, which `map` describes, and every container of
/// their elements, has its memory within [begin, begin + bytes), aligned and large enough; whether
/// no size is beyond the capacity, and strings are terminated. Follows nothing that it has not
/// checked. Precondition: the object itself lies there.
///
/// It says what is so now: a publisher that changes its words afterwards is not stopped by it. The
/// order in a map is not checked. Time: one step a container, of which there can be no more than
/// `bytes` / 32, since elements are counted against them. Allocates nothing if the map is complete.
[[nodiscard]] bool check_containers(const ContainerMap& map, const void* object,
                                    const std::byte* begin, std::uint64_t bytes) noexcept;

/// The same for `payload`. Not seen are containers that its constructor does not always build, as
/// in a std::optional, std::variant or std::unique_ptr: a payload may have none.
template <ConstructibleInHeap T>
[[nodiscard]] bool check_containers(const T& payload, const std::byte* begin,
                                    std::uint64_t bytes) noexcept {
  return check_containers(containers_in<T>(), &payload, begin, bytes);
}

}  // namespace sluice
