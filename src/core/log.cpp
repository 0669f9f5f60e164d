// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <memory>
#include <mutex>
#include <sluice/core/log.hpp>
#include <sluice/core/text.hpp>
#include <utility>

namespace sluice {
namespace {

std::atomic<bool> is_set{false};
std::mutex mutex;
std::shared_ptr<const LogHandler> current;

}  // namespace

void set_log_handler(LogHandler handler) {
  auto made = handler ? std::make_shared<const LogHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(mutex);
  current.swap(made);
  // relaxed: the mutex orders what it stands for.
  is_set.store(current != nullptr, std::memory_order_relaxed);
}

bool has_log_handler() noexcept {
  // relaxed: whoever misses a handler that is set at this moment comes before it.
  return is_set.load(std::memory_order_relaxed);
}

void log_passed_over(const Failure& cause) noexcept {
  if (!has_log_handler()) return;
  std::shared_ptr<const LogHandler> handler;
  {
    const std::lock_guard lock(mutex);
    handler = current;
  }
  if (handler != nullptr) (*handler)({cause.code, escaped(cause.message)});
}

}  // namespace sluice
