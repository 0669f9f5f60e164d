// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <new>
#include <sluice/core/format.hpp>
#include <sluice/core/log.hpp>
#include <sluice/core/text.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/other_places.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/service/registry.hpp>

namespace sluice {
namespace {

/// In a user namespace, the number of a user may be another user's.
Failure explained(Failure failure) {
  const std::string hint =
      failure.code == Errc::no_permission ? hint_at_user_namespace() : std::string();
  if (!hint.empty()) failure.message += "; " + hint;
  return failure;
}

void log_other_places(const NodeState& node) {
  if (!has_log_handler()) return;
  const std::string hint = hint_at_other_places(node.options());
  if (hint.empty()) return;
  log_passed_over({Errc::no_permission, format("node '{}': {}", node.name(), hint)});
}

}  // namespace

std::string NodeState::file_name_of(std::uint64_t id) { return format("{:016x}", id); }

Result<std::shared_ptr<const NodeState>> NodeState::create(std::string_view name,
                                                           const RootOptions& options) {
  watch_forks();
  if (auto checked = check_node_name(name); !checked) return checked.failure();
  auto resolved = resolve(options);
  if (!resolved) return resolved.failure();
  std::shared_ptr<NodeState> node(new NodeState);
  node->name_ = name;
  node->options_ = std::move(*resolved);
  const auto published = while_not_found([&] { return node->publish(); });
  if (!published) return explained(published.failure());
  // Everything rests on seeing who is alive: a file system on which locks do nothing is refused.
  const auto again = open_file(node->nodes_, file_name_of(node->id_), false);
  if (!again) return again.failure();
  if (!is_locked(*again)) {
    return Failure{Errc::locks_unsupported,
                   format("a lock on {} is not seen through a second descriptor; set SLUICE_ROOT "
                          "to a directory on a local file system such as tmpfs",
                          node->file_.path())};
  }
  reap_domain(node->options_);
  log_other_places(*node);
  return std::shared_ptr<const NodeState>(std::move(node));
}

Result<void> NodeState::publish() {
  const std::string executable = executable_path();
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
  std::ranges::copy(executable, std::ranges::copy(name_, text).out);
  if (auto linked = file->link(*nodes, file_name_of(id_)); !linked) return linked;
  nodes_ = std::move(*nodes);
  file_ = std::move(*file);
  return {};
}

NodeState::~NodeState() {
  if (is_forked() || !file_.is_open()) return;
  ::unlinkat(nodes_.fd(), file_name_of(id_).c_str(), 0);
  file_ = {};
  reap_domain(options_);
}

Result<void> check_usable(const std::shared_ptr<const NodeState>& node) {
  if (node == nullptr) return Failure{Errc::closed, "the node was moved from"};
  if (!node->is_forked()) return {};
  return Failure{Errc::forked,
                 "this process is a forked child of the one that made the node; make a node of its "
                 "own"};
}

Node::Node(std::string_view name, const NodeOptions& options) {
  auto created = create(name, options);
  if (!created) raise(created.failure());
  *this = std::move(*created);
}

Result<Node> Node::create(std::string_view name, const NodeOptions& options) noexcept {
  auto state = NodeState::create(name, options);
  if (!state) {
    const std::string shown = escaped(name.substr(0, kMaxNameBytes));
    return Failure{state.error(), format("node '{}': {}", shown, state.failure().message)};
  }
  return Node(std::move(*state));
}

const std::string& Node::name() const noexcept {
  // Never destroyed: a node may be asked at the very end of the process.
  static const auto* const none = new (std::nothrow) std::string;
  return state_ ? state_->name() : *none;
}
std::uint64_t Node::id() const noexcept { return state_ ? state_->id() : 0; }
const NodeOptions& Node::options() const noexcept {
  static const auto* const none = new (std::nothrow) NodeOptions;
  return state_ ? state_->options() : *none;
}

std::uint32_t Node::reap() const noexcept {
  return !state_ || state_->is_forked() ? 0 : reap_domain(state_->options());
}

}  // namespace sluice
