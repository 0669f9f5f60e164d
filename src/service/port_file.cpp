// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <sluice/core/format.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/port_file.hpp>

namespace sluice {
namespace {

std::uint64_t mark_of(const PortKind& kind, Seat seat) noexcept {
  return static_cast<std::uint64_t>(kind.file) * kMaxSeats + seat;
}

}  // namespace

Result<void> PortFile::create(Service& service, const PortKind& kind, mode_t mode,
                              std::uint64_t bytes, std::uint64_t reserved_bytes) {
  auto file = SharedFile::create(service.directory(), mode, kind.file, service.node().id(), bytes,
                                 reserved_bytes);
  if (!file) return file.failure();
  file_ = std::move(*file);
  incarnation_ = file_.header().incarnation;
  service_ = &service;
  kind_ = &kind;
  return {};
}

Result<void> PortFile::join() {
  const Directory& directory = service_->directory();
  // One's own: a lock is that of an open file, and others of this process may share the service's.
  auto board = open_file(directory, kBoardFile, true);
  if (!board) return board.failure();
  auto mark = LockHolder::create(*board, directory.path_of(kBoardFile));
  if (!mark) return mark.failure();
  const auto taken = take_seat(*board);
  if (!taken) return taken.failure();
  seat_ = *taken;
  name_ = file_name_of(*kind_, seat_);
  mark_ = std::move(*mark);
  const std::uint64_t before = service_->board().announce_change(directory);
  store_announced(word_of(file_, &FileHeader::announced), before);
  if (kind_->receivers != nullptr && seat_ >= kMaxDeparted) limit_departed(directory, *kind_);
  return {};
}

/// Links the file under the name of the first free seat, which is marked.
Result<Seat> PortFile::take_seat(File& board) {
  for (Seat seat = 0; seat < kMaxSeats; seat = seat + 1) {
    const auto marked = try_lock_mark(board, mark_of(*kind_, seat));
    if (!marked) return marked.failure();
    if (!*marked) continue;
    const auto linked = file_.link(service_->directory(), file_name_of(*kind_, seat));
    if (linked) return seat;
    if (linked.error() != Errc::already_exists) return linked.failure();
    unlock_mark(board, mark_of(*kind_, seat));
  }
  return Failure{Errc::too_many_ports, format("all {} {} seats in {} are taken", kMaxSeats,
                                              kind_->name, service_->directory().path)};
}

void PortFile::leave(bool is_needed) noexcept {
  if (!has_joined()) return;
  const Directory& directory = service_->directory();
  // relaxed: this port's own.
  const auto announced = word_of(file_, &FileHeader::announced).load(std::memory_order_relaxed);
  const bool stays = is_needed || is_wanted(directory, *kind_, name_, announced);
  // release: pairs with the acquire of who finds the file without its lock.
  word_of(file_, &FileHeader::has_left).store(1, std::memory_order_release);
  // Where somebody else removed it, the name may be another port's by now.
  if (!stays && has_its_name()) ::unlinkat(directory.fd(), name_.c_str(), 0);
  mark_ = {};
  name_.clear();
  // Before the announcement: whoever looks because of it finds nobody alive here. The mapping alone
  // would keep the lock.
  unlock(file_.file());
  file_.close_descriptor();
  service_->board().announce_change(directory);
  if (stays && kind_->receivers != nullptr) limit_departed(directory, *kind_);
  if (looked_ != 0) reap_senders_to(directory, *kind_);
}

void PortFile::note_look(std::uint64_t generation) noexcept {
  looked_ = generation;
  store_looked(word_of(file_, &FileHeader::looked), generation);
}

bool PortFile::has_its_name() const noexcept {
  return has_joined() && leads_to(service_->directory(), name_, file_.file());
}

Failure PortFile::loss() const {
  if (!has_joined()) return {};
  const bool is_named = has_its_name();
  const Service::Place place = service_->place();
  if (is_named && place == Service::Place::same) return {};
  std::string what = is_named
                         ? std::string("new ports of the service meet elsewhere")
                         : format("{} was removed while this {} lives", file_.path(), kind_->name);
  if (place != Service::Place::same) {
    what += format(", and {} {}", service_->directory().path,
                   place == Service::Place::gone ? "is gone" : "is another service's by now");
  }
  return {Errc::not_found,
          what + format("; those who know each other go on, but new ports do not find this {}: "
                        "make it again. Whoever did it, such as systemd at the end of a session "
                        "(RemoveIPC=yes), a cleaner or rm, is to leave the root alone; see "
                        "docs/deployment.md",
                        kind_->name)};
}

}  // namespace sluice
