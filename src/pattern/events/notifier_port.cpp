// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <sluice/pattern/events/notifier_port.hpp>
#include <sluice/platform/lock.hpp>
#include <utility>

namespace sluice {
namespace {

std::uint32_t word_of(std::optional<EventId> event) noexcept {
  return event ? event->value + 1U : 0U;
}

/// Tells every listener of the service that the notifier with the file `name` is dead, if it wanted
/// that. Doing it again does no harm. False: a listener could not be told; try again later. System
/// calls.
bool announce_death(const Directory& service, const std::string& name) {
  const auto dead = SharedFile::open(service, name, FileKind::notifier, sizeof(NotifierFile));
  if (!dead) return !is_own_failure(dead.error());
  const auto event = event_of_death(*dead);
  if (!event) return true;
  const auto names = list(service);
  if (!names) return false;
  for (const std::string& listener : *names) {
    if (!seat_in(listener, kListenerKind)) continue;
    const auto file = SharedFile::open(service, listener, FileKind::listener, sizeof(ListenerFile),
                                       Region::Access::read_write);
    if (is_own_failure(file.error())) return false;
    if (!file || !is_locked(file->file())) continue;  // no good, or its owner is dead
    Mailbox& mailbox = file->region().at<ListenerFile>(0)->mailbox;
    mailbox.put(*event);
    // seq_cst: pairs with the fence in `Doorbell::arm`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    mailbox.doorbell.wake(service);
  }
  return true;
}

}  // namespace

const PortKind kNotifierKind{"notifier", FileKind::notifier, announce_death};

std::optional<std::uint8_t> event_of_death(const SharedFile& dead) noexcept {
  const std::uint32_t word = dead.region().at<NotifierFile>(0)->events.read().on_death;
  if (word == 0 || word > kMaxEvents) return std::nullopt;
  return static_cast<std::uint8_t>(word - 1);
}

NotifierPort::NotifierPort(std::shared_ptr<Service> service, const NotifierOptions& options)
    : Port(kNotifierKind, std::move(service)),
      options_(options),
      peers_(this->service(), {kListenerKind, sizeof(ListenerFile), Region::Access::read_write}) {}

void NotifierPort::before_end() noexcept {
  // Before the file goes: killed in between, it is found dead, and that is told.
  if (options_.on_leave) notify(*options_.on_leave);
  file_.leave();
}

Result<NotifierPort*> NotifierPort::create(const Node& node, std::string_view service,
                                           const NotifierOptions& options) {
  return open_port<NotifierPort>(
      node, {.pattern = Pattern::event, .name = std::string(service), .schema = {}}, options.mode,
      {}, options);
}

Result<void> NotifierPort::open() {
  if (auto made = create_file(sizeof(NotifierFile), 0); !made) return made;
  file_.words<NotifierFile>().events.write({.on_join = word_of(options_.on_join),
                                            .on_leave = word_of(options_.on_leave),
                                            .on_death = word_of(options_.on_death),
                                            .unused = 0});
  if (auto joined = file_.join(); !joined) return joined;
  if (auto looked = look_at_listeners(); !looked) return looked;
  if (options_.on_join) notify(*options_.on_join);
  return {};
}

/// Fails where a listener cannot be reached.
Result<void> NotifierPort::look_at_listeners() {
  const auto looked = peers_.look(
      [](Listener& listener) {
        listener.mailbox = &listener.file.region().at<ListenerFile>(0)->mailbox;
        return Result<void>();
      },
      [](Listener&) { return Result<void>(); }, [](Listener&) {});
  peers_.drop_if([](const Listener& listener) { return listener.is_gone; });
  return peers_.is_blind() ? looked : Result<void>();
}

std::uint32_t NotifierPort::listeners() noexcept {
  if (is_forked()) {
    fail_forked();
    return 0;
  }
  look();
  return peers_.present();
}

}  // namespace sluice
