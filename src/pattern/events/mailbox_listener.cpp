// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <new>
#include <sluice/pattern/events/mailbox_listener.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/seats.hpp>
#include <utility>

namespace sluice {

Result<std::unique_ptr<MailboxListener>> MailboxListener::create(const Directory& service,
                                                                 Board& board, std::uint64_t node,
                                                                 mode_t mode) {
  std::unique_ptr<MailboxListener> listener(new MailboxListener(service, board));
  if (auto done = listener->initialise(node, mode); !done) return done.failure();
  return listener;
}

Result<void> MailboxListener::initialise(std::uint64_t node, mode_t mode) {
  auto file = SharedFile::create(service_, mode, FileKind::listener, node, sizeof(ListenerFile), 0);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const FileHeader header = file_.header();  // the new object takes its place
  auto* words = new (file_.region().data()) ListenerFile{.header = header, .mailbox = {}};
  mailbox_ = &words->mailbox;
  const auto seat = take_seat(file_, service_, kListenerKind);
  if (!seat) return seat.failure();
  name_ = seat_name(kListenerKind, *seat);
  board_.announce_change(service_);
  refresh();
  if (failure_.code != Errc::ok) return failure_;
  return {};
}

MailboxListener::~MailboxListener() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

void MailboxListener::wait(std::chrono::nanoseconds timeout) {
  const auto slice = std::min(timeout, next_look_.left());
  if (doorbell().sleep_unless([this] { return has_any(); }, slice)) return;
  // Whoever was woken does not ask for the time first.
  if (!has_any()) look_in_time();
}

void MailboxListener::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board_.generation_now();
  next_look_ = Deadline(kLongestSleep);
  failure_ = {};
  const auto names = list(service_);
  if (!names) {
    failure_ = names.failure();
    return;
  }
  notifiers_ = 0;
  std::vector<std::uint64_t> mourned;
  for (const std::string& name : *names) {
    if (seat_in(name, kNotifierKind)) look_at(name, mourned);
  }
  mourned_ = std::move(mourned);
  seen_generation_ = generation;
}

void MailboxListener::look_at(const std::string& name, std::vector<std::uint64_t>& mourned) {
  const auto file = open_file(service_, name, false);
  if (!file) {
    if (is_own_failure(file.error())) failure_ = file.failure();
    return;
  }
  if (is_locked(*file)) {
    ++notifiers_;
  } else if (reap_port(service_, name)) {
    board_.announce_change(service_);
  } else {
    mourn(name, mourned);
  }
}

/// A dead notifier that was not removed: somebody else is about to, and tells everybody, unless it
/// takes another user to do it. Then each listener tells itself, once.
void MailboxListener::mourn(const std::string& name, std::vector<std::uint64_t>& mourned) {
  if (open_file(service_, name, true).error() != Errc::no_permission) return;
  const auto dead = SharedFile::open(service_, name, FileKind::notifier, sizeof(NotifierFile));
  if (!dead) return;
  const std::uint64_t who = dead->incarnation();
  mourned.push_back(who);
  if (std::find(mourned_.begin(), mourned_.end(), who) != mourned_.end()) return;
  if (const auto event = event_in(dead->region().at<NotifierFile>(0)->on_death)) {
    mailbox_->put(*event);
  }
}

}  // namespace sluice
