// SPDX-License-Identifier: Apache-2.0
//
// What is behind a watch: who was there at the last look, and what has changed since.
//
//   inotify readable, or 100 ms over ──► look ──► changes ──► take
//
// Every look goes through all: no event is trusted to say what has happened, so none can be lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <sluice/platform/directory_watcher.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/node_file.hpp>
#include <sluice/wait/poll_descriptor.hpp>
#include <sluice/wait/waitable.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

enum class Change : std::uint8_t {
  came,
  left,  ///< in good order
  died,  ///< killed, or ended without destroying it
};

/// "came", "left", "died"
[[nodiscard]] std::string_view to_string(Change change) noexcept;

struct PortChange {
  Change change = Change::came;
  PortInfo port;  ///< as it was when it came; `alive` is false once it has gone
};

struct ServiceChange {
  Change change = Change::came;  ///< came or left
  ServiceInfo service;           ///< without its ports
};

/// Thread safety: one thread at a time.
class WatchState : public Attachable {
 public:
  virtual ~WatchState() { cut_link(); }

  /// Sleeps until there are changes, for at most `timeout`. Returns whether there are.
  bool wait(std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] int fd() noexcept;
  [[nodiscard]] const Failure& last_failure() const noexcept { return failure_; }

  /// In a forked child.
  [[nodiscard]] const Failure* refusal() const noexcept override;
  [[nodiscard]] Waker waker() noexcept override { return {.fd = watcher_.fd()}; }
  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

 protected:
  explicit WatchState(std::shared_ptr<const NodeState> node);

  [[nodiscard]] virtual bool has_changes() const noexcept = 0;
  /// Finds who is there below `services` and is not known yet. Not called where there is no such
  /// directory.
  virtual void find_newcomers(const Directory& services) noexcept = 0;
  /// After that: who has gone of those who are known, and then who came. In the other order, who
  /// took the place of one who goes at this moment would come before that one has gone.
  virtual void note_changes() noexcept = 0;

  [[nodiscard]] const RootOptions& options() const noexcept { return node_->options(); }
  /// From here on a change in the directory `path`, if there is one, wakes the watch.
  void watch(const std::string& path) noexcept;
  /// The directory, or nothing, which is noted unless it is not there.
  [[nodiscard]] Result<Directory> open_service(const Directory& services, const std::string& key);
  /// Says so in `last_failure`, and tells the log once, unless it is not_found.
  void pass_over(const Failure& cause) noexcept;

 private:
  bool refuses_fork() noexcept;
  void look_for_newcomers() noexcept;
  void sleep(std::chrono::nanoseconds timeout) noexcept;

  std::shared_ptr<const NodeState> node_;
  DirectoryWatcher watcher_;
  bool has_looked_ = false;  // the directories are watched since
  Failure unwatched_;        // why `watcher_` is none
  std::unique_ptr<PollDescriptor> descriptor_;
  Failure failure_;
  std::set<std::string> passed_over_;  // in the look under way, or the last one
  std::set<std::string> passed_over_before_;
};

template <typename Change>
class WatchStateOf : public WatchState {
 public:
  /// What has changed since the last call.
  [[nodiscard]] std::vector<Change> take() noexcept { return std::exchange(changes_, {}); }

 protected:
  using WatchState::WatchState;
  [[nodiscard]] bool has_changes() const noexcept override { return !changes_.empty(); }

  std::vector<Change> changes_;
};

/// What a watch that was moved from can be waited for as: it refuses with closed. Never destroyed.
[[nodiscard]] Attachable& no_watch() noexcept;

}  // namespace sluice
