// SPDX-License-Identifier: Apache-2.0
//
// A node's file, nodes/<id>: who it is, for people and tools. Written before it can be seen.
//
//   offset  0        64                   72           76                 80
//           | header | host start ticks   | name bytes | executable bytes | name, executable |
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/platform/root.hpp>
#include <string>
#include <string_view>

namespace sluice {

struct NodeFile {
  FileHeader header;          ///< `node` is its own id
  std::uint64_t start_ticks;  ///< of the process, in clock ticks since boot; 0 where unknown
  std::uint32_t name_bytes;
  std::uint32_t executable_bytes;

  static constexpr std::uint64_t kTextOffset = 80;
};
static_assert(sizeof(NodeFile) == NodeFile::kTextOffset);

class Service;

/// The services that ports of a node are in: one membership for all of them. Thread safety: any
/// thread; not in a forked child.
class Memberships {
 public:
  /// The service with the directory `key`, where new ports meet there still; else null.
  [[nodiscard]] std::shared_ptr<Service> find(const std::string& key);
  /// Enters the one that was just joined, unless another thread was first: then that one's is
  /// returned.
  [[nodiscard]] std::shared_ptr<Service> enter(const std::string& key,
                                               const std::shared_ptr<Service>& joined);
  /// After the last port has left.
  void forget(const std::string& key) noexcept;

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Service>> by_key_;
};

class NodeState {
 public:
  /// Errors as `Node::Node`.
  [[nodiscard]] static Result<std::shared_ptr<const NodeState>> create(std::string_view name,
                                                                       const RootOptions& options);
  ~NodeState();
  NodeState(const NodeState&) = delete;
  NodeState& operator=(const NodeState&) = delete;

  [[nodiscard]] static std::string file_name_of(std::uint64_t id);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] const RootOptions& options() const noexcept { return options_; }
  [[nodiscard]] Memberships& memberships() const noexcept { return memberships_; }
  /// Whether this is a forked child of the process that made the node.
  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }

 private:
  NodeState() = default;

  Result<void> publish();

  std::string name_;
  RootOptions options_;
  std::uint64_t id_ = random_number();
  std::uint32_t fork_generation_ = fork_generation();
  Directory nodes_;
  SharedFile file_;
  mutable Memberships memberships_;
};

/// Whether something can be made with `node`. Errors: closed (null: it was moved from), forked.
[[nodiscard]] Result<void> check_usable(const std::shared_ptr<const NodeState>& node);

}  // namespace sluice
