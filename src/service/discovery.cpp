// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/core/log.hpp>
#include <sluice/core/text.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/service.hpp>
#include <tuple>

namespace sluice {
namespace {

/// Whether there is nothing to be shown, because that cannot be read. Where it is gone by now, that
/// is not worth a word.
template <typename T>
bool is_passed_over(const Result<T>& found) {
  if (!found && found.error() != Errc::not_found) log_passed_over(found.failure());
  return !found;
}

/// Whether the owner of `file`, who does not live, has left in good order: since the file was
/// opened, or before, and it is there for what its owner had sent.
bool has_left(const Directory& directory, const std::string& name, const SharedFile& file) {
  // acquire: pairs with the release in `PortFile::leave`.
  return !leads_to(directory, name, file.file()) ||
         word_of(file, &FileHeader::has_left).load(std::memory_order_acquire) != 0;
}

/// What a node's file says. Errors: corrupted.
Result<NodeInfo> describe_node(const SharedFile& file) {
  const auto corrupted = [&](const std::string& what) {
    return Failure{Errc::corrupted, format("{}: {}; remove it", file.path(), what)};
  };
  const auto& words = *file.region().at<NodeFile>(0);
  const std::uint64_t name_bytes = words.name_bytes;
  const std::uint64_t executable_bytes = words.executable_bytes;
  if (!file.region().contains(NodeFile::kTextOffset, name_bytes + executable_bytes)) {
    return corrupted("its text ends behind it");
  }
  // Copied before it is looked at: the file is its owner's.
  const std::string text(file.region().at<char>(NodeFile::kTextOffset),
                         name_bytes + executable_bytes);
  NodeInfo node{.name = text.substr(0, name_bytes),
                .id = words.header.node,
                .pid = words.header.pid,
                .executable = escaped(std::string_view(text).substr(name_bytes)),
                .start_ticks = words.start_ticks};
  if (auto checked = check_node_name(node.name); !checked) {
    return corrupted(checked.failure().message);
  }
  return node;
}

std::vector<PortInfo> ports_in(const Directory& service, const std::vector<NodeInfo>& nodes) {
  std::vector<PortInfo> ports;
  const auto names = list(service);
  if (!names) return ports;
  for (const std::string& name : *names) {
    const auto port = port_of(name);
    if (!port) continue;
    const auto file = SharedFile::open(service, name, port->kind.file, sizeof(FileHeader));
    if (is_passed_over(file)) continue;
    const bool alive = is_locked(file->file());
    if (!alive && has_left(service, name, *file)) continue;
    const FileHeader& header = file->header();  // three of its words change meanwhile: no copy
    const auto node = std::ranges::find(nodes, header.node, &NodeInfo::id);
    ports.push_back(info_of(*port, header, alive, node == nodes.end() ? "" : node->name));
  }
  std::ranges::sort(ports, {}, [](const PortInfo& port) { return std::tie(port.kind, port.seat); });
  return ports;
}

/// The node with the file `name`; nothing where that is no good, or where it has left.
std::optional<NodeInfo> node_in(const Directory& directory, const std::string& name) {
  const auto file = SharedFile::open(directory, name, FileKind::node, sizeof(NodeFile));
  if (is_passed_over(file)) return std::nullopt;
  const bool alive = is_locked(file->file());
  if (!alive && has_left(directory, name, *file)) return std::nullopt;
  auto node = describe_node(*file);
  if (is_passed_over(node)) return std::nullopt;
  node->alive = alive;
  return std::move(*node);
}

}  // namespace

ServiceInfo info_of(ServiceDescription description) {
  return {.name = std::move(description.name),
          .pattern = std::string(to_string(description.pattern)),
          .schema = std::move(description.schema),
          .response_schema = std::move(description.response),
          .ports = {}};
}

PortInfo info_of(const PortName& port, const FileHeader& header, bool alive,
                 std::string node_name) {
  return {.kind = std::string(port.kind.name),
          .seat = port.seat,
          .pid = header.pid,
          .node = header.node,
          .node_name = std::move(node_name),
          .incarnation = header.incarnation,
          .alive = alive};
}

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
    if (is_passed_over(service)) continue;
    const auto file =
        SharedFile::open(*service, kServiceFile, FileKind::service, sizeof(ServiceFile));
    if (is_passed_over(file)) continue;
    auto description = describe(*file);
    if (is_passed_over(description)) continue;
    found.push_back(info_of(std::move(*description)));
    found.back().ports = ports_in(*service, known);
  }
  std::ranges::sort(found, {}, &ServiceInfo::name);
  return found;
}

std::string who_is_in(const Directory& service, const RootOptions& options) {
  std::vector<std::string> who;
  for (const PortInfo& port : ports_in(service, nodes(options))) {
    if (!port.alive) continue;
    who.push_back(
        format("{} {} of node '{}' (process {})", port.kind, port.seat, port.node_name, port.pid));
  }
  return who.empty() ? "somebody joins it at this moment" : first_few(who);
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
    if (auto node = node_in(*directory, name)) found.push_back(std::move(*node));
  }
  std::ranges::sort(found, {}, [](const NodeInfo& node) { return std::tie(node.name, node.id); });
  return found;
}

std::string name_of_node(const RootOptions& options, std::uint64_t id) {
  const auto directory = open_domain_directory(options, "nodes");
  if (!directory) return {};
  const auto node = node_in(*directory, NodeState::file_name_of(id));
  return node ? node->name : std::string();
}

}  // namespace sluice
