// SPDX-License-Identifier: Apache-2.0
//
// A file in memory that can grow where it stands: address space is reserved for the largest it may
// become, and only what the file holds is mapped accessible.
//
//   base                mapped_bytes                          reserved_bytes
//   | file, read-write or read-only | no access, no memory, not locked |
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/platform/file.hpp>
#include <string>

namespace sluice {

/// Bytes from `begin` to `address`; beyond every size for an address in front of it.
[[nodiscard]] inline std::uint64_t bytes_between(const void* begin, const void* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin);
}

/// A mapping of one file. Move-only. Never inherited by a forked child. Thread safety: none;
/// reading through `data` is for the words in it to order.
class Region {
 public:
  enum class Access : std::uint8_t { read_only, read_write };

  Region() = default;

  /// Reserves `reserved_bytes` of address space and maps the first `mapped_bytes` of `file`, which
  /// must be that long. Both are rounded up to whole pages.
  /// Errors: Errc::no_address_space with what was needed.
  [[nodiscard]] static Result<Region> map(const File& file, const std::string& path, Access access,
                                          std::uint64_t mapped_bytes, std::uint64_t reserved_bytes);

  /// Maps what lies between the present end and `mapped_bytes` of the same file. The caller has
  /// checked that the file is that long. Addresses handed out stay valid.
  [[nodiscard]] Result<void> extend(const File& file, const std::string& path,
                                    std::uint64_t mapped_bytes);

  /// Before the file is linked: what was written comes before whatever those read who map it later.
  /// The kernel sees to that; only the thread sanitizer has to be told.
  void hand_on() const noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return base_.get(); }
  [[nodiscard]] std::uint64_t mapped_bytes() const noexcept { return mapped_bytes_; }
  [[nodiscard]] std::uint64_t reserved_bytes() const noexcept {
    return base_.get_deleter().reserved_bytes;
  }
  [[nodiscard]] bool is_mapped() const noexcept { return base_ != nullptr; }

  /// Pointer to a `T` at `offset`. Precondition: it lies within `mapped_bytes()`.
  template <typename T>
  [[nodiscard]] T* at(std::uint64_t offset) const noexcept {
    return reinterpret_cast<T*>(data() + offset);
  }

  /// Where `address` lies in it; beyond every file for one in front of it.
  [[nodiscard]] std::uint64_t offset_of(const void* address) const noexcept {
    return bytes_between(data(), address);
  }

  /// Whether [offset, offset + bytes) is mapped. Safe for any two numbers.
  [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    return offset <= mapped_bytes_ && bytes <= mapped_bytes_ - offset;
  }

 private:
  struct Unmap {
    std::uint64_t reserved_bytes;
    std::uint32_t fork_generation;
    void operator()(std::byte* base) const noexcept;
  };

  std::unique_ptr<std::byte, Unmap> base_;
  std::uint64_t mapped_bytes_ = 0;
  Access access_ = Access::read_only;
};

/// A word that its owner may change at any time: what is checked is what is used.
template <typename T>
[[nodiscard]] T read_once(const T& word) noexcept {
  return *static_cast<const volatile T*>(&word);
}

/// Rounds up to whole pages.
[[nodiscard]] std::uint64_t whole_pages(std::uint64_t bytes) noexcept;
/// Of whole pages, which are neither accessible nor locked. `path` is for the message.
[[nodiscard]] Result<std::byte*> reserve_address_space(const std::string& path,
                                                       std::uint64_t bytes);
/// Why `bytes` could not be mapped.
[[nodiscard]] Failure mapping_failure(const std::string& path, std::uint64_t bytes,
                                      int errno_value);

}  // namespace sluice
