// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <new>
#include <sluice/pattern/events/mailbox_notifier.hpp>
#include <sluice/service/seats.hpp>
#include <utility>

namespace sluice {
namespace {

std::uint32_t field_of(std::optional<std::uint8_t> event) noexcept {
  return event ? *event + 1U : 0U;
}

}  // namespace

Result<std::unique_ptr<MailboxNotifier>> MailboxNotifier::create(const Directory& service,
                                                                 Board& board, std::uint64_t node,
                                                                 mode_t mode,
                                                                 const Config& config) {
  std::unique_ptr<MailboxNotifier> notifier(new MailboxNotifier(service, board, config));
  if (auto done = notifier->initialise(node, mode); !done) return done.failure();
  return notifier;
}

Result<void> MailboxNotifier::initialise(std::uint64_t node, mode_t mode) {
  auto file = SharedFile::create(service_, mode, FileKind::notifier, node, sizeof(NotifierFile), 0);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const FileHeader header = file_.header();  // the new object takes its place
  new (file_.region().data()) NotifierFile{.header = header,
                                           .on_join = field_of(config_.on_join),
                                           .on_leave = field_of(config_.on_leave),
                                           .on_death = field_of(config_.on_death),
                                           .unused = {}};
  const auto seat = take_seat(file_, service_, kNotifierKind);
  if (!seat) return seat.failure();
  name_ = seat_name(kNotifierKind, *seat);
  board_.announce_change(service_);
  refresh();
  if (failure_.code != Errc::ok) {
    config_.on_leave.reset();  // who never joined does not leave
    return failure_;
  }
  if (config_.on_join) notify(*config_.on_join);
  return {};
}

MailboxNotifier::~MailboxNotifier() {
  if (name_.empty()) return;
  // Before the file goes: killed in between, it is found dead, and that is told.
  if (config_.on_leave) notify(*config_.on_leave);
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

void MailboxNotifier::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board_.generation_now();
  const auto names = list(service_);
  failure_ = {};
  if (!names) {
    failure_ = names.failure();
    return;
  }
  for (Peer& peer : peers_) peer.seen = false;
  for (const std::string& name : *names) {
    const auto seat = seat_in(name, kListenerKind);
    if (!seat) continue;
    if (auto looked = look_at(name, *seat); !looked) failure_ = looked.failure();
  }
  if (failure_.code != Errc::ok) return;  // looks again at the next event
  for (std::size_t i = peers_.size(); i-- > 0;) {
    if (peers_[i].seen) continue;
    peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(i));
    mailboxes_.erase(mailboxes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  seen_generation_ = generation;
}

Result<void> MailboxNotifier::look_at(const std::string& name, std::uint32_t seat) {
  auto living = open_living(service_, board_, name, true);
  if (!living) return if_own(living.failure());
  for (Peer& peer : peers_) {
    if (peer.seat != seat || peer.inode != living->inode) continue;
    peer.seen = true;
    return {};
  }
  auto opened =
      SharedFile::adopt(std::move(living->file), service_.path_of(name), FileKind::listener,
                        sizeof(ListenerFile), Region::Access::read_write);
  if (!opened) return if_own(opened.failure());
  opened->close_descriptor();
  mailboxes_.push_back(&opened->region().at<ListenerFile>(0)->mailbox);
  peers_.push_back(
      {.file = std::move(*opened), .inode = living->inode, .seat = seat, .seen = true});
  return {};
}

}  // namespace sluice
