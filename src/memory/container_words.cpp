// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <sluice/core/format.hpp>
#include <sluice/memory/container_words.hpp>
#include <sluice/memory/region.hpp>
#include <string>
#include <utility>

namespace sluice {
namespace {

[[noreturn]] void refuse(const ContainerMap::Class& specimen_class, std::uint64_t offset,
                         const char* reason) {
  abort_with(format("{} cannot be shared: at offset {} {}",
                    normalised_type_name(specimen_class.spelling), offset, reason)
                 .c_str());
}

/// The offset of a pointer from the object into itself; `bytes` if there is none. What the standard
/// library's strings, lists and trees have even where they are empty.
std::uint64_t find_pointer_to_itself(const std::byte* object, std::uint64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(object);
  for (std::uint64_t offset = 0; offset + sizeof(void*) <= bytes; offset += sizeof(void*)) {
    std::uintptr_t word = 0;
    std::memcpy(&word, object + offset, sizeof word);
    if (word >= address && word - address < bytes) return offset;
  }
  return bytes;
}

class Check {
 public:
  Check(const std::byte* begin, std::uint64_t bytes)
      : begin_(reinterpret_cast<std::uintptr_t>(begin)), bytes_(bytes), bytes_left_(bytes) {}

  bool object(const ContainerMap& map, const std::byte* object, unsigned depth) {
    return std::all_of(map.places().begin(), map.places().end(), [&](const auto& place) {
      return container(*place.type, object + place.offset, depth);
    });
  }

 private:
  bool container(const ContainerType& type, const std::byte* address, unsigned depth) {
    const auto* words = reinterpret_cast<const ContainerWords*>(address);
    // Each word is read once: what is checked is what is used.
    const auto* data = static_cast<const std::byte*>(words->data.get());
    const std::uint64_t size = read_once(words->size);
    const std::uint64_t capacity = read_once(words->capacity);
    if (size > capacity) return false;
    if (capacity == 0 && !type.terminated) return true;
    const std::uint64_t elements = capacity + (type.terminated ? 1 : 0);
    const auto first = reinterpret_cast<std::uintptr_t>(data);
    if (elements == 0 || elements > bytes_ / type.element_bytes) return false;
    if (first % type.element_alignment != 0) return false;
    // In front of the beginning, the difference is beyond every size.
    if (first - begin_ > bytes_ - elements * type.element_bytes) return false;
    if (type.terminated && data[size * type.element_bytes] != std::byte{0}) return false;
    return type.elements == nullptr || nested(type, data, size, depth);
  }

  bool nested(const ContainerType& type, const std::byte* first, std::uint64_t size,
              unsigned depth) {
    if (size == 0) return true;
    // Blocks of an honest publisher do not overlap, so its elements take no more than there is.
    const std::uint64_t bytes = size * type.element_bytes;
    if (depth == kMaxContainerDepth || bytes > bytes_left_) return false;
    bytes_left_ -= bytes;
    const ContainerMap& map = type.elements();
    if (map.places().empty()) return true;
    for (std::uint64_t i = 0; i < size; ++i) {
      if (!object(map, first + i * type.element_bytes, depth + 1)) return false;
    }
    return true;
  }

  std::uintptr_t begin_;
  std::uint64_t bytes_;
  std::uint64_t bytes_left_;  // for elements that have containers
};

}  // namespace

void ContainerWords::report(const ContainerType& type) const noexcept {
  const auto offset =
      reinterpret_cast<std::uintptr_t>(this) - reinterpret_cast<std::uintptr_t>(specimen->object_);
  if (offset >= specimen->bytes_) return;  // in front of it, too: of an element, or on the stack
  specimen->places_.push_back({offset, &type});
}

void ContainerWords::withdraw() const noexcept {
  const auto offset =
      reinterpret_cast<std::uintptr_t>(this) - reinterpret_cast<std::uintptr_t>(specimen->object_);
  std::erase_if(specimen->places_, [&](const auto& place) { return place.offset == offset; });
}

ContainerMap::ContainerMap(const Class& specimen_class) : bytes_(specimen_class.bytes) {
  SharedHeap heap;
  const std::align_val_t alignment{specimen_class.alignment};
  const auto free = [&](std::byte* memory) { ::operator delete(memory, alignment); };
  const std::unique_ptr<std::byte, decltype(free)> memory(
      static_cast<std::byte*>(::operator new(bytes_, alignment)), free);
  std::memset(memory.get(), 0, bytes_);
  object_ = memory.get();

  {
    const auto stop = [](ContainerMap** outer) { ContainerWords::specimen = *outer; };
    ContainerMap* outer = std::exchange(ContainerWords::specimen, this);
    const std::unique_ptr<ContainerMap*, decltype(stop)> at_end(&outer, stop);
    specimen_class.construct(memory.get(), Allocator<>(heap));
  }

  std::sort(places_.begin(), places_.end(),
            [](const Place& a, const Place& b) { return a.offset < b.offset; });
  for (const Place& place : places_) {
    const auto* words = reinterpret_cast<const ContainerWords*>(object_ + place.offset);
    if (words->allocator == Allocator<>(heap)) continue;
    refuse(specimen_class, place.offset,
           "is a container that does not use the allocator; pass it on in the constructor: "
           "explicit Cloud(sluice::Allocator<> a) : points{a} {}");
  }
  const std::uint64_t pointer = find_pointer_to_itself(object_, bytes_);
  if (pointer < bytes_) {
    refuse(specimen_class, pointer,
           "is a pointer, as in a std::string or another container of the standard library; use "
           "sluice::String, sluice::Vector or sluice::Map");
  }
  specimen_class.destroy(memory.get());
  object_ = nullptr;
}

void ContainerMap::complete() const {
  // relaxed: it only saves work, and what it guards is drawn under a lock of its own.
  if (is_complete_.exchange(true, std::memory_order_relaxed)) return;
  for (const Place& place : places_) {
    if (place.type->elements != nullptr) place.type->elements().complete();
  }
}

bool check_containers(const ContainerMap& map, const void* object, const std::byte* begin,
                      std::uint64_t bytes) noexcept {
  return Check(begin, bytes).object(map, static_cast<const std::byte*>(object), 0);
}

}  // namespace sluice
