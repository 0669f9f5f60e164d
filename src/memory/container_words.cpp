// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <memory>
#include <sluice/core/format.hpp>
#include <sluice/memory/container_words.hpp>
#include <sluice/memory/region.hpp>

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
  for (std::uint64_t offset = 0; offset + sizeof(void*) <= bytes; offset += sizeof(void*)) {
    const void* word = nullptr;
    std::memcpy(&word, object + offset, sizeof word);
    if (bytes_between(object, word) < bytes) return offset;
  }
  return bytes;
}

/// One pass over an object in [begin, begin + bytes).
struct Check {
  const std::byte* begin;
  std::uint64_t bytes;
  std::uint64_t bytes_left = bytes;  // for elements that have containers

  bool object(const ContainerMap& map, const std::byte* object, unsigned depth) {
    return std::ranges::all_of(map.places(), [&](const auto& place) {
      return container(*place.type, object + place.offset, depth);
    });
  }

  bool container(const ContainerType& type, const std::byte* address, unsigned depth) {
    const auto* words = reinterpret_cast<const ContainerWords*>(address);
    // Each word is read once: what is checked is what is used.
    const auto* data = static_cast<const std::byte*>(words->data.get());
    const std::uint64_t size = read_once(words->size);
    const std::uint64_t capacity = read_once(words->capacity);
    if (size > capacity) return false;
    if (capacity == 0 && !type.terminated) return true;
    const std::uint64_t elements = capacity + (type.terminated ? 1 : 0);
    if (elements == 0 || elements > bytes / type.element_bytes) return false;
    if (reinterpret_cast<std::uintptr_t>(data) % type.element_alignment != 0) return false;
    if (bytes_between(begin, data) > bytes - elements * type.element_bytes) return false;
    if (type.terminated && data[size * type.element_bytes] != std::byte{0}) return false;
    if (type.elements == nullptr || size == 0) return true;
    // Blocks of an honest publisher do not overlap, so its elements take no more than there is.
    const std::uint64_t taken = size * type.element_bytes;
    if (depth == kMaxContainerDepth || taken > bytes_left) return false;
    bytes_left -= taken;
    const ContainerMap& map = type.elements();
    if (map.places().empty()) return true;
    for (std::uint64_t i = 0; i < size; ++i) {
      if (!object(map, data + i * type.element_bytes, depth + 1)) return false;
    }
    return true;
  }
};

}  // namespace

void ContainerWords::report(const ContainerType& type) const noexcept {
  const std::uint64_t offset = bytes_between(specimen->object_, this);
  if (offset >= specimen->bytes_) return;  // of an element, or on the stack
  specimen->places_.push_back({offset, &type});
}

void ContainerWords::withdraw() const noexcept {
  const std::uint64_t offset = bytes_between(specimen->object_, this);
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

  std::ranges::sort(places_, {}, &Place::offset);
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
  return Check{begin, bytes}.object(map, static_cast<const std::byte*>(object), 0);
}

}  // namespace sluice
