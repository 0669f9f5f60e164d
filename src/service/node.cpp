// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstring>
#include <sluice/core/format.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/service/registry.hpp>

namespace sluice {
std::string node_file_name(std::uint64_t id) { return format("{:016x}", id); }

Result<std::shared_ptr<const NodeState>> NodeState::create(std::string_view name,
                                                           const RootOptions& options) {
  watch_forks();
  if (auto checked = check_name("node", name); !checked) return checked.failure();
  auto resolved = resolve(options);
  if (!resolved) return resolved.failure();
  std::shared_ptr<NodeState> node(new NodeState);
  node->name_ = name;
  node->options_ = std::move(*resolved);
  node->fork_generation_ = fork_generation();
  node->id_ = random_number();
  const std::string executable = executable_path();
  Result<void> published;
  for (int i = 0; i < kMaxAttempts; ++i) {
    published = node->publish(executable);
    if (published || published.error() != Errc::not_found) break;
  }
  if (!published) return published.failure();
  if (auto works = node->check_locks(); !works) return works.failure();
  reap_domain(node->options_);
  return std::shared_ptr<const NodeState>(std::move(node));
}

Result<void> NodeState::publish(std::string_view executable) {
  auto nodes = make_domain_directory(options_, "nodes");
  if (!nodes) return nodes.failure();
  auto file = SharedFile::create(*nodes, file_mode(options_.access), FileKind::node, id_,
                                 NodeFile::kTextOffset + name_.size() + executable.size(), 0);
  if (!file) return file.failure();
  auto& words = *file->region().at<NodeFile>(0);
  words.start_ticks = process_start_ticks();
  words.name_bytes = static_cast<std::uint32_t>(name_.size());
  words.executable_bytes = static_cast<std::uint32_t>(executable.size());
  char* text = file->region().at<char>(NodeFile::kTextOffset);
  std::memcpy(text, name_.data(), name_.size());
  if (!executable.empty()) std::memcpy(text + name_.size(), executable.data(), executable.size());
  if (auto linked = file->link(*nodes, node_file_name(id_)); !linked) return linked;
  nodes_ = std::move(*nodes);
  file_ = std::move(*file);
  return {};
}

/// Everything rests on seeing who is alive: a file system on which locks do nothing is refused.
Result<void> NodeState::check_locks() const {
  const auto again = open_file(nodes_, node_file_name(id_), false);
  if (!again) return again.failure();
  if (is_locked(*again)) return {};
  return Failure{Errc::locks_unsupported,
                 format("a lock on {} is not seen through a second descriptor; set SLUICE_ROOT "
                        "to a directory on a local file system such as tmpfs",
                        nodes_.path_of(node_file_name(id_)))};
}

bool NodeState::is_forked() const noexcept { return fork_generation_ != fork_generation(); }

NodeState::~NodeState() {
  if (is_forked() || !file_.is_open()) return;
  ::unlinkat(nodes_.fd(), node_file_name(id_).c_str(), 0);
  file_ = {};
  reap_domain(options_);
}

Node::Node(std::string_view name, const NodeOptions& options) {
  auto created = create(name, options);
  if (!created) raise(created.failure());
  *this = std::move(*created);
}

Result<Node> Node::create(std::string_view name, const NodeOptions& options) noexcept {
  auto state = NodeState::create(name, options);
  if (!state) {
    return Failure{state.error(), format("node '{}': {}", name, state.failure().message)};
  }
  return Node(std::move(*state));
}

const std::string& Node::name() const noexcept { return state_->name(); }
std::uint64_t Node::id() const noexcept { return state_->id(); }
const NodeOptions& Node::options() const noexcept { return state_->options(); }

std::uint32_t Node::reap() const noexcept {
  return state_->is_forked() ? 0 : reap_domain(state_->options());
}

}  // namespace sluice
