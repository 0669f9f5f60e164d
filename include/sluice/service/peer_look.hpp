// SPDX-License-Identifier: Apache-2.0
//
// A look at the peers in a service's directory, each at the other end of a connection. One whose
// file is no good is refused: reported once, and not looked at again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <sluice/service/seats.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class PeerLook {
 public:
  /// `service` and `board` must outlive it.
  PeerLook(const Directory& service, Board& board) : service_(service), board_(board) {}

  /// Who was refused, and is not met again in this look, is forgotten: its inode's number may be
  /// another file's by the next.
  void begin() noexcept { refused_before_ = std::exchange(refused_, {}); }

  /// Meets the owner of the file `name`. Unless `is_known(inode)`, or it was refused,
  /// `connect(living_port)` makes it a peer. Fails for what is to be reported: not for a peer that
  /// has left meanwhile.
  template <typename IsKnown, typename Connect>
  Result<void> meet(const std::string& name, IsKnown&& is_known, Connect&& connect) {
    auto living = open_living(service_, board_, name);
    if (!living) return unless_it_left(living.failure());
    const std::uint64_t inode = living->inode;
    if (is_known(inode)) return {};
    if (std::count(refused_before_.begin(), refused_before_.end(), inode) != 0) {
      refused_.push_back(inode);
      return {};
    }
    const Result<void> connected = connect(std::move(*living));
    if (connected) return {};
    if (connected.error() != Errc::not_found && !is_own_failure(connected.error())) {
      refused_.push_back(inode);
    }
    return unless_it_left(connected.failure());
  }

 private:
  static Result<void> unless_it_left(const Failure& failure) {
    return failure.code == Errc::not_found ? Result<void>() : Result<void>(failure);
  }

  const Directory& service_;
  Board& board_;
  std::vector<std::uint64_t> refused_;  // inodes
  std::vector<std::uint64_t> refused_before_;
};

}  // namespace sluice
