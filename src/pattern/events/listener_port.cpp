// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/pattern/events/listener_port.hpp>
#include <sluice/service/reaping.hpp>
#include <utility>

namespace sluice {

const PortKind kListenerKind{"listener", FileKind::listener};

Result<ListenerPort*> ListenerPort::create(const Node& node, std::string_view service) {
  return open_port<ListenerPort>(
      node, {.pattern = Pattern::event, .name = std::string(service), .schema = {}}, {});
}

Result<void> ListenerPort::open() {
  // Shared: notifiers write the mailbox.
  if (auto made = create_shared_file(sizeof(ListenerFile)); !made) return made;
  if (auto joined = file_.join(); !joined) return joined;
  look();
  return look_failure_;
}

EventSet ListenerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  if (is_forked()) return receive();
  const Deadline deadline(timeout);
  look_in_time();  // however busy the mailbox is
  for (;;) {
    const EventSet events = receive();
    if (events) return events;
    const auto left = deadline.left();
    if (left.count() == 0) return {};
    const auto has_any = [this] { return mailbox().has_any(); };
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

/// Which notifiers are there, and which died. System calls.
void ListenerPort::look() noexcept {
  if (is_forked()) return;
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board().generation_now();
  next_look_ = Deadline(kLongestSleep);
  look_failure_ = {};
  const auto names = list(directory());
  if (!names) {
    look_failure_ = names.failure();
    return;
  }
  notifiers_ = 0;
  std::vector<std::uint64_t> reported;
  for (const std::string& name : *names) {
    if (seat_in(name, kNotifierKind)) look_at(name, reported);
  }
  reported_dead_ = std::move(reported);
  seen_generation_ = generation;
}

void ListenerPort::look_at(const std::string& name, std::vector<std::uint64_t>& reported) {
  const auto living = open_living(directory(), board(), name);
  if (living) {
    ++notifiers_;
  } else if (living.error() == Errc::not_found) {
    report_death(name, reported);
  } else if (is_own_failure(living.error())) {
    look_failure_ = living.failure();
  }
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
  has_no_descriptor_ = false;
  look();
  return notifiers_;
}

const Failure& ListenerPort::last_failure() noexcept {
  if (!is_forked() && !has_no_descriptor_) note(look_failure_);
  return Port::last_failure();
}

}  // namespace sluice
