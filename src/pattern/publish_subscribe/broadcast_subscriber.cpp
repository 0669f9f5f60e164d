// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <sluice/pattern/publish_subscribe/broadcast_subscriber.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/service/seats.hpp>

namespace sluice {
namespace {

constexpr const char* kKind = "subscriber";
constexpr const char* kPeerKind = "publisher";

Failure broken(const SharedFile& file, const std::string& what) {
  return {Errc::corrupted,
          fmt::format("{} {}; its publisher is broken, restart it", file.path(), what)};
}

/// Whether everything that a publisher's file says of itself lies inside it.
Result<void> check(const SharedFile& file) {
  const auto& fixed = *file.region().at<PublisherFile>(0);
  const Region& region = file.region();
  if (!std::has_single_bit(fixed.capacity) || fixed.capacity > kMaxRingCapacity) {
    return broken(file, fmt::format("has a ring of {} entries", fixed.capacity));
  }
  if (fixed.ring_offset % 8 != 0 || fixed.help_offset % 8 != 0 ||
      !region.contains(fixed.ring_offset, fixed.capacity * sizeof(std::uint64_t)) ||
      !region.contains(fixed.help_offset, kMaxSeats * sizeof(BroadcastHelp))) {
    return broken(file, "has a ring outside the file");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<BroadcastSubscriber>> BroadcastSubscriber::create(
    const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config,
    const HandleCells& held) {
  std::unique_ptr<BroadcastSubscriber> subscriber(
      new BroadcastSubscriber(service, board, config, held));
  if (auto done = subscriber->initialise(node, mode); !done) return done.failure();
  return subscriber;
}

Result<void> BroadcastSubscriber::initialise(std::uint64_t node, mode_t mode) {
  const std::uint64_t row_bytes = BroadcastRow::bytes(config_.max_borrowed);
  auto file = SharedFile::create(service_, mode, FileKind::subscriber, node,
                                 SubscriberFile::kRowsOffset + row_bytes,
                                 SubscriberFile::kRowsOffset + 2ULL * kMaxSeats * row_bytes);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const FileHeader header = file_.header();  // the new object takes its place
  words_ = new (file_.region().data()) SubscriberFile{.header = header,
                                                      .max_borrowed = config_.max_borrowed,
                                                      .unused = 0,
                                                      .depth = config_.depth,
                                                      .row_bytes = row_bytes,
                                                      .unused_too = {},
                                                      .rows = {},
                                                      .looked = {}};
  // relaxed: linking the file hands it on.
  words_->rows.store((file_.region().mapped_bytes() - SubscriberFile::kRowsOffset) / row_bytes,
                     std::memory_order_relaxed);
  const auto seat = take_seat(file_, service_, kKind);
  if (!seat) return seat.failure();
  seat_ = *seat;
  name_ = seat_name(kKind, seat_);
  board_.announce_change(service_);
  refresh();
  if (failure_.code != Errc::ok) return failure_;
  return {};
}

BroadcastSubscriber::~BroadcastSubscriber() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

BroadcastRow* BroadcastSubscriber::row(std::uint64_t index) const noexcept {
  return file_.region().at<BroadcastRow>(SubscriberFile::kRowsOffset + index * words_->row_bytes);
}

void BroadcastSubscriber::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  std::uint64_t generation = board_.generation_now();
  const auto names = list(service_);
  failure_ = {};
  if (!names) {
    failure_ = names.failure();
    return;
  }
  for (auto& connection : connections_) connection->seen_ = false;
  starting_.clear();
  for (const std::string& name : *names) {
    if (const auto seat = seat_in(name, kPeerKind)) look_at(name, *seat);
  }
  for (auto& connection : connections_) {
    if (connection->seen_ || connection->gone_) continue;
    connection->gone_ = true;
    ++gone_;
  }
  if (!starting_.empty()) {
    // Publishers must know the rows before the first claim in them.
    if (board_.announce_change(service_) == generation) ++generation;
    for (Connection* connection : starting_) start(*connection);
  }
  looked_ = true;
  // release: pairs with the acquire in `BroadcastPublisher::subscribers`; the cursors come first.
  words_->looked.store(1, std::memory_order_release);
  // For want of something of this process's own, it looks again at the next call.
  if (!is_own_failure(failure_.code)) seen_generation_ = generation;
  if (gone_ != 0) drop_drained();
}

void BroadcastSubscriber::look_at(const std::string& name, std::uint32_t seat) {
  auto living = open_living(service_, board_, name);
  if (living.error() == Errc::not_found) return;
  if (!living) failure_ = living.failure();
  bool is_known = !living;  // one that cannot be looked at now is not gone for that
  for (auto& connection : connections_) {
    if (connection->seat_ != seat || (living && connection->inode_ != living->inode)) continue;
    connection->seen_ = true;
    is_known = true;
  }
  if (is_known) return;
  auto opened =
      SharedFile::adopt(std::move(living->file), service_.path_of(name), FileKind::publisher,
                        sizeof(PublisherFile), Region::Access::read_only);
  if (!opened) {
    failure_ = opened.failure();
    return;
  }
  auto connection = std::make_unique<Connection>();
  connection->file_ = std::move(*opened);
  connection->inode_ = living->inode;
  connection->seat_ = seat;
  connection->seen_ = true;
  if (auto connected = connect(*connection); !connected) {
    failure_ = connected.failure();
    return;
  }
  starting_.push_back(connection.get());
  connections_.push_back(std::move(connection));
}

Result<void> BroadcastSubscriber::connect(Connection& connection) {
  if (auto checked = check(connection.file_); !checked) return checked;
  connection.words_ = connection.file_.region().at<PublisherFile>(0);
  connection.incarnation_ = connection.file_.incarnation();
  connection.lossless_ = connection.words_->delivery != 0;
  // A lossless publisher does not go further than the depth, except with what it had loaned before.
  connection.depth_ = connection.lossless_ ? connection.words_->capacity
                                           : std::min(config_.depth, connection.words_->capacity);
  connection.slots_ = PeerSlots(connection.file_, connection.words_->slots,
                                connection.words_->words.slots, config_.payload);
  if (auto connected = connection.slots_.connect(); !connected) return connected;
  const auto index = free_row();
  if (!index) return index.failure();
  connection.row_ = *index;
  row_used_[*index] = true;
  row(*index)->bind(connection.incarnation_, random_number(), config_.max_borrowed);
  return {};
}

/// The index of a row that holds no claims; the file grows where there is none.
Result<std::uint64_t> BroadcastSubscriber::free_row() {
  // relaxed, here and below: this process's own word.
  const std::uint64_t rows = words_->rows.load(std::memory_order_relaxed);
  row_used_.resize(rows, false);
  const auto unused = std::find(row_used_.begin(), row_used_.end(), false);
  if (unused != row_used_.end()) return static_cast<std::uint64_t>(unused - row_used_.begin());
  const std::uint64_t needed = SubscriberFile::kRowsOffset + (rows + 1) * words_->row_bytes;
  if (auto grown = file_.grow_to(needed); !grown) return grown.failure();
  const std::uint64_t now =
      (file_.region().mapped_bytes() - SubscriberFile::kRowsOffset) / words_->row_bytes;
  // release: pairs with the acquire in the publishers' search for their row.
  words_->rows.store(now, std::memory_order_release);
  row_used_.resize(now, false);
  return rows;
}

/// After the row is bound, announced, and a fence has passed.
void BroadcastSubscriber::start(Connection& connection) noexcept {
  const PublisherFile& file = *connection.words_;
  const std::uint32_t capacity = file.capacity;
  // acquire: pairs with the release in `BroadcastWriter::publish`.
  const std::uint64_t head = file.words.head.load(std::memory_order_acquire);
  // A publisher that came after this subscriber is read from its first sample on.
  const std::uint64_t history =
      config_.keeps_current
          ? 1
          : std::min({config_.history, file.history, config_.depth, file.capacity});
  const std::uint64_t cursor = looked_ ? 0 : head - std::min(head, history);
  const Region& region = connection.file_.region();
  connection.reader_ =
      BroadcastReader({.head = &file.words,
                       .ring = region.at<const std::atomic<std::uint64_t>>(file.ring_offset),
                       .help = region.at<const BroadcastHelp>(file.help_offset) + seat_,
                       .row = row(connection.row_),
                       .capacity = capacity},
                      cursor, connection.depth_);
}

bool BroadcastSubscriber::is_held(const Connection& connection) const noexcept {
  for (std::uint32_t claim = 0; claim < claimed_by_.size(); ++claim) {
    if (claimed_by_[claim] == &connection && held_.is_held(claim)) return true;
  }
  return false;
}

/// A connection that is not read any more; it ends when nothing of it is held.
void BroadcastSubscriber::retire(std::size_t index) noexcept {
  lost_before_ += connections_[index]->reader_.lost();
  if (connections_[index]->gone_) --gone_;
  drained_.push_back(std::move(connections_[index]));
  connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(index));
}

/// A broken publisher is not read any more, whatever it still publishes.
BroadcastSubscriber::Received BroadcastSubscriber::give_up(const Connection& connection,
                                                           std::uint32_t claim) noexcept {
  failure_ = connection.slots_.failure();
  connection.claim_word(claim).store(0, std::memory_order_release);  // as in `release`
  if (current_ == &connection) current_ = nullptr;
  retire(static_cast<std::size_t>(
      std::find_if(connections_.begin(), connections_.end(),
                   [&](const auto& one) { return one.get() == &connection; }) -
      connections_.begin()));
  return {};
}

/// Retires the connections to publishers that are gone, once there is nothing more to read, and
/// ends those of which nothing is held.
void BroadcastSubscriber::drop_drained() noexcept {
  for (std::size_t i = connections_.size(); i-- > 0;) {
    const Connection& connection = *connections_[i];
    if (&connection == current_) continue;
    if (connection.gone_ && !connection.reader_.has_new()) retire(i);
  }
  std::erase_if(drained_, [this](const std::unique_ptr<Connection>& connection) {
    if (is_held(*connection)) return false;
    // relaxed: the publisher that would read it is gone.
    row(connection->row_)->publisher.store(0, std::memory_order_relaxed);
    row_used_[connection->row_] = false;
    return true;
  });
}

/// Lossless delivery: room was made.
void BroadcastSubscriber::wake_publisher() noexcept {
  // seq_cst: pairs with the fence of a publisher that arms the board and then looks at the cursors.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  board_.doorbell.wake(service_);
}

bool BroadcastSubscriber::has_samples() const noexcept {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const auto& connection) { return connection->reader_.has_new(); });
}

bool BroadcastSubscriber::has_new() const noexcept {
  return board_.generation_now() != seen_generation_ || has_samples();
}

void BroadcastSubscriber::wait(std::chrono::nanoseconds timeout) {
  const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  if (board_.doorbell.sleep_unless([this] { return has_new(); }, timeout)) return;
  if (slice.left().count() == 0) refresh();  // somebody may have died without a word
}

std::uint64_t BroadcastSubscriber::lost() const noexcept {
  std::uint64_t lost = lost_before_;
  for (const auto& connection : connections_) lost += connection->reader_.lost();
  return lost;
}

std::uint32_t BroadcastSubscriber::publishers() const noexcept {
  return static_cast<std::uint32_t>(connections_.size()) - gone_;
}

}  // namespace sluice
