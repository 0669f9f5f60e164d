// SPDX-License-Identifier: Apache-2.0
//
// An owner's file with a heap, and a reader's mapping of it: read-only, at another address.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <sluice/memory/allocator.hpp>
#include <sluice/memory/heap.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/memory/shared_heap.hpp>
#include <sluice/platform/root.hpp>
#include <string>

#include "support/temporary_root.hpp"

namespace sluice {

/// Below the root that there is.
class FileWithHeap {
 public:
  explicit FileWithHeap(std::uint64_t reserved_bytes)
      : directory(make_domain_directory(resolve({}).value(), "segments").value()),
        file(SharedFile::create(directory, 0600, FileKind::segment, 0, kHeapOffset, reserved_bytes)
                 .value()),
        heap(Heap::create(file, kHeapOffset).value()),
        shared_heap(heap) {
    const std::string name = std::to_string(file.incarnation());
    file.link(directory, name).value();
    reader = SharedFile::open(directory, name, FileKind::segment, kHeapOffset).value();
  }

  [[nodiscard]] Allocator<> allocator() const { return Allocator<>(shared_heap); }

  /// Builds a `T` in the file, as a publisher builds its payload in a slot.
  template <typename T>
  T* construct() {
    const std::uint64_t offset = heap.allocate(sizeof(T), alignof(T)).value();
    return new (file.region().data() + offset) T(allocator());
  }
  template <typename T>
  void destroy(T* object) {
    object->~T();
    heap.deallocate(offset_of(object));
  }

  /// Bytes of the file that are not free in its heap.
  [[nodiscard]] std::uint64_t used_bytes() const {
    return file.region().mapped_bytes() - heap.free_bytes();
  }

  /// The same object in the reader's mapping.
  template <typename T>
  const T* as_seen(const T* object) {
    reader.follow_growth().value();
    return reader.region().at<const T>(offset_of(object));
  }
  [[nodiscard]] const std::byte* reader_begin() const { return reader.region().data(); }
  [[nodiscard]] std::uint64_t reader_bytes() const { return reader.region().mapped_bytes(); }
  [[nodiscard]] bool is_in_readers_mapping(const void* address) const {
    return address >= reader_begin() && address < reader_begin() + reader_bytes();
  }
  [[nodiscard]] std::uint64_t offset_of(const void* address) const {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(address) -
                                      file.region().data());
  }

  Directory directory;
  SharedFile file;
  Heap heap;
  SharedHeap shared_heap;
  SharedFile reader;

 private:
  static constexpr std::uint64_t kHeapOffset = sizeof(FileHeader);
};

struct HasTemporaryRoot {
  TemporaryRoot root;
};

/// A test with a root of its own and a file there.
class TestWithHeap : public testing::Test, public HasTemporaryRoot, public FileWithHeap {
 public:
  explicit TestWithHeap(std::uint64_t reserved_bytes = std::uint64_t{1} << 28)
      : FileWithHeap(reserved_bytes) {}
};

}  // namespace sluice
