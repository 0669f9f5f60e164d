// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/pattern/events/listener_port.hpp>
#include <sluice/service/reaping.hpp>
#include <utility>

namespace sluice {

const PortKind kListenerKind{"listener", FileKind::listener};

Result<ListenerPort*> ListenerPort::create(const Node& node, std::string_view service,
                                           const ListenerOptions& options) {
  return open_port<ListenerPort>(
      node, {.pattern = Pattern::event, .name = std::string(service), .schema = {}}, options.mode,
      {});
}

Result<void> ListenerPort::open() {
  // Shared: notifiers write the mailbox.
  if (auto made = create_shared_file(sizeof(ListenerFile)); !made) return made;
  if (auto joined = file_.join(); !joined) return joined;
  return look_at_notifiers();
}

EventSet ListenerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  if (is_forked()) return receive();
  const Deadline deadline(timeout);
  look_in_time();  // however busy the mailbox is
  for (;;) {
    const EventSet events = receive();
    if (events) return events;
    const auto left = deadline.left();
    if (takes_interruption() || left.count() == 0) return {};
    const auto has_any = [this] { return is_interrupted() || mailbox().has_any(); };
    if (doorbell().sleep_unless(has_any, std::min(left, next_look_.left()))) continue;
    // Whoever was woken does not ask for the time first.
    if (!has_any()) look_in_time();
  }
}

bool ListenerPort::is_ready() noexcept {
  if (is_forked()) return false;
  follow_changes();
  return mailbox().has_any();
}

/// Which notifiers are there, and which died. System calls. Fails where it saw less than there is.
Result<void> ListenerPort::look_at_notifiers() {
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board().generation_now();
  next_look_ = Deadline(kLongestSleep);
  const auto names = list(directory());
  if (!names) return names.failure();
  notifiers_ = 0;
  std::vector<std::uint64_t> reported;
  Result<void> looked;
  for (const std::string& name : *names) {
    if (!seat_in(name, kNotifierKind)) continue;
    const auto living = open_living(directory(), board(), name);
    if (living) ++notifiers_;
    if (living.error() == Errc::not_found) report_death(name, reported);
    if (is_own_failure(living.error())) looked = living.failure();
  }
  reported_dead_ = std::move(reported);
  seen_generation_ = generation;
  return looked;
}

void ListenerPort::look() noexcept {
  if (is_forked()) return;
  note(look_at_notifiers().failure());
  note_loss();
}

/// A dead notifier that was not removed: somebody else is about to, and tells everybody, unless it
/// takes another user to do it. Then each listener tells itself, once.
void ListenerPort::report_death(const std::string& name, std::vector<std::uint64_t>& reported) {
  if (open_file(directory(), name, true).error() != Errc::no_permission) return;
  const auto dead = SharedFile::open(directory(), name, FileKind::notifier, sizeof(NotifierFile));
  if (!dead) return;
  const std::uint64_t who = dead->incarnation();
  reported.push_back(who);
  if (std::find(reported_dead_.begin(), reported_dead_.end(), who) != reported_dead_.end()) return;
  if (const auto event = event_of_death(*dead)) mailbox().put(*event);
}

std::uint32_t ListenerPort::notifiers() noexcept {
  if (is_forked()) {
    fail_forked();
    return 0;
  }
  look();
  return notifiers_;
}

}  // namespace sluice
