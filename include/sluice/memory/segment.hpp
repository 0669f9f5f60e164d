// SPDX-License-Identifier: Apache-2.0
//
// A segment: a file in memory in which one process builds objects, and which others read in place.
//
//   auto segment = sluice::Segment::create("maps/floor1").value();
//   auto grid = segment.construct<Grid>("grid", 400, 400);      // named, so that others find it
//   auto cells = segment.construct_array<Cell>(160'000);        // reached from another object
//
//   auto other = sluice::Segment::open("maps/floor1").value();  // another process, read-only
//   const Grid* seen = other.find<Grid>("grid");
//
// Only the creator writes, so nothing in a segment needs a lock, and a creator killed at any
// instruction leaves every object that was found readable. Objects refer to each other by
// `offset_ptr`. The segment lives as long as its creator; who has opened it keeps what is mapped.
//
// What a reader holds. `find` gives an object that was complete when it was named. Writing to it
// later, and destroying it, is for the creator and the readers to agree on (atomics in the object,
// or never): after `destroy` a reader's pointer still leads to readable memory, but to whatever is
// built there next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <sluice/core/result.hpp>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/container_words.hpp>
#include <sluice/memory/offset_ptr.hpp>
#include <sluice/platform/root.hpp>
#include <sluice/reflect/type_name.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sluice {

struct SegmentOptions {
  /// Address space, which costs nothing: the most that the segment can grow to. Memory is taken
  /// from the system as objects need it.
  std::uint64_t reserve_bytes = std::uint64_t{1} << 30;
  std::string domain = {};  ///< default: $SLUICE_DOMAIN, else "default"
  std::string root = {};    ///< default: $SLUICE_ROOT, else /dev/shm/sluice
  Access access = Access::owner;
};

/// A type that can be built in a segment. That it holds no pointers, references or containers of
/// the private heap is for its author to see to; `offset_ptr` stands for pointers.
template <typename T>
concept SegmentObject =
    std::is_object_v<T> && std::is_same_v<T, std::remove_cv_t<T>> && !std::is_array_v<T> &&
    !std::is_pointer_v<T> && !std::is_member_pointer_v<T> && !std::is_polymorphic_v<T> &&
    std::is_destructible_v<T> && alignof(T) <= 4096;

/// Move-only. Thread safety: one thread at a time; what `find` returned may be read on any.
/// Functions that return a pointer return null where they fail, and `failure()` says why.
class Segment {
 public:
  /// Makes the segment `name`, or takes over the name from a creator that is dead. It is removed
  /// when this object is destroyed; objects inside are then gone without their destructors.
  /// Errors: Errc::already_exists while another creator lives, Errc::invalid_name,
  /// Errc::invalid_options, Errc::no_memory, Errc::no_address_space, Errc::no_permission.
  [[nodiscard]] static Result<Segment> create(std::string_view name,
                                              SegmentOptions options = {}) noexcept;
  /// Opens it read-only. `options.access` is the creator's.
  /// Errors: Errc::not_found where there is none or its creator is dead, Errc::corrupted,
  /// Errc::version_mismatch, Errc::no_permission.
  [[nodiscard]] static Result<Segment> open(std::string_view name,
                                            RootOptions options = {}) noexcept;

  Segment(Segment&&) noexcept;
  Segment& operator=(Segment&&) noexcept;
  ~Segment();

  /// Builds a `T{args…}` (an aggregate) or `T(args…)`. Where the first argument converts to
  /// `std::string_view`, it is the object's name, and the rest are the constructor's; for an
  /// unnamed object whose constructor takes text first, see `construct_unnamed`. What a constructor
  /// throws is passed on, and leaves nothing behind. Errors: Errc::already_exists (the name),
  /// Errc::no_address_space (`reserve_bytes` is used up), Errc::no_memory, Errc::invalid_name,
  /// Errc::no_permission (not the creator), Errc::forked, Errc::closed.
  template <SegmentObject T, typename... Args>
  offset_ptr<T> construct(Args&&... args) {
    if constexpr (begins_with_text<Args...>) {
      return construct_named<T>(std::forward<Args>(args)...);
    } else {
      return construct_unnamed<T>(std::forward<Args>(args)...);
    }
  }
  template <SegmentObject T, typename... Args>
  offset_ptr<T> construct_unnamed(Args&&... args) {
    return build_one<T>(nullptr, std::forward<Args>(args)...);
  }
  /// The first of `count` value-initialised elements.
  template <SegmentObject T>
  offset_ptr<T> construct_array(std::size_t count) {
    return build_array<T>(nullptr, count);
  }
  template <SegmentObject T>
  offset_ptr<T> construct_array(std::string_view name, std::size_t count) {
    return build_array<T>(&name, count);
  }

  /// Takes the name away, runs the destructor (of every element of an array), and gives the memory
  /// back. Null is ignored. False, with `failure()`: Errc::no_permission, Errc::forked,
  /// Errc::closed. Aborts where `object` is not what a construct function of this segment returned.
  template <SegmentObject T>
  bool destroy(T* object) {
    if (object == nullptr) return true;
    std::uint64_t count = 0;
    if (!withdraw(object, type_of<T>(), count)) return false;
    std::destroy_n(object, count);
    release(object);
    return true;
  }
  template <SegmentObject T>
  bool destroy(const offset_ptr<T>& object) {
    return destroy(object.get());
  }

  /// For containers (sluice/containers.hpp) in objects of this segment:
  /// `segment.construct<Cloud>("cloud", segment.allocator())`. They grow while the segment lives,
  /// on the thread that uses it. Of the private heap where this process is not the creator.
  [[nodiscard]] Allocator<> allocator() noexcept;

  /// The object of that name; of an array, the first element. Its type must be the creator's, by
  /// name, size and alignment, and its containers must lie in the segment. Takes time proportional
  /// to the number of names, and a system call.
  /// Errors: Errc::not_found, Errc::type_mismatch, Errc::corrupted, Errc::no_address_space,
  /// Errc::forked, Errc::closed.
  template <SegmentObject T>
  [[nodiscard]] const T* find(std::string_view name) {
    return find_array<T>(name).data();
  }
  /// The same for arrays. Empty where `find` is null.
  template <SegmentObject T>
  [[nodiscard]] std::span<const T> find_array(std::string_view name) {
    std::uint64_t count = 0;
    const auto* first = static_cast<const T*>(look_up(name, type_of<T>(), count));
    return {first, count};
  }

  /// Whether [address, address + bytes) lies in the segment; maps what the creator has added. A
  /// reader asks before it follows an `offset_ptr` that may have been stored after its last `find`,
  /// since memory added since then is not mapped here yet.
  [[nodiscard]] bool contains(const void* address, std::size_t bytes) noexcept;

  [[nodiscard]] const std::string& name() const noexcept;
  /// Bytes of memory taken from the system.
  [[nodiscard]] std::uint64_t committed_bytes() const noexcept;
  [[nodiscard]] std::uint64_t reserve_bytes() const noexcept;
  /// Whether the creator is alive. If not, another may make a segment of this name: open it again.
  [[nodiscard]] bool alive() const noexcept;
  /// Why the last call failed that did.
  [[nodiscard]] const Failure& failure() const noexcept;

 private:
  struct State;
  struct Type {
    std::string_view spelling;
    std::uint64_t bytes;
    std::uint64_t alignment;
    const ContainerMap& (*containers)();  ///< null: it has none
  };

  explicit Segment(std::unique_ptr<State> state) noexcept;

  template <typename First = void, typename... Rest>
  static constexpr bool begins_with_text =
      std::is_convertible_v<First, std::string_view> &&
      !std::is_same_v<std::remove_cvref_t<First>, std::nullptr_t>;

  template <typename T>
  static consteval Type type_of() {
    return {type_spelling<T>, sizeof(T), alignof(T), containers_of<T>};
  }

  template <typename T, typename... Args>
  offset_ptr<T> construct_named(std::string_view name, Args&&... args) {
    return build_one<T>(&name, std::forward<Args>(args)...);
  }
  template <typename T, typename... Args>
  offset_ptr<T> build_one(const std::string_view* name, Args&&... args) {
    return build<T>(name, 1, [&](T* memory) {
      if constexpr (std::is_aggregate_v<T>) {
        new (memory) T{std::forward<Args>(args)...};
      } else {
        new (memory) T(std::forward<Args>(args)...);
      }
    });
  }
  template <typename T>
  offset_ptr<T> build_array(const std::string_view* name, std::size_t count) {
    return build<T>(name, count,
                    [&](T* memory) { std::uninitialized_value_construct_n(memory, count); });
  }
  template <typename T, typename Construct>
  offset_ptr<T> build(const std::string_view* name, std::uint64_t count, Construct construct_all) {
    T* memory = static_cast<T*>(allocate(name, type_of<T>(), count));
    if (memory == nullptr) return nullptr;
    const auto give_back = [this](T* unfinished) { release(unfinished); };
    std::unique_ptr<T, decltype(give_back)> unfinished(memory, give_back);
    construct_all(memory);
    publish(unfinished.release());
    return memory;
  }

  [[nodiscard]] void* allocate(const std::string_view* name, const Type& type,
                               std::uint64_t count) noexcept;
  void publish(void* memory) noexcept;
  [[nodiscard]] bool withdraw(void* memory, const Type& type, std::uint64_t& count) noexcept;
  void release(void* memory) noexcept;
  /// Sets `count`, unless it returns null.
  [[nodiscard]] const void* look_up(std::string_view name, const Type& type,
                                    std::uint64_t& count) noexcept;
  [[nodiscard]] bool usable(bool for_writing) noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace sluice
