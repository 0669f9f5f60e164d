// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/platform/lock.hpp>
#include <sluice/service/peers.hpp>

namespace sluice {

Result<std::vector<PeersBase::Found>> PeersBase::begin_look() {
  is_looking_ = true;
  is_blind_ = false;
  failure_ = {};
  // Before the look: a change during it is looked at again.
  generation_ = service_.board().generation_now();
  // Who is not met again in this look is forgotten: its inode's number may be another file's by the
  // next.
  refused_before_ = std::exchange(refused_, {});
  const auto names = list(service_.directory());
  if (!names) {
    failure_ = names.failure();
    is_blind_ = true;
    return failure_;
  }
  std::vector<Found> found;
  for (const std::string& name : *names) {
    if (const auto seat = seat_in(name, files_.kind)) found.push_back({name, *seat});
  }
  return found;
}

Result<LivingPort> PeersBase::open(const Found& found) {
  auto living = open_living(service_.directory(), service_.board(), found.name,
                            files_.access == Region::Access::read_write);
  if (!living) note(found, 0, living.failure());
  return living;
}

bool PeersBase::was_refused(const Found& found, std::uint64_t inode) {
  const Refused file{found.seat, inode};
  if (std::count(refused_before_.begin(), refused_before_.end(), file) == 0) return false;
  refused_.push_back(file);
  return true;
}

Result<void> PeersBase::map(const Found& found, LivingPort living, Peer& peer) {
  auto opened = SharedFile::adopt(std::move(living.file), service_.directory().path_of(found.name),
                                  files_.kind.file, files_.least_bytes, files_.access);
  if (!opened) return opened.failure();
  peer.file = std::move(*opened);
  peer.inode = living.inode;
  peer.seat = found.seat;
  peer.is_seen = true;
  return {};
}

void PeersBase::note(const Found& found, std::uint64_t inode, const Failure& failure) {
  if (failure.code == Errc::not_found) return;  // it has left meanwhile
  const bool is_own = is_own_failure(failure.code);
  is_blind_ |= is_own;
  const Refused file{found.seat, inode};
  const bool is_known = std::count(refused_before_.begin(), refused_before_.end(), file) != 0;
  if (!is_own) refused_.push_back(file);
  if (!is_known && (failure_.code == Errc::ok || is_own)) failure_ = failure;
}

bool PeersBase::has_left(const Peer& peer) const noexcept {
  return peer.file.file().is_open() ? !is_locked(peer.file.file()) : !peer.is_seen;
}

Result<void> PeersBase::end_look() noexcept {
  is_looking_ = false;
  // For want of something of this process's own, it looks again at the next call.
  if (!is_blind_) seen_generation_ = generation_;
  return failure_.code == Errc::ok ? Result<void>() : Result<void>(failure_);
}

}  // namespace sluice
