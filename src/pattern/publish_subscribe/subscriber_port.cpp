// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <sluice/core/format.hpp>
#include <sluice/pattern/publish_subscribe/subscriber_port.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/service/departure.hpp>

namespace sluice {
namespace {

/// Whether everything that a publisher's file says of itself lies inside it.
Result<void> check(const Peer& publisher, const PublisherShape& shape) {
  if (!std::has_single_bit(shape.capacity) || shape.capacity > kMaxRingCapacity) {
    return publisher.broken(format("has a ring of {} entries", shape.capacity));
  }
  const Region& region = publisher.file.region();
  if (shape.ring_offset % 8 != 0 || shape.help_offset % 8 != 0 ||
      !region.contains(shape.ring_offset, shape.capacity * sizeof(std::uint64_t)) ||
      !region.contains(shape.help_offset, kMaxSeats * sizeof(BroadcastHelp))) {
    return publisher.broken("has a ring outside the file");
  }
  return {};
}

}  // namespace

const PortKind kSubscriberKind{"subscriber", FileKind::subscriber};

SubscriberPort::SubscriberPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
                               const SubscriberOptions& options, bool keeps_current)
    : ReceivingPort(kSubscriberKind, std::move(service), options.max_borrowed),
      payload_(payload),
      options_(options),
      keeps_current_(keeps_current),
      peers_(this->service(), {kPublisherKind, sizeof(PublisherFile)}, &file_),
      claimed_of_(options.max_borrowed) {}

Result<SubscriberPort*> SubscriberPort::create(const Node& node, const ServiceDescription& service,
                                               const PayloadLayout& payload,
                                               const SubscriberOptions& options,
                                               bool keeps_current) {
  const auto checked =
      require({{"SubscriberOptions::depth", options.depth, 1, UINT32_MAX},
               {"SubscriberOptions::max_borrowed", options.max_borrowed, 1, kMaxHandles}});
  return open_port<SubscriberPort>(node, service, options.mode, checked, payload, options,
                                   keeps_current);
}

Result<void> SubscriberPort::open() {
  if (auto made = create_file(row_offset(1), row_offset(2ULL * kMaxSeats)); !made) return made;
  file_.words<SubscriberFile>().shape.write(
      {.max_borrowed = options_.max_borrowed,
       .may_lose = options_.may_lose ? 1U : 0U,
       .depth = options_.depth,
       .row_bytes = BroadcastRow::bytes(options_.max_borrowed)});
  count_rows();
  if (auto joined = file_.join(); !joined) return joined;
  look_at_publishers();
  wake();  // from now on publishers count it
  return pending_failure_;
}

/// Lossless publishers wait for it no more, even if it lives on for the samples that are held.
void SubscriberPort::before_close() noexcept {
  ReceivingPort::before_close();
  if (is_forked()) return;
  // relaxed: before a publisher's sleep it is ordered by the fence in `wake`.
  file_.words<SubscriberFile>().has_closed.store(1, std::memory_order_relaxed);
  wake();
}

/// The rows that the file has room for now exist.
void SubscriberPort::count_rows() noexcept {
  row_used_.resize((file_.region().mapped_bytes() - SubscriberFile::kRowsOffset) /
                   BroadcastRow::bytes(options_.max_borrowed));
  // release: pairs with the acquire in the publishers' search for their row.
  file_.words<SubscriberFile>().rows.store(row_used_.size(), std::memory_order_release);
}

void SubscriberPort::look_at_publishers() noexcept {
  bool has_new = false;
  const auto looked = peers_.look(
      [&](Publisher& publisher) {
        auto connected = connect(publisher);
        has_new |= connected.has_value();
        return connected;
      },
      [](Publisher&) { return Result<void>(); }, [this](Publisher&) { ++gone_; });
  pending_failure_ = looked ? Failure{} : looked.failure();
  if (has_new) {
    // Publishers must know the rows before the first claim in them.
    peers_.announce_newcomers();
    for (Publisher& publisher : peers_) {
      if (publisher.is_new) start(publisher);
    }
  }
  peers_.conclude_look();
  note_loss();
  if (gone_ != 0) drop_drained();
}

Result<void> SubscriberPort::connect(Publisher& publisher) {
  const auto& words = *publisher.file.region().at<PublisherFile>(0);
  publisher.shape = words.shape.read();
  if (auto checked = check(publisher, publisher.shape); !checked) return checked;
  publisher.incarnation = publisher.file.incarnation();
  // A lossless publisher does not go further than the depth, except with what it had loaned before.
  publisher.is_waiting = publisher.shape.delivery != 0 && !options_.may_lose;
  publisher.depth = publisher.is_waiting ? publisher.shape.capacity
                                         : std::min(options_.depth, publisher.shape.capacity);
  publisher.slots = PeerSlots(publisher.file, words.slots, words.words.slots, payload_);
  if (auto connected = publisher.slots.connect(); !connected) return connected;
  const auto index = free_row();
  if (!index) return index.failure();
  publisher.row = *index;
  row_used_[*index] = true;
  row(*index)->bind(publisher.incarnation, random_number(), options_.max_borrowed);
  return {};
}

/// The index of a row that holds no claims; the file grows where there is none.
Result<std::uint64_t> SubscriberPort::free_row() {
  const auto unused = std::find(row_used_.begin(), row_used_.end(), false);
  const auto rows = static_cast<std::uint64_t>(unused - row_used_.begin());
  if (unused != row_used_.end()) return rows;
  if (auto grown = file_.shared().grow_to(row_offset(rows + 1)); !grown) return grown.failure();
  count_rows();
  return rows;
}

/// After the row is bound, announced, and a fence has passed.
void SubscriberPort::start(Publisher& publisher) noexcept {
  publisher.is_new = false;
  const PublisherShape& shape = publisher.shape;
  const Region& region = publisher.file.region();
  const PublisherFile& words = *region.at<PublisherFile>(0);
  const BroadcastHead& head = words.words;
  // relaxed: counted before the names of those that were lost were removed. Who looks first was not
  // there for them.
  if (publisher.is_gone && file_.looked() != 0)
    lost_before_ += words.lost_before.load(std::memory_order_relaxed);
  // acquire: pairs with the release in `BroadcastWriter::publish`.
  const std::uint64_t published = head.head.load(std::memory_order_acquire);
  const std::uint64_t history =
      keeps_current_ ? 1
                     : std::min({options_.history, shape.history, options_.depth, shape.capacity});
  // A publisher that came after this subscriber is read from its first sample on.
  const std::uint64_t cursor = file_.looked() != 0 ? 0 : published - std::min(published, history);
  publisher.reader =
      BroadcastReader({.head = &head,
                       .ring = region.at<const std::atomic<std::uint64_t>>(shape.ring_offset),
                       .help = region.at<const BroadcastHelp>(shape.help_offset) + file_.seat(),
                       .row = row(publisher.row),
                       .capacity = shape.capacity},
                      cursor, publisher.depth);
}

/// Takes the newest sample of each publisher that has a new one, keeps the one that was published
/// last, and passes over the others; and over all, where something later was taken before.
Borrowed SubscriberPort::take_last_published(Cell cell, Want want) noexcept {
  // One from the future, of a broken publisher, is not to hide all others.
  const std::uint64_t now = steady_now_ns();
  const auto moment_of = [now](const Publisher& publisher, const Borrowed& sample) {
    // relaxed: this port's own word.
    const Slot slot = static_cast<std::uint32_t>(sample.claim->load(std::memory_order_relaxed) - 1);
    const auto* header = reinterpret_cast<const SlotHeader*>(publisher.slots.header(slot));
    // relaxed, both: ordered by the acquire of the sample's entry.
    return Moment{
        .stamp = std::min(read_once(header->stamp), now),
        .announced =
            word_of(publisher.file, &FileHeader::announced).load(std::memory_order_relaxed)};
  };
  // release: pairs with the acquire in `BroadcastWriter::reclaim`.
  const auto pass_over = [](const Borrowed& sample) {
    sample.claim->store(0, std::memory_order_release);
  };
  Borrowed last;
  Publisher* last_of = nullptr;
  Moment last_moment = last_;
  for (Publisher& publisher : peers_) {
    if (publisher.is_drained || !publisher.reader.has_new()) continue;
    const Borrowed sample = take_from(publisher, cell, Want::newest);
    if (sample.payload == nullptr) continue;
    const Moment moment = moment_of(publisher, sample);
    if (moment.is_before(last_moment)) {
      pass_over(sample);
      continue;
    }
    if (last_of != nullptr) pass_over(last);
    last = sample;
    last_of = &publisher;
    last_moment = moment;
  }
  if (last_of == nullptr) {
    if (gone_ != 0) drop_drained();
    if (pending_failure_.code != Errc::ok || want != Want::current || current_ == nullptr)
      return {};
    last_of = current_;
    last = take_from(*current_, cell, Want::current);
    if (last.payload == nullptr) return {};
    last_moment = moment_of(*last_of, last);
  }
  last_ = last_moment;
  claimed_of_[cell] = last_of;
  if (keeps_current_) current_ = last_of;
  return last;
}

/// A broken publisher is not read any more, whatever it still publishes.
Borrowed SubscriberPort::give_up(Publisher& publisher, Claim claim) noexcept {
  pending_failure_ = publisher.slots.failure();
  // release: pairs with the acquire in `BroadcastWriter::reclaim`.
  publisher.reader.claim_word(claim).store(0, std::memory_order_release);
  if (current_ == &publisher) {
    current_ = nullptr;
    last_ = {};
  }
  publisher.is_drained = true;
  return {};
}

/// Forgets the publishers that are gone, once there is nothing more to read and nothing is held.
void SubscriberPort::drop_drained() noexcept {
  peers_.drop_if([this](Publisher& publisher) {
    if (!publisher.is_gone || &publisher == current_) return false;
    publisher.is_drained |= !publisher.reader.has_new();
    const auto is_its = [&](Cell cell) { return claimed_of_[cell] == &publisher; };
    if (!publisher.is_drained || cells_.held(is_its) != 0) return false;
    lost_before_ += publisher.reader.lost();
    // relaxed: the publisher that would read it is gone.
    row(publisher.row)->publisher.store(0, std::memory_order_relaxed);
    row_used_[publisher.row] = false;
    --gone_;
    return true;
  });
}

bool SubscriberPort::has_samples() const noexcept {
  for (const Publisher& publisher : peers_) {
    if (!publisher.is_drained && publisher.reader.has_new()) return true;
  }
  return false;
}

Borrowed SubscriberPort::wait(Want want, std::chrono::nanoseconds timeout) noexcept {
  const Borrowed borrowed = take_or_sleep(
      timeout,
      [&] { return want == Want::oldest ? receive<Want::oldest>() : receive<Want::newest>(); },
      [this](std::chrono::nanoseconds left) {
        if (sleep_unless([this] { return peers_.has_news() || has_samples(); }, left)) look();
      });
  if (borrowed.error == Errc::timed_out) {
    const std::uint32_t publishers = peers_.present();
    fail_timed_out(
        format("no sample for {} ms; {} publishers are there", to_ms(timeout), publishers),
        publishers, timeout);
  }
  return borrowed;
}

std::uint64_t SubscriberPort::lost() const noexcept {
  std::uint64_t lost = lost_before_;
  for (const Publisher& publisher : peers_) lost += publisher.reader.lost();
  return lost;
}

std::uint32_t SubscriberPort::publishers() noexcept {
  if (is_forked()) return 0;
  look_at_publishers();
  return peers_.count_if(
      [](const Publisher& publisher) { return !publisher.is_gone && !publisher.is_drained; });
}

bool SubscriberPort::is_ready() noexcept {
  if (is_forked()) return false;
  if (peers_.has_news()) look_at_publishers();
  return has_samples() || pending_failure_.code != Errc::ok;
}

}  // namespace sluice
