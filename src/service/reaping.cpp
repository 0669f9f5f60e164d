// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/reaping.hpp>

namespace sluice {

bool reap_port(const Directory& service, const std::string& name, bool is_ending) {
  if (is_wake_pipe(name)) return remove_dead_pipe(service, name);
  const auto port = port_of(name);
  if (!port) return remove_dead_file(service, name);
  const PortKind& kind = port->kind;
  const auto is_needed = [&](const File& file) {
    return !is_ending && is_wanted(service, kind, name, read_header(file, kind).announced);
  };
  if (kind.receivers != nullptr) {
    // Asked before the lock is taken, too: as long as it is held, the owner seems to live.
    const auto file = open_file(service, name, false);
    if (!file || is_locked(*file) || is_needed(*file)) return false;
  }
  if (!remove_dead_file(service, name, [&](const File& file) {
        return !is_needed(file) &&
               (kind.before_removal == nullptr || kind.before_removal(service, name));
      })) {
    return false;
  }
  reap_senders_to(service, kind);
  return true;
}

std::uint32_t reap_files(const Directory& directory, bool is_ending) {
  std::uint32_t removed = 0;
  const auto names = list(directory);
  if (!names) return 0;
  for (const std::string& name : *names) {
    if (name == kServiceFile || name == kBoardFile || name == kWorkQueueFile) continue;
    if (reap_port(directory, name, is_ending)) ++removed;
  }
  remove_abandoned(directory);
  return removed;
}

Result<OpenedPort> open_living(const Directory& service, Board& board, const std::string& name,
                               bool writable, std::uint64_t looked) {
  auto file = open_file(service, name, writable);
  if (!file) return file.failure();
  const auto status = status_of(*file, name);
  if (!status) return status.failure();
  const bool is_gone = !is_locked(*file);
  const auto port = port_of(name);
  if (!is_gone || (port && read_header(*file, port->kind).announced > looked)) {
    return OpenedPort{.file = std::move(*file), .inode = status->inode, .is_gone = is_gone};
  }
  if (reap_port(service, name)) board.announce_change(service);
  return Failure{Errc::not_found, format("the owner of {} is dead", service.path_of(name))};
}

}  // namespace sluice
