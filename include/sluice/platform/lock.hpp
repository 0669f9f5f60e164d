// SPDX-License-Identifier: Apache-2.0
//
// Open-file-description locks. Alive means locked: the kernel drops the lock when the last
// descriptor is closed, after a killed process made its last store, in every container and PID
// namespace that shares the directory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/platform/file.hpp>
#include <string>

namespace sluice {

enum class LockKind { shared, exclusive };

/// Takes the lock or, where it is held already, changes its kind. False: somebody else holds it.
/// Errc::locks_unsupported where the file system has no such locks. An exclusive lock needs a file
/// that is open for writing.
[[nodiscard]] Result<bool> try_lock(File& file, LockKind kind);
void unlock(File& file) noexcept;

/// The lock that another open file description holds, if any. Has no effect on it.
[[nodiscard]] std::optional<LockKind> lock_of_another(const File& file) noexcept;
/// Whether there is one.
[[nodiscard]] inline bool is_locked(const File& file) noexcept {
  return lock_of_another(file).has_value();
}

/// Whether another one holds a shared lock. Has no effect on the lock.
[[nodiscard]] bool is_locked_shared(const File& file) noexcept;

/// A lock of its own, exclusive, for the number `mark` (below 2^40) on a file that is open for
/// writing. It is no lock of the file. False: somebody else holds it. Errors: as `try_lock`.
[[nodiscard]] Result<bool> try_lock_mark(File& file, std::uint64_t mark);
void unlock_mark(File& file, std::uint64_t mark) noexcept;

/// Keeps the locks that are taken through a file, before and afterwards, when its descriptor is
/// closed: what is mapped stays open. It takes a page of address space in place of a descriptor.
/// They end with it, or with the process. Move-only; no forked child has it.
class LockHolder {
 public:
  LockHolder() = default;
  /// `path` is for the message. Errors: no_address_space.
  [[nodiscard]] static Result<LockHolder> create(const File& file, const std::string& path);

 private:
  struct Unmap {
    std::uint32_t fork_generation;
    void operator()(void* page) const noexcept;
  };
  std::unique_ptr<void, Unmap> page_;
};

}  // namespace sluice
