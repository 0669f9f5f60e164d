// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/reaping.hpp>

namespace sluice {

bool reap_port(const Directory& service, const std::string& name) {
  if (is_wake_pipe(name)) return remove_dead_pipe(service, name);
  const auto port = port_of(name);
  return remove_dead_file(service, name, port ? port->kind.before_removal : nullptr);
}

std::uint32_t reap_files(const Directory& directory) {
  std::uint32_t removed = 0;
  const auto names = list(directory);
  if (!names) return 0;
  for (const std::string& name : *names) {
    if (name == kServiceFile || name == kBoardFile || name == kWorkQueueFile) continue;
    if (reap_port(directory, name)) ++removed;
  }
  remove_abandoned(directory);
  return removed;
}

Result<LivingPort> open_living(const Directory& service, Board& board, const std::string& name,
                               bool writable) {
  auto file = open_file(service, name, writable);
  if (!file) return file.failure();
  const auto status = status_of(*file, name);
  if (!status) return status.failure();
  if (is_locked(*file)) return LivingPort{.file = std::move(*file), .inode = status->inode};
  if (reap_port(service, name)) board.announce_change(service);
  return Failure{Errc::not_found, format("the owner of {} is dead", service.path_of(name))};
}

}  // namespace sluice
