// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <sluice/platform/lock.hpp>
#include <sluice/service/reaping.hpp>
#include <sluice/service/registry.hpp>
#include <sluice/service/service.hpp>

namespace sluice {
namespace {

/// Every file of `part` whose owner is dead.
std::uint32_t reap_part(const RootOptions& options, const char* part) {
  const auto directory = open_domain_directory(options, part);
  return directory ? reap_files(*directory) : 0;
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
    const std::uint32_t removed = reap_files(service);
    if (removed == 0) return 0;
    const auto board = SharedFile::open(service, kBoardFile, FileKind::board, sizeof(Board),
                                        Region::Access::read_write);
    if (board) board->region().at<Board>(0)->announce_change(service);
    return removed;
  }
  const auto removed = remove_service(*file, key, service);
  return removed ? *removed : 0;
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
      reap_part(options, "nodes") + reap_services(options) + reap_part(options, "segments");
  remove_empty_directories(options);
  return removed;
}

}  // namespace sluice
