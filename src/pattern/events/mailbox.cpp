// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <sluice/pattern/events/mailbox.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/seats.hpp>
#include <utility>

namespace sluice {

Result<SharedFile> open_mailbox(const Directory& service, const std::string& name) {
  auto file = open_file(service, name, true);
  if (!file) return file.failure();
  if (!is_locked(*file)) {
    return Failure{Errc::not_found, fmt::format("the owner of {} is dead", service.path_of(name))};
  }
  return SharedFile::adopt(std::move(*file), service.path_of(name), FileKind::listener,
                           sizeof(ListenerFile), Region::Access::read_write);
}

bool announce_death(const Directory& service, const std::string& name) {
  const auto dead = SharedFile::open(service, name, FileKind::notifier, sizeof(NotifierFile));
  if (!dead) return !is_own_failure(dead.error());
  const auto event = event_in(dead->region().at<NotifierFile>(0)->on_death);
  if (!event) return true;
  const auto names = list(service);
  if (!names) return false;
  for (const std::string& listener : *names) {
    if (!seat_in(listener, kListenerKind)) continue;
    auto file = open_mailbox(service, listener);
    if (!file) {
      if (is_own_failure(file.error())) return false;
      continue;
    }
    Mailbox& mailbox = file->region().at<ListenerFile>(0)->mailbox;
    mailbox.put(*event);
    // seq_cst: pairs with the fence in `Doorbell::arm`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    mailbox.doorbell.wake(service);
  }
  return true;
}

}  // namespace sluice
