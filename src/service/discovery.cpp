// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <sluice/platform/lock.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/service.hpp>

namespace sluice {
namespace {

/// The owner of `file` lives. Neither alive nor dead is one that has left since the file was
/// opened.
std::optional<bool> is_alive(const Directory& directory, const std::string& name,
                             const SharedFile& file) {
  if (is_locked(file.file())) return true;
  if (!leads_to(directory, name, file.file())) return std::nullopt;
  return false;
}

void add_port(const Directory& service, const std::string& name, std::vector<PortInfo>& ports) {
  const auto port = port_of(name);
  if (!port) return;
  const auto file = SharedFile::open(service, name, port->kind.file, sizeof(FileHeader));
  if (!file) return;
  const auto alive = is_alive(service, name, *file);
  if (!alive) return;
  const FileHeader& header = file->header();
  ports.push_back({.kind = std::string(port->kind.name),
                   .seat = port->seat,
                   .pid = header.pid,
                   .node = header.node,
                   .node_name = {},
                   .incarnation = header.incarnation,
                   .alive = *alive});
}

std::vector<PortInfo> ports_in(const Directory& service, const std::vector<NodeInfo>& nodes) {
  std::vector<PortInfo> ports;
  const auto names = list(service);
  if (!names) return ports;
  for (const std::string& name : *names) add_port(service, name, ports);
  for (PortInfo& port : ports) {
    const auto node = std::find_if(nodes.begin(), nodes.end(),
                                   [&](const NodeInfo& info) { return info.id == port.node; });
    if (node != nodes.end()) port.node_name = node->name;
  }
  std::sort(ports.begin(), ports.end(), [](const PortInfo& a, const PortInfo& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.seat < b.seat;
  });
  return ports;
}

}  // namespace

std::vector<ServiceInfo> services(const RootOptions& options) {
  std::vector<ServiceInfo> found;
  const auto resolved = resolve(options);
  if (!resolved) return found;
  const auto directory = open_domain_directory(*resolved, "services");
  if (!directory) return found;
  const auto keys = list(*directory);
  if (!keys) return found;
  const std::vector<NodeInfo> known = nodes(*resolved);
  for (const std::string& key : *keys) {
    const auto service = open_directory(*directory, key, owner_below(*resolved));
    if (!service) continue;
    const auto file =
        SharedFile::open(*service, kServiceFile, FileKind::service, sizeof(ServiceFile));
    if (!file) continue;
    auto description = describe(*file);
    if (!description) continue;
    found.push_back({.name = std::move(description->name),
                     .pattern = std::string(to_string(description->pattern)),
                     .schema = std::move(description->schema),
                     .response_schema = std::move(description->response),
                     .ports = ports_in(*service, known)});
  }
  std::sort(found.begin(), found.end(),
            [](const ServiceInfo& a, const ServiceInfo& b) { return a.name < b.name; });
  return found;
}

std::vector<NodeInfo> nodes(const RootOptions& options) {
  std::vector<NodeInfo> found;
  const auto resolved = resolve(options);
  if (!resolved) return found;
  const auto directory = open_domain_directory(*resolved, "nodes");
  if (!directory) return found;
  const auto names = list(*directory);
  if (!names) return found;
  for (const std::string& name : *names) {
    const auto file = SharedFile::open(*directory, name, FileKind::node, sizeof(NodeFile));
    if (!file) continue;
    const auto alive = is_alive(*directory, name, *file);
    if (!alive) continue;
    const auto& words = *file->region().at<NodeFile>(0);
    const std::uint64_t name_bytes = words.name_bytes;
    const std::uint64_t executable_bytes = words.executable_bytes;
    if (!file->region().contains(NodeFile::kTextOffset, name_bytes + executable_bytes)) continue;
    const char* text = file->region().at<char>(NodeFile::kTextOffset);
    found.push_back({.name = std::string(text, name_bytes),
                     .id = words.header.node,
                     .pid = words.header.pid,
                     .executable = std::string(text + name_bytes, executable_bytes),
                     .start_ticks = words.start_ticks,
                     .alive = *alive});
  }
  std::sort(found.begin(), found.end(), [](const NodeInfo& a, const NodeInfo& b) {
    return a.name != b.name ? a.name < b.name : a.id < b.id;
  });
  return found;
}

}  // namespace sluice
