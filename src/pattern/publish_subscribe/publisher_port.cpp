// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <sluice/core/format.hpp>
#include <sluice/pattern/publish_subscribe/publisher_port.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>

namespace sluice {
namespace {

/// Slots beyond those that can be in use at once: the more, the rarer `reclaim`, whose cost grows
/// with the number of claims. Where payloads are large, memory counts and the scan does not.
constexpr std::uint64_t kSlackPerClaim = 8;
constexpr std::uint64_t kLeastSlack = 64;
constexpr std::uint64_t kSlackBudgetBytes = std::uint64_t{256} << 10;

/// Address space is reserved for so many subscribers with `kUsualClaims` each.
constexpr std::uint64_t kReservedSubscribers = 64;
constexpr std::uint64_t kUsualClaims = 5;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

const char* to_string(std::uint32_t delivery) {
  return delivery == 0 ? "Delivery::latest" : "Delivery::lossless";
}

constexpr std::uint64_t whole_lines(std::uint64_t bytes) noexcept {
  return (bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
}

}  // namespace

PublisherPort::PublisherPort(std::shared_ptr<Service> service, const PayloadLayout& payload,
                             const PublisherOptions& options, const WriterRole& role)
    : Port(kPublisherKind, std::move(service), options.max_loans),
      payload_(payload),
      options_(options),
      role_(role),
      slots_(options.max_loans, kNoSlot),
      peers_(this->service(), {kSubscriberKind, sizeof(SubscriberFile)}) {}

Result<PublisherPort*> PublisherPort::create(const Node& node, const ServiceDescription& service,
                                             const PayloadLayout& payload,
                                             const PublisherOptions& options,
                                             const WriterRole& role) {
  const auto checked =
      require({{"PublisherOptions::history", options.history, 0, kMaxDepth},
               {"PublisherOptions::depth", options.depth, 1, kMaxDepth},
               {"PublisherOptions::max_loans", options.max_loans, 1, kMaxHandles},
               {"PublisherOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes},
               {"PublisherOptions::delivery", static_cast<std::uint32_t>(options.delivery), 0, 1}});
  return open_port<PublisherPort>(node, service, options.mode, checked, payload, options, role);
}

Result<void> PublisherPort::open() {
  const auto wanted = static_cast<std::uint32_t>(options_.delivery);
  const std::uint32_t decided = board().decide_delivery(wanted);
  if (decided != wanted) {
    return Failure{Errc::delivery_mismatch,
                   format("its first publisher chose {}, this one wants {}", to_string(decided),
                          to_string(wanted))};
  }
  const std::uint32_t capacity = ring_capacity();
  const std::uint64_t ring_offset = whole_lines(sizeof(PublisherFile));
  const std::uint64_t help_offset = ring_offset + whole_lines(capacity * sizeof(std::uint64_t));
  const std::uint64_t heap_offset = help_offset + kMaxSeats * sizeof(BroadcastHelp);
  const std::uint64_t slots = slots_needed() + kReservedSubscribers * kUsualClaims;
  const std::uint64_t reserved =
      std::max(kLeastReservedBytes, heap_offset + SlotPool::reserved_bytes(payload_, slots));
  if (auto made = create_file(heap_offset + 1024, reserved); !made) return made;
  auto& words = file_.words<PublisherFile>();
  words.shape.write({.capacity = capacity,
                     .delivery = wanted,
                     .history = options_.history,
                     .keeps_last = role_.is_writer ? 1U : 0U,
                     .ring_offset = ring_offset,
                     .help_offset = help_offset});
  auto pool = SlotPool::create(file_.shared(), words.slots, heap_offset, payload_);
  if (!pool) return pool.failure();
  pool_ = std::move(*pool);
  pool_.when_short([this] { return make_room(); });
  writer_ = BroadcastWriter({.head = &words.words,
                             .ring = file_.region().at<std::atomic<std::uint64_t>>(ring_offset),
                             .help = file_.region().at<BroadcastHelp>(help_offset),
                             .capacity = capacity});
  if (auto grown = grow(); !grown) return grown;
  if (role_.is_exclusive) {
    if (auto excluded = exclude_others(); !excluded) return excluded;
  }
  if (auto joined = file_.join(); !joined) return joined;
  if (!role_.is_exclusive) {
    if (auto asked = ask_for_an_exclusive_one(); !asked) return asked;
  }
  meet_publishers();
  if (role_.is_writer) begin_stamping();
  look();
  return pending_failure_;
}

std::uint32_t PublisherPort::depth() const noexcept {
  return std::bit_ceil(std::max({options_.depth, options_.history, 1U}));
}

/// Lossless: what was loaned before a subscriber joined is published without asking for room.
std::uint32_t PublisherPort::ring_capacity() const noexcept {
  return is_lossless() ? std::bit_ceil(depth() + options_.max_loans) : depth();
}

std::uint32_t PublisherPort::slots_needed() const noexcept {
  std::uint64_t claims = 0;
  for (const Subscriber& subscriber : peers_) claims += subscriber.reader.claims + 1;
  const std::uint64_t most = std::max(kLeastSlack, kSlackPerClaim * claims);
  // What slices and containers take is not known, and is to come back soon.
  const std::uint64_t slack =
      payload_.shape != PayloadShape::plain
          ? 1
          : std::clamp<std::uint64_t>(kSlackBudgetBytes / SlotPool::slot_bytes(payload_), 1, most);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(ring_capacity() + options_.max_loans + claims + slack, kMaxSlots));
}

Result<void> PublisherPort::grow() {
  auto grown = pool_.grow_to(slots_needed(), "slots");
  if (pool_.size() > writer_.slots()) writer_.add_slots(pool_.size() - writer_.slots());
  if (!grown) pending_failure_ = grown.failure();
  return grown;
}

/// What free and retired slots and dropped loans hold is given up. Returns whether that was
/// anything.
bool PublisherPort::make_room() noexcept {
  for (std::uint32_t i = 0; i < cells_.count(); ++i) {
    const Cell cell(i);
    if (slots_[cell] != kNoSlot && !cells_.is_held(cell)) give_back(cell);  // a dropped loan's
  }
  reclaim();
  return pool_.release_blocks(writer_.free_list());
}

void PublisherPort::look() noexcept {
  if (!look_at_subscribers()) return;
  // relaxed: ordered by the acquire of the generation at which the look began.
  if (board().several.load(std::memory_order_relaxed) != 0) begin_stamping();
  pending_failure_ = {};
  (void)grow();  // where it fails, the next loan that finds no free slot says so
}

/// False where a subscriber could not be looked at for want of descriptors or address space. It may
/// hold claims: until it can be looked at, no slot is reused.
bool PublisherPort::look_at_subscribers() noexcept {
  const auto looked = peers_.look([this](Subscriber& subscriber) { return connect(subscriber); },
                                  [this](Subscriber& subscriber) {
                                    auto grown = subscriber.file.follow_growth();
                                    if (grown) find_row(subscriber);
                                    return grown;
                                  },
                                  [](Subscriber&) {});
  note_loss();
  if (peers_.is_blind()) {
    blind_since_ = std::min(blind_since_, writer_.published());
    pending_failure_ = looked.failure();
    return false;
  }
  blind_since_ = UINT64_MAX;
  peers_.drop_if([](const Subscriber& subscriber) { return subscriber.is_gone; });
  if (is_lossless()) lap_limit_ = 0;  // to be worked out again
  next_look_ = Deadline(kLongestSleep / 2);
  return true;
}

/// Perhaps, where it cannot be seen.
bool PublisherPort::has_living_other() const {
  const auto names = list(directory());
  return !names || std::any_of(names->begin(), names->end(), [this](const std::string& name) {
    const auto seat = seat_in(name, kPublisherKind);
    if (!seat || (file_.has_joined() && *seat == file_.seat())) return false;
    const auto file = open_file(directory(), name, false);
    return file ? is_locked(*file) : file.error() != Errc::not_found;
  });
}

// An exclusive writer locks the board, then looks for others; any other is linked, then asks for
// the lock. Whichever comes second sees the first. The kernel drops both locks with their owners.

Result<void> PublisherPort::exclude_others() {
  auto board_file = open_file(directory(), kBoardFile, true);
  if (!board_file) return board_file.failure();
  const auto locked = try_lock(*board_file, LockKind::exclusive);
  if (!locked) return locked.failure();
  exclusive_ = std::move(*board_file);
  if (*locked && !has_living_other()) return {};
  return Failure{Errc::already_exists,
                 format("{} is there, and this one is to be the only one; end the other, or leave "
                        "out WriterOptions::exclusive",
                        *locked ? "another writer or publisher" : "another exclusive writer")};
}

Result<void> PublisherPort::ask_for_an_exclusive_one() const {
  const auto board_file = open_file(directory(), kBoardFile, true);
  if (!board_file) return board_file.failure();
  if (!is_locked(*board_file)) return {};
  return Failure{Errc::already_exists,
                 "a writer with WriterOptions::exclusive is there; end it first"};
}

/// After it has joined. Once two publishers are there at the same time, all of the service stamp
/// for ever: what is not stamped is older, unless its publisher came when the others were gone.
void PublisherPort::meet_publishers() noexcept {
  if (!has_living_other()) return;
  // relaxed: the announcement that follows hands it on, to every look.
  if (board().several.exchange(1, std::memory_order_relaxed) == 0) {
    board().announce_change(directory());
  }
}

void PublisherPort::prepare(Slot slot) noexcept {
  if (is_forked()) abort_with("publish of a loan in a forked child; make a publisher of its own");
  if (peers_.has_news()) look();
  if (!is_stamping()) return;
  auto& header = *reinterpret_cast<SlotHeader*>(pool_.header(slot));
  const std::uint64_t now = steady_now_ns();
  // relaxed, both: the release of the entry hands them on, as it does the payload. Killed before
  // that: the value before is taken for one that was written now.
  std::atomic_ref(header.stamp).store(now, std::memory_order_relaxed);
  file_.words<PublisherFile>().newest_stamp.store(now, std::memory_order_relaxed);
}

Result<void> PublisherPort::connect(Subscriber& subscriber) {
  const SubscriberShape shape = subscriber.file.region().at<SubscriberFile>(0)->shape.read();
  const std::uint32_t claims = shape.max_borrowed;
  if (claims == 0 || claims > kMaxHandles || shape.row_bytes != BroadcastRow::bytes(claims)) {
    return subscriber.broken(
        format("has rows of {} bytes for {} samples", shape.row_bytes, claims));
  }
  // While its row is unset it may read from the last head that it can have missed, less the
  // history: that before the last sample, since each is published after a look for news.
  const std::uint64_t before = std::min(writer_.published(), blind_since_);
  const std::uint64_t assumed = before - std::min(before, options_.history + std::uint64_t{1});
  subscriber.reader = {.row = nullptr,
                       .claims = claims,
                       .seat = subscriber.seat,
                       .depth = std::clamp<std::uint64_t>(shape.depth, 1, depth()),
                       .assumed_cursor = assumed,
                       .helped = 0,
                       .pinned = kNoSlot,
                       .may_lose = shape.may_lose != 0};
  find_row(subscriber);
  if (subscriber.reader.row != nullptr || !file_.has_joined() || file_.has_its_name()) return {};
  return Failure{Errc::not_found, "it does not find this publisher, whose file was removed"};
}

/// A subscriber's row for this publisher, if it has bound one by now.
void PublisherPort::find_row(Subscriber& subscriber) noexcept {
  const Region& region = subscriber.file.region();
  BroadcastWriter::Reader& reader = subscriber.reader;
  const std::uint64_t row_bytes = BroadcastRow::bytes(reader.claims);
  // acquire: pairs with the release of `rows` when the subscriber's file grew.
  const std::uint64_t rows =
      std::min(region.at<SubscriberFile>(0)->rows.load(std::memory_order_acquire),
               (region.mapped_bytes() - SubscriberFile::kRowsOffset) / row_bytes);
  reader.row = nullptr;
  for (std::uint64_t i = 0; i < rows; ++i) {
    const auto* row = region.at<BroadcastRow>(SubscriberFile::kRowsOffset + i * row_bytes);
    // acquire: pairs with the release in `BroadcastRow::bind`.
    if (row->publisher.load(std::memory_order_acquire) == file_.incarnation()) reader.row = row;
  }
}

void PublisherPort::reclaim() noexcept {
  writer_.reclaim([this]() -> Peers<Subscriber>* {
    if (peers_.has_news()) look_at_subscribers();
    return peers_.is_blind() ? nullptr : &peers_;
  });
}

bool PublisherPort::find_free() noexcept {
  reclaim();
  if (writer_.free_slots() > 0) return true;
  look();  // reaps the dead, and tries again to grow
  if (writer_.free_slots() == 0) reclaim();
  if (writer_.free_slots() > 0) return true;
  if (pending_failure_.code == Errc::ok)
    pending_failure_ = {Errc::no_memory, "every slot is in use"};
  return false;
}

/// As far as no subscriber is lapped that still reads on.
std::uint64_t PublisherPort::lap_limit() noexcept {
  for (Subscriber& subscriber : peers_) {
    // relaxed: it stays as it is, and before a sleep it is ordered by the fence in `Doorbell::arm`.
    const auto& words = *subscriber.file.region().at<SubscriberFile>(0);
    if (words.has_closed.load(std::memory_order_relaxed) != 0) subscriber.reader.may_lose = true;
  }
  return writer_.lap_limit(peers_);
}

bool PublisherPort::has_room() noexcept {
  lap_limit_ = lap_limit();
  if (writer_.published() + other_loans() < lap_limit_) return true;
  if (next_look_.left().count() > 0) return false;
  look();  // a dead subscriber never blocks
  lap_limit_ = lap_limit();
  return writer_.published() + other_loans() < lap_limit_;
}

Loaned PublisherPort::loan_for(std::chrono::nanoseconds timeout) noexcept {
  const Loaned loaned = take_or_sleep(
      timeout, [this] { return loan(); },
      [this](std::chrono::nanoseconds left) {
        const auto may_go_on = [this, loans = cells_.held()] {
          return writer_.published() + loans < lap_limit() || peers_.has_news();
        };
        (void)sleep_unless(may_go_on, left);
      });
  if (loaned.error == Errc::timed_out) {
    fail(Errc::timed_out,
         format("no room for {} ms, because a subscriber does not read on", to_ms(timeout)));
  }
  return loaned;
}

std::uint32_t PublisherPort::subscribers() noexcept {
  if (is_forked()) return 0;
  look();
  return peers_.count_if([](const Subscriber& subscriber) {
    // acquire: pairs with the release in `store_looked`.
    return word_of(subscriber.file, &FileHeader::looked).load(std::memory_order_acquire) != 0;
  });
}

Loaned PublisherPort::refuse(Cell cell, Errc why) noexcept {
  cells_.withdraw(cell);
  if (why != Errc::would_block) return {.error = fail(why, pending_failure_.message)};
  if (last_failure().code != why) {
    fail(why, "no room, because a subscriber has not read on; use loan_for to wait");
  }
  return {.error = why};
}

}  // namespace sluice
