// SPDX-License-Identifier: Apache-2.0
//
// Being told who comes and goes: the ports of a service (`ServiceWatch`), the services of a domain
// (`DomainWatch`).
//
//   ServiceWatch watch{node, "robot/pose"};
//   wait_set.attach(watch, [&] {
//     for (const auto& [change, port] : watch.receive()) use(change, port.kind, port.node_name);
//   });
//
// A look compares who is there with who was there at the last one. The kernel wakes the watch when
// a name comes or goes in the directories that it looks into (inotify); who dies, and who leaves
// a file behind for others, is noticed within 100 ms by its lock. A watch makes no file, takes no
// seat, and changes nothing for those that it watches.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/core/result.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/watch_state.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// What the two watches have in common. Thread safety: one thread at a time; different watches are
/// independent. One that was moved from has no changes, and its failure is closed.
template <typename Change>
class Watch {
 public:
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&&) noexcept = default;
  ~Watch() = default;

  /// What has changed since the last call; the first one tells of all who are there as having come.
  /// Who goes is told before who comes. Each coming and each going is told once and in turn; but
  /// who came and went between two looks is not told at all. Does not block. Allocates; some 50
  /// system calls, and four for each who is there.
  std::vector<Change> receive() noexcept { return wait(std::chrono::nanoseconds{0}); }

  /// The same, but sleeps until there is something, at most `timeout`; then nothing is returned.
  template <typename Rep, typename Period>
  std::vector<Change> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    if (state_ == nullptr || !state_->wait(to_timeout(timeout))) return {};
    return state_->take();
  }

  /// A descriptor that can be read when there may be something to receive, and every 100 ms: for
  /// epoll, Qt, asio. The watch's own. Only wait for it; `receive` makes it unreadable. -1 where
  /// there was a failure (`last_failure()`): forked, closed, system (too many descriptors).
  [[nodiscard]] int fd() noexcept { return state_ == nullptr ? -1 : state_->fd(); }

  /// Why the last call may have seen less than there is, or later; ok: it has not. It has seen what
  /// it could, and looks again at each call.
  ///   system         the user's limit of inotify instances or watches is reached: the watch goes
  ///                  on, and looks every 100 ms; or the process's limit of descriptors
  ///   no_permission  a directory or file belongs to somebody who keeps this user out
  ///   corrupted, version_mismatch   a file is no good, and was passed over
  ///   no_memory, no_address_space, forked, closed (the watch was moved from)
  [[nodiscard]] const Failure& last_failure() const noexcept {
    return state_ == nullptr ? *no_watch().refusal() : state_->last_failure();
  }

  /// For `WaitSet`, which calls back while there are changes to receive.
  [[nodiscard]] Attachable& waitable() noexcept {
    return state_ == nullptr ? no_watch() : static_cast<Attachable&>(*state_);
  }

 protected:
  explicit Watch(std::unique_ptr<WatchStateOf<Change>> state) : state_(std::move(state)) {}

 private:
  std::unique_ptr<WatchStateOf<Change>> state_;
};

/// Tells which ports of a service come, leave and die, of whichever pattern the service is. It need
/// not exist yet; it may end and begin again, and be one of another type or pattern then.
/// Holds a descriptor of each port. What of a port's memory is gone is given back at the look that
/// finds it gone, so look now and then: in a wait set that runs, or by `wait` or `receive`.
class ServiceWatch : public Watch<PortChange> {
 public:
  /// Watches the service `service` of the node's domain, as long as the watch lives.
  /// Errors (thrown as `Error`): invalid_name, forked, closed (the node was moved from).
  ServiceWatch(const Node& node, std::string_view service)
      : ServiceWatch(create(node, service).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<ServiceWatch> create(const Node& node,
                                                   std::string_view service) noexcept;

 private:
  using Watch::Watch;
};

/// Tells which services of a domain come, and leave: when nobody is in them any more, whether the
/// last one left or died. A service that ended and began again has left and come. Holds a
/// descriptor of each service.
class DomainWatch : public Watch<ServiceChange> {
 public:
  /// Watches the services of the node's domain, as long as the watch lives.
  /// Errors (thrown as `Error`): forked, closed (the node was moved from).
  explicit DomainWatch(const Node& node) : DomainWatch(create(node).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<DomainWatch> create(const Node& node) noexcept;

 private:
  using Watch::Watch;
};

}  // namespace sluice
