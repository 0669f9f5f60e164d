// SPDX-License-Identifier: Apache-2.0
//
// A node: one participant, usually one a process, under whose name its ports are known to others.
// Its locked file tells who is alive; making or destroying one removes what dead ones left.
#pragma once

#include <cstdint>
#include <memory>
#include <sluice/core/result.hpp>
#include <sluice/platform/root.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// Where a node lives: `{.domain = "…", .root = "…", .access = Access::group}`.
using NodeOptions = RootOptions;

/// What a node's ports share. Lives until the node and every port and handle of it are gone.
class NodeState;

/// Thread safety: one thread at a time; making ports from several threads is safe. One that was
/// moved from has no name, id 0 and default options; making a port with it is refused with closed.
class Node {
 public:
  /// Makes a node called `name`, for people to read: up to 255 bytes of UTF-8 without control
  /// characters. It may be empty, and several may have the same.
  /// Errors (thrown as `Error`): invalid_name, no_permission, no_memory, locks_unsupported,
  /// corrupted, system.
  explicit Node(std::string_view name, const NodeOptions& options = {});
  /// The same without exceptions.
  [[nodiscard]] static Result<Node> create(std::string_view name,
                                           const NodeOptions& options = {}) noexcept;

  [[nodiscard]] const std::string& name() const noexcept;
  /// Tells it from every other node, of all times.
  [[nodiscard]] std::uint64_t id() const noexcept;
  /// The options as they hold, the environment's choices filled in.
  [[nodiscard]] const NodeOptions& options() const noexcept;

  /// Removes what dead processes left in this node's domain, now. Returns the number of files.
  /// It also happens whenever somebody joins, leaves, or runs short.
  std::uint32_t reap() const noexcept;

  [[nodiscard]] const std::shared_ptr<const NodeState>& state() const noexcept { return state_; }

 private:
  explicit Node(std::shared_ptr<const NodeState> state) : state_(std::move(state)) {}

  std::shared_ptr<const NodeState> state_;
};

}  // namespace sluice
