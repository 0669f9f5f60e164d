// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/work_queue/job.hpp>
#include <sluice/pattern/work_queue/options.hpp>
#include <sluice/pattern/work_queue/worker_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Does the jobs of a service, each of which goes to one of its workers. A job of a worker that
/// dies goes to another one. A worker that is destroyed leaves the service once the last of its
/// jobs has ended. Thread safety: one thread at a time; different workers are independent.
template <typename T>
class Worker : public WaitablePortOwner<WorkerPort> {
  static_assert(require_port_payload<T>());

 public:
  /// Joins `service`, or creates it; producers may come later. Errors: see `PortOwner`.
  explicit Worker(const Node& node, std::string_view service, const WorkerOptions& options = {})
      : Worker(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Worker> create(const Node& node, std::string_view service,
                                             const WorkerOptions& options = {}) noexcept {
    return own<Worker>(WorkerPort::create(node, service_of<T>(Pattern::work_queue, service),
                                          port_layout<T>(), options));
  }

  /// The next job: the oldest that was put back, else the oldest that nobody had yet. Does not
  /// block. Lock-free; system calls only when ports have come or gone, a producer has taken more
  /// memory, or, at most every 100 ms, when there is no job. Then it looks for workers that died.
  [[nodiscard]] Job<T> receive() noexcept { return Job<T>(port_, port_->receive()); }

  /// The same, but sleeps until there is one, at most `timeout`.
  template <typename Rep, typename Period>
  [[nodiscard]] Job<T> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return Job<T>(port_, port_->wait(to_timeout(timeout)));
  }

  /// Producers of the service now. System calls.
  [[nodiscard]] std::uint32_t producers() noexcept { return port_->producers(); }

  /// Sleeps until there are at least `count` producers, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_producers(std::uint32_t count,
                                  std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("producers", count, timeout, &WorkerPort::producers);
  }

 private:
  using WaitablePortOwner::WaitablePortOwner;
};

}  // namespace sluice
