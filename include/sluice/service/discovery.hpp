// SPDX-License-Identifier: Apache-2.0
//
// Who is there: for people and tools, which need not know any payload type.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/platform/root.hpp>
#include <sluice/reflect/schema.hpp>
#include <string>
#include <vector>

namespace sluice {

struct FileHeader;
struct PortName;
struct ServiceDescription;

struct PortInfo {
  /// "publisher", "subscriber", "client", "server", "notifier", "listener", "producer", "worker"
  std::string kind;
  std::uint32_t seat = 0;
  std::uint32_t pid = 0;
  std::uint64_t node = 0;  ///< id
  std::string node_name;   ///< empty where the node is gone
  std::uint64_t incarnation = 0;
  bool alive = false;
};

struct ServiceInfo {
  std::string name;
  std::string pattern;  ///< as `to_string(Pattern)`
  Schema schema;        ///< of the payload or request; of events: no type name, no fields
  std::optional<Schema> response_schema;  ///< request-response: of responses
  std::vector<PortInfo> ports;

  [[nodiscard]] const std::string& type_name() const noexcept { return schema.type_name; }
};

struct NodeInfo {
  std::string name;
  std::uint64_t id = 0;
  std::uint32_t pid = 0;
  std::string executable;         ///< control characters, and what is not UTF-8, escaped (`\x1b`)
  std::uint64_t start_ticks = 0;  ///< of the process, in clock ticks since boot
  bool alive = false;
};

/// The services of a domain at this moment, sorted by name; by default of the domain that a `Node`
/// without options would join. What cannot be read (broken, or of a user who keeps this one out) is
/// left out. System calls; thread safe.
[[nodiscard]] std::vector<ServiceInfo> services(const RootOptions& options = {});

/// The nodes of a domain, sorted by name, dead ones that nobody has reaped yet included.
[[nodiscard]] std::vector<NodeInfo> nodes(const RootOptions& options = {});

/// For messages: who lives in the open directory of a service, such as "publisher 0 of node
/// 'camera' (process 4711)"; a few of them.
[[nodiscard]] std::string who_is_in(const Directory& service, const RootOptions& options);

/// For the library: what is shown of a service, without its ports, and of a port. `header` is that
/// of its file.
[[nodiscard]] ServiceInfo info_of(ServiceDescription description);
[[nodiscard]] PortInfo info_of(const PortName& port, const FileHeader& header, bool alive,
                               std::string node_name);
/// For the library: the name of the node `id`, empty where it is gone. `options` come from
/// `resolve`. System calls.
[[nodiscard]] std::string name_of_node(const RootOptions& options, std::uint64_t id);

}  // namespace sluice
