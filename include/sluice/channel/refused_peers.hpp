// SPDX-License-Identifier: Apache-2.0
//
// Files that cannot be read as a peer's, so that each is reported once and not looked at again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice {

/// By inode. What a look does not ask for is forgotten with the next one: the number may be another
/// file's by then. Thread safety: one thread at a time.
class RefusedPeers {
 public:
  void begin_look() noexcept { before_ = std::exchange(now_, {}); }

  /// Whether it was refused in the look before.
  [[nodiscard]] bool has(std::uint64_t inode) {
    const bool is_in = std::count(before_.begin(), before_.end(), inode) != 0;
    if (is_in) now_.push_back(inode);
    return is_in;
  }
  void add(std::uint64_t inode) { now_.push_back(inode); }

 private:
  std::vector<std::uint64_t> now_;
  std::vector<std::uint64_t> before_;
};

}  // namespace sluice
