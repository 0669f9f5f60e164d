// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <sluice/core/format.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/reaping.hpp>

namespace sluice {
namespace {

bool reap(const Directory& directory, const std::string& name, const PortKind* kind) {
  auto file = open_file(directory, name, true);
  if (!file || is_locked(*file)) return false;
  auto locked = try_lock(*file, LockKind::exclusive);
  if (!locked || !*locked || !leads_to(directory, name, *file)) return false;
  if (kind != nullptr && kind->before_removal != nullptr &&
      !kind->before_removal(directory, name)) {
    return false;
  }
  return ::unlinkat(directory.fd(), name.c_str(), 0) == 0;
}

}  // namespace

bool reap_file(const Directory& directory, const std::string& name) {
  return reap(directory, name, nullptr);
}

bool reap_port(const Directory& service, const std::string& name) {
  if (is_wake_pipe(name)) return reap_wake_pipe(service, name);
  const auto port = port_of(name);
  return reap(service, name, port ? &port->kind : nullptr);
}

std::uint32_t reap_ports(const Directory& service) {
  std::uint32_t removed = 0;
  const auto names = list(service);
  if (!names) return 0;
  for (const std::string& name : *names) {
    if (name == kServiceFile || name == kBoardFile || name == kWorkQueueFile) continue;
    if (reap_port(service, name)) ++removed;
  }
  remove_abandoned(service);
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
