// SPDX-License-Identifier: Apache-2.0
//
// This process: its identity, and whether it is a forked child of the one that made a port.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// Counts the forks between the first process of the family and this one. A port remembers it;
/// where it differs, the port belongs to a parent. One relaxed load: nothing is ordered by it,
/// since it changes only in the single thread of a new child.
inline std::atomic<std::uint32_t> fork_generation_word{0};
[[nodiscard]] inline std::uint32_t fork_generation() noexcept {
  return fork_generation_word.load(std::memory_order_relaxed);
}
/// What no process has for its `fork_generation()`: kept in place of one, it has the branch taken
/// in which a forked child ends up.
inline constexpr std::uint32_t kNoForkGeneration = UINT32_MAX;

/// Installs the fork handlers, once a process: in the child they raise `fork_generation()` and
/// close every descriptor that may hold a lock, so that a child never keeps its parent's ports
/// alive.
void watch_forks() noexcept;
/// As long as one lives, no thread of this process forks: a child gets what is made meanwhile as it
/// is meant to be, or not at all. To be held for a few system calls, and by nobody who has one.
class [[nodiscard]] NoForks {
 public:
  NoForks() noexcept;
  ~NoForks();
  NoForks(const NoForks&) = delete;
  NoForks& operator=(const NoForks&) = delete;
};
/// Enters `fd` into the descriptors that a forked child closes. The caller holds a `NoForks`, since
/// before `fd` was opened unless it does not matter who has it until now.
void close_in_child(int fd, const NoForks& held);
/// Closes a descriptor that was entered. Afterwards no child has it that is forked from then on.
void close_entered(int fd) noexcept;

/// A random number that is not 0.
[[nodiscard]] std::uint64_t random_number() noexcept;

/// Which users' numbers this process sees.
struct UserNamespace {
  bool is_initial = true;                  ///< those of the whole machine
  std::optional<std::uint32_t> outside{};  ///< what the effective user is in the one around it
};
/// Nothing where /proc does not say.
[[nodiscard]] std::optional<UserNamespace> user_namespace();

[[nodiscard]] std::string executable_path();
/// Start of this process in clock ticks since boot, as in /proc/self/stat; 0 where unknown.
[[nodiscard]] std::uint64_t process_start_ticks();

}  // namespace sluice
