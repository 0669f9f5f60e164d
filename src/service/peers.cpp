// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/core/log.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/peers.hpp>

namespace sluice {

Failure Peer::broken(std::string_view what) const {
  return {Errc::corrupted,
          format("{} {}; its {} is broken, restart it", file.path(), what, kind->name)};
}

Result<std::vector<Seat>> PeersBase::begin_look() {
  is_looking_ = true;
  is_blind_ = false;
  failure_ = {};
  // Before the look: a change during it is looked at again.
  generation_ = board_.generation_now();
  const auto names = list(service_.directory());
  if (!names) {
    failure_ = names.failure();
    is_blind_ = true;
    return failure_;
  }
  // Who is not met again in this look is forgotten: its inode's number may be another file's by the
  // next.
  refused_before_ = std::exchange(refused_, {});
  std::vector<Seat> seats;
  for (const std::string& name : *names) {
    if (const auto seat = seat_in(name, files_.kind)) seats.push_back(*seat);
  }
  return seats;
}

Result<OpenedPort> PeersBase::open(Seat seat) {
  const std::string name = file_name_of(files_.kind, seat);
  const auto open_unless_gone_at = [&](std::uint64_t looked) {
    return open_living(service_.directory(), board_, name,
                       files_.access == Region::Access::read_write, looked);
  };
  // In its first look it meets those who are there, and what is kept for whoever comes late. That
  // is asked once the owner is known to be gone, and writes no more.
  const bool is_first = own_ != nullptr && own_->looked() == 0;
  auto opened = open_unless_gone_at(own_ == nullptr || is_first ? UINT64_MAX : own_->looked());
  if (is_first && opened.error() == Errc::not_found &&
      is_kept(service_.directory(), files_.kind, name)) {
    opened = open_unless_gone_at(0);
  }
  if (!opened) note(seat, 0, opened.failure());
  return opened;
}

void PeersBase::note_gone(Seat seat, std::uint64_t inode) {
  refused_.push_back({seat, inode});
  met_when_gone_.push_back(seat);
}

void PeersBase::conclude_look() noexcept {
  if (is_blind_ || own_ == nullptr) return;
  own_->note_look(generation_);
  bool has_reaped = false;
  for (const Seat seat : std::exchange(met_when_gone_, {})) {
    has_reaped |= reap_port(service_.directory(), file_name_of(files_.kind, seat));
  }
  if (has_reaped) announce_newcomers();
}

bool PeersBase::was_refused(Seat seat, std::uint64_t inode) {
  const Refused file{seat, inode};
  if (std::count(refused_before_.begin(), refused_before_.end(), file) == 0) return false;
  refused_.push_back(file);
  return true;
}

Result<void> PeersBase::map(Seat seat, OpenedPort opened_file, Peer& peer) {
  std::string path = service_.directory().path_of(file_name_of(files_.kind, seat));
  auto opened = SharedFile::adopt(std::move(opened_file.file), std::move(path), files_.kind.file,
                                  files_.least_bytes, files_.access);
  if (!opened) return opened.failure();
  peer.file = std::move(*opened);
  peer.inode = opened_file.inode;
  peer.seat = seat;
  peer.kind = &files_.kind;
  peer.is_seen = true;
  return {};
}

void PeersBase::note(Seat seat, std::uint64_t inode, const Failure& failure) {
  if (failure.code == Errc::not_found) return;  // it has left meanwhile
  const bool is_own = is_own_failure(failure.code);
  is_blind_ |= is_own;
  const Refused file{seat, inode};
  const bool is_known = std::count(refused_before_.begin(), refused_before_.end(), file) != 0;
  if (!is_own) refused_.push_back(file);
  if (!is_own && !is_known) log_passed_over(failure);
  if (!is_known && (failure_.code == Errc::ok || is_own)) failure_ = failure;
}

bool PeersBase::is_dead(const Peer& peer) noexcept { return !is_locked(peer.file.file()); }

bool PeersBase::has_its_name(const Peer& peer) const noexcept {
  return leads_to(service_.directory(), file_name_of(files_.kind, peer.seat), peer.file.file());
}

bool PeersBase::is_hidden() const noexcept {
  return own_ != nullptr && own_->has_joined() && !own_->has_its_name();
}

Result<void> PeersBase::end_look() noexcept {
  is_looking_ = false;
  // For want of something of this process's own, it looks again at the next call.
  if (!is_blind_) seen_generation_ = generation_;
  return failure_.code == Errc::ok ? Result<void>() : Result<void>(failure_);
}

}  // namespace sluice
