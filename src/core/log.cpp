// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <memory>
#include <mutex>
#include <sluice/core/log.hpp>
#include <utility>

namespace sluice {
namespace {

std::atomic<bool> has_handler{false};
std::mutex mutex;
std::shared_ptr<const LogHandler> current;

}  // namespace

void set_log_handler(LogHandler handler) {
  auto made = handler ? std::make_shared<const LogHandler>(std::move(handler)) : nullptr;
  const std::lock_guard lock(mutex);
  current.swap(made);
  // relaxed: the mutex orders what it stands for.
  has_handler.store(current != nullptr, std::memory_order_relaxed);
}

void log_passed_over(const Failure& cause) noexcept {
  // relaxed: whoever misses a handler that is set at this moment comes before it.
  if (!has_handler.load(std::memory_order_relaxed)) return;
  std::shared_ptr<const LogHandler> handler;
  {
    const std::lock_guard lock(mutex);
    handler = current;
  }
  if (handler != nullptr) (*handler)(cause);
}

}  // namespace sluice
