// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <sluice/pattern/events/mailbox.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/seats.hpp>

namespace sluice {

std::string seat_name(std::string_view kind, std::uint32_t seat) {
  return fmt::format("{}.{}", kind, seat);
}

std::optional<std::uint32_t> seat_in(std::string_view file_name, std::string_view kind) noexcept {
  if (!file_name.starts_with(kind)) return std::nullopt;
  file_name.remove_prefix(kind.size());
  if (file_name.size() < 2 || file_name.front() != '.') return std::nullopt;
  file_name.remove_prefix(1);
  std::uint32_t seat = 0;
  const char* end = file_name.data() + file_name.size();
  const auto [stop, error] = std::from_chars(file_name.data(), end, seat);
  if (error != std::errc{} || stop != end || seat >= kMaxSeats) return std::nullopt;
  return seat;
}

Result<std::uint32_t> take_seat(SharedFile& file, const Directory& service, std::string_view kind) {
  for (std::uint32_t seat = 0; seat < kMaxSeats; ++seat) {
    auto linked = file.link(service, seat_name(kind, seat));
    if (linked) return seat;
    if (linked.error() != Errc::already_exists) return linked.failure();
  }
  return Failure{Errc::too_many_ports,
                 fmt::format("all {} {} seats in {} are taken", kMaxSeats, kind, service.path)};
}

namespace {

/// What is done for a dead port, with its lock held, before its file is removed; again if that was
/// cut short. False: the file is still needed.
using LastRites = bool (*)(const Directory&, const std::string& name);

bool nothing_to_do(const Directory&, const std::string&) { return true; }

bool reap(const Directory& directory, const std::string& name, LastRites last_rites) {
  auto file = open_file(directory, name, true);
  if (!file || is_locked(*file)) return false;
  auto locked = try_lock(*file, LockKind::exclusive);
  return locked && *locked && leads_to(directory, name, *file) && last_rites(directory, name) &&
         ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

/// By kind of port.
LastRites last_rites_of(const std::string& name) {
  if (seat_in(name, kNotifierKind)) return announce_death;
  if (seat_in(name, kWorkerKind)) return put_back_jobs;
  if (seat_in(name, kProducerKind)) return has_no_jobs;
  return nothing_to_do;
}

}  // namespace

bool reap_file(const Directory& directory, const std::string& name) {
  return reap(directory, name, nothing_to_do);
}

bool reap_port(const Directory& service, const std::string& name) {
  if (is_wake_pipe(name)) return reap_wake_pipe(service, name);
  return reap(service, name, last_rites_of(name));
}

Result<LivingPort> open_living(const Directory& service, Board& board, const std::string& name,
                               bool writable) {
  auto file = open_file(service, name, writable);
  if (!file) return file.failure();
  const auto status = status_of(*file, name);
  if (!status) return status.failure();
  if (is_locked(*file)) return LivingPort{.file = std::move(*file), .inode = status->inode};
  if (reap_port(service, name)) board.announce_change(service);
  return Failure{Errc::not_found, fmt::format("the owner of {} is dead", service.path_of(name))};
}

std::uint32_t reap_ports(const Directory& service) {
  std::uint32_t removed = 0;
  const auto names = list(service);
  if (!names) return 0;
  for (const std::string& name : *names) {
    if (name == "service" || name == kBoardFile || name == kWorkQueueFile) continue;
    if (reap_port(service, name)) ++removed;
  }
  remove_abandoned(service);
  return removed;
}

}  // namespace sluice
