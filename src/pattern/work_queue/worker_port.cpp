// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/work_queue/worker_port.hpp>
#include <sluice/platform/clock.hpp>

namespace sluice {
namespace {

constexpr std::uint32_t kMaxJobs = 256;

}  // namespace

Result<WorkerPort*> WorkerPort::create(const Node& node, std::string_view service, Schema schema,
                                       const PayloadLayout& payload, const WorkerOptions& options) {
  const auto checked = require({{"WorkerOptions::max_jobs", options.max_jobs, 1, kMaxJobs}});
  if (!checked) return in_service(service, checked.failure());
  std::unique_ptr<WorkerPort> port(new WorkerPort(options));
  const auto joined = port->join(
      node,
      {.pattern = Pattern::work_queue, .name = std::string(service), .schema = std::move(schema)});
  if (!joined) return joined.failure();
  // The shared mode: others must be able to lock the file when this worker is dead, for its jobs.
  auto channel =
      WorkerChannel::create(port->service().directory(), port->service().board(), node.id(),
                            port->service().shared_mode(),
                            {.payload = payload, .max_jobs = options.max_jobs}, port->cells_);
  if (!channel) return in_service(service, channel.failure());
  port->channel_ = std::move(*channel);
  return port.release();
}

Assigned WorkerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Assigned assigned = receive();
    if (assigned.payload != nullptr || assigned.error != Errc::ok) return assigned;
    const auto left = deadline.left();
    if (left.count() == 0) return {.error = Errc::timed_out};
    channel_->wait(left);
  }
}

bool WorkerPort::done(const Assigned& assigned) noexcept {
  if (is_forked()) return false;  // the parent's
  const bool was_ours = channel_->finish(assigned.job, *assigned.producer);
  drop(assigned.cell);
  return was_ours;
}

bool WorkerPort::reject(const Assigned& assigned) noexcept {
  if (is_forked()) return false;
  const bool was_ours = channel_->put_back(assigned.job);
  drop(assigned.cell);
  return was_ours;
}

bool WorkerPort::is_ready() noexcept {
  if (is_forked()) return false;
  channel_->follow_changes();
  return channel_->has_ready() || channel_->failure().code != Errc::ok;
}

void WorkerPort::look() noexcept {
  if (!is_forked()) channel_->refresh();
}

std::uint32_t WorkerPort::producers() noexcept {
  if (is_forked()) return 0;
  channel_->refresh();
  return channel_->producers();
}

Errc WorkerPort::fail_too_many() noexcept {
  return fail(Errc::too_many_borrowed, fmt::format("all {} jobs are held; end one, or raise "
                                                   "WorkerOptions::max_jobs",
                                                   cells_.count()));
}

}  // namespace sluice
