// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <sluice/platform/lock.hpp>
#include <sluice/service/board.hpp>
#include <sluice/service/reaping.hpp>
#include <sluice/service/registry.hpp>
#include <sluice/service/service.hpp>

namespace sluice {
namespace {

/// Every file of `part` whose owner is dead.
std::uint32_t reap_files(const RootOptions& options, const char* part) {
  const auto directory = open_domain_directory(options, part);
  if (!directory) return 0;
  const auto names = list(*directory);
  if (!names) return 0;
  std::uint32_t removed = 0;
  for (const std::string& name : *names) removed += reap_file(*directory, name) ? 1 : 0;
  remove_abandoned(*directory);
  return removed;
}

void announce_change(const Directory& service) {
  const auto board = SharedFile::open(service, kBoardFile, FileKind::board, sizeof(Board),
                                      Region::Access::read_write);
  if (board) board->region().at<Board>(0)->announce_change(service);
}

std::uint32_t reap_service(const Directory& services, const std::string& key,
                           const Directory& service) {
  auto file = open_service_file(service);
  if (!file) {
    if (file.error() != Errc::not_found) return 0;  // not ours to judge
    remove_abandoned(service);
    ::unlinkat(services.fd(), key.c_str(), AT_REMOVEDIR);  // refused unless it is empty
    return 0;
  }
  if (is_locked(file->file())) {
    const std::uint32_t removed = reap_ports(service);
    if (removed != 0) announce_change(service);
    return removed;
  }
  const auto alone = try_lock(file->file(), LockKind::exclusive);
  if (!alone || !*alone || !leads_to(service, kServiceFile, file->file())) return 0;
  return remove_service(services, key, service);
}

std::uint32_t reap_services(const RootOptions& options) {
  const auto services = open_domain_directory(options, "services");
  if (!services) return 0;
  const auto keys = list(*services);
  if (!keys) return 0;
  std::uint32_t removed = 0;
  for (const std::string& key : *keys) {
    const auto service = open_directory(*services, key, owner_below(options));
    if (service) removed += reap_service(*services, key, *service);
  }
  return removed;
}

}  // namespace

std::uint32_t reap_domain(const RootOptions& options) noexcept {
  const std::uint32_t removed =
      reap_files(options, "nodes") + reap_services(options) + reap_files(options, "segments");
  remove_empty_directories(options);
  return removed;
}

}  // namespace sluice
