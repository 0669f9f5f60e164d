// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <sluice/pattern/publish_subscribe/broadcast_publisher.hpp>
#include <sluice/service/seats.hpp>
#include <thread>

namespace sluice {
namespace {

constexpr const char* kKind = "publisher";
constexpr const char* kPeerKind = "subscriber";

/// Slots beyond those that can be in use at once: the more, the rarer `reclaim`, whose cost grows
/// with the number of claims. Where payloads are large, memory counts and the scan does not.
constexpr std::uint64_t kSlackPerClaim = 8;
constexpr std::uint64_t kLeastSlack = 64;
constexpr std::uint64_t kSlackBudgetBytes = std::uint64_t{256} << 10;

/// Address space is reserved for so many subscribers with `kUsualClaims` each.
constexpr std::uint64_t kReservedSubscribers = 64;
constexpr std::uint64_t kUsualClaims = 5;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

}  // namespace

Result<std::unique_ptr<BroadcastPublisher>> BroadcastPublisher::create(
    const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config) {
  std::unique_ptr<BroadcastPublisher> publisher(new BroadcastPublisher(service, board, config));
  if (auto done = publisher->initialise(node, mode); !done) return done.failure();
  return publisher;
}

Result<void> BroadcastPublisher::initialise(std::uint64_t node, mode_t mode) {
  const std::uint32_t capacity = ring_capacity();
  const std::uint64_t ring_offset = (sizeof(PublisherFile) + 63) / 64 * 64;
  const std::uint64_t help_offset = ring_offset + (capacity * sizeof(std::uint64_t) + 63) / 64 * 64;
  const std::uint64_t heap_offset = help_offset + kMaxSeats * sizeof(BroadcastHelp);
  const std::uint64_t reserved = std::max(
      kLeastReservedBytes,
      heap_offset + SlotPool::reserved_bytes(config_.payload,
                                             slots_needed() + kReservedSubscribers * kUsualClaims));

  auto file =
      SharedFile::create(service_, mode, FileKind::publisher, node, heap_offset + 1024, reserved);
  if (!file) return file.failure();
  file_ = std::move(*file);
  const FileHeader header = file_.header();  // the new object takes its place
  words_ = new (file_.region().data()) PublisherFile{.header = header,
                                                     .capacity = capacity,
                                                     .delivery = config_.lossless ? 1U : 0U,
                                                     .history = config_.history,
                                                     .unused = 0,
                                                     .ring_offset = ring_offset,
                                                     .help_offset = help_offset,
                                                     .unused_too = {},
                                                     .words = {},
                                                     .slots = {}};
  auto pool = SlotPool::create(file_, words_->slots, heap_offset, config_.payload);
  if (!pool) return pool.failure();
  pool_ = std::move(*pool);
  pool_.when_short([this] { return make_room(); });
  writer_ = BroadcastWriter({.head = &words_->words,
                             .ring = file_.region().at<std::atomic<std::uint64_t>>(ring_offset),
                             .help = file_.region().at<BroadcastHelp>(help_offset),
                             .capacity = capacity});
  if (auto grown = grow(); !grown) return grown;

  const auto seat = take_seat(file_, service_, kKind);
  if (!seat) return seat.failure();
  name_ = seat_name(kKind, *seat);
  board_.announce_change(service_);
  refresh();
  if (failure_.code != Errc::ok) return failure_;
  return {};
}

BroadcastPublisher::~BroadcastPublisher() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

std::uint32_t BroadcastPublisher::depth() const noexcept {
  return std::bit_ceil(std::max({config_.depth, config_.history, 1U}));
}

/// Lossless: what was loaned before a subscriber joined is published without asking for room.
std::uint32_t BroadcastPublisher::ring_capacity() const noexcept {
  return config_.lossless ? std::bit_ceil(depth() + config_.max_loans) : depth();
}

std::uint32_t BroadcastPublisher::slots_needed() const noexcept {
  std::uint64_t claims = 0;
  for (const auto& reader : readers_) claims += reader.claims + 1;
  const std::uint64_t most = std::max(kLeastSlack, kSlackPerClaim * claims);
  // What slices and containers take is not known, and is to come back soon.
  const std::uint64_t slack =
      config_.payload.shape != PayloadShape::plain
          ? 1
          : std::clamp<std::uint64_t>(kSlackBudgetBytes / SlotPool::slot_bytes(config_.payload), 1,
                                      most);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(ring_capacity() + config_.max_loans + claims + slack, kMaxSlots));
}

Result<void> BroadcastPublisher::grow() {
  const std::uint32_t present = writer_.slots();
  const std::uint32_t needed = slots_needed();
  Result<void> added;
  while (pool_.size() < needed && added) added = pool_.add_slot();
  const std::uint32_t slots = pool_.size();
  if (!added) {
    failure_ = {added.error(), fmt::format("{} slots of {} bytes needed, {} there: {}", needed,
                                           config_.payload.bytes, slots, added.failure().message)};
  }
  if (slots > present) writer_.add_slots(slots - present);
  return added ? Result<void>() : Result<void>(failure_);
}

std::byte* BroadcastPublisher::resize(std::uint32_t slot, std::uint64_t count) noexcept {
  auto resized = pool_.resize(slot, count);
  if (resized) return *resized;
  failure_ = resized.failure();
  return nullptr;
}

/// What free and retired slots hold is given up. Returns whether that was anything.
bool BroadcastPublisher::make_room() noexcept {
  // A container may grow on another thread than the port's; that one must not touch the slots.
  if (config_.payload.shape == PayloadShape::dynamic && loaned_on_ != std::this_thread::get_id()) {
    return false;
  }
  const std::uint32_t before = writer_.free_slots();
  reclaim();
  const bool released = pool_.release_blocks(writer_.free_list());
  return released ||
         (pool_.layout().shape == PayloadShape::dynamic && writer_.free_slots() > before);
}

void BroadcastPublisher::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  const std::uint64_t generation = board_.generation_now();
  const auto names = list(service_);
  if (!names) return fail_blind(names.failure());
  for (Peer& peer : peers_) peer.seen = false;
  for (const std::string& name : *names) {
    const auto seat = seat_in(name, kPeerKind);
    if (!seat) continue;
    if (auto looked = look_at(name, *seat); !looked) return fail_blind(looked.failure());
  }
  blind_ = false;
  for (std::size_t i = peers_.size(); i-- > 0;) {
    if (peers_[i].seen) continue;
    peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(i));
    readers_.erase(readers_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  seen_generation_ = generation;
  if (config_.lossless) lap_limit_ = 0;  // to be worked out again
  next_look_ = Deadline(kLongestSleep / 2);
  failure_ = {};
  (void)grow();  // where it fails, `failure_` says so as soon as there is no free slot
}

/// A subscriber that cannot be looked at for want of descriptors or address space may hold claims:
/// until it can be, no slot is reused.
void BroadcastPublisher::fail_blind(const Failure& failure) noexcept {
  blind_ = true;
  failure_ = failure;
}

Result<void> BroadcastPublisher::look_at(const std::string& name, std::uint32_t seat) {
  auto living = open_living(service_, board_, name);
  if (!living) return if_own(living.failure());
  const auto known = std::find_if(peers_.begin(), peers_.end(), [&](const Peer& peer) {
    return peer.seat == seat && peer.inode == living->inode;
  });
  if (known == peers_.end()) {
    auto opened =
        SharedFile::adopt(std::move(living->file), service_.path_of(name), FileKind::subscriber,
                          sizeof(SubscriberFile), Region::Access::read_only);
    if (!opened) return if_own(opened.failure());
    add_peer(std::move(*opened), living->inode, seat);
    return {};
  }
  known->seen = true;
  if (auto grown = known->file.follow_growth(living->file); !grown) return grown;
  find_row(static_cast<std::size_t>(known - peers_.begin()));
  return {};
}

void BroadcastPublisher::add_peer(SharedFile file, std::uint64_t inode, std::uint32_t seat) {
  const auto& fixed = *file.region().at<SubscriberFile>(0);
  const std::uint32_t claims = fixed.max_borrowed;
  if (claims == 0 || claims > kMaxHandles || fixed.row_bytes != BroadcastRow::bytes(claims)) return;
  // While its row is unset it may read from the last head that it can have missed, less the
  // history.
  const std::uint64_t assumed =
      checked_head_ > config_.history ? checked_head_ - config_.history : 0;
  readers_.push_back({.row = nullptr,
                      .claims = claims,
                      .seat = seat,
                      .depth = std::clamp<std::uint64_t>(fixed.depth, 1, depth()),
                      .assumed_cursor = assumed,
                      .helped = 0,
                      .pinned = kNoSlot});
  file.close_descriptor();
  peers_.push_back({.file = std::move(file), .inode = inode, .seat = seat, .seen = true});
  find_row(peers_.size() - 1);
}

/// A subscriber's row for this publisher, if it has bound one by now.
void BroadcastPublisher::find_row(std::size_t index) {
  const Region& region = peers_[index].file.region();
  BroadcastWriter::Reader& reader = readers_[index];
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

void BroadcastPublisher::reclaim() noexcept {
  const std::uint32_t before = writer_.free_slots();
  writer_.reclaim([this]() -> std::optional<std::span<BroadcastWriter::Reader>> {
    if (board_.generation_now() != seen_generation_) refresh();
    if (blind_) return std::nullopt;
    return readers_;
  });
  if (config_.payload.shape != PayloadShape::dynamic) return;
  for (const std::uint32_t slot : writer_.free_list().subspan(before)) pool_.clear(slot);
}

bool BroadcastPublisher::find_free() noexcept {
  reclaim();
  if (writer_.free_slots() > 0) return true;
  refresh();  // reaps the dead, and tries again to grow
  if (writer_.free_slots() == 0) reclaim();
  if (writer_.free_slots() > 0) return true;
  if (failure_.code == Errc::ok) failure_ = {Errc::no_memory, "every slot is in use"};
  return false;
}

bool BroadcastPublisher::has_room(std::uint32_t loans) noexcept {
  lap_limit_ = writer_.lap_limit(readers_);
  if (writer_.published() + loans < lap_limit_) return true;
  if (next_look_.left().count() > 0) return false;
  refresh();  // a dead subscriber never blocks
  lap_limit_ = writer_.lap_limit(readers_);
  return writer_.published() + loans < lap_limit_;
}

void BroadcastPublisher::wait_for_room(std::uint32_t loans, std::chrono::nanoseconds timeout) {
  board_.doorbell.sleep_unless(
      [&] {
        return writer_.published() + loans < writer_.lap_limit(readers_) ||
               board_.generation_now() != seen_generation_;
      },
      timeout);
}

std::uint32_t BroadcastPublisher::subscribers() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(peers_.begin(), peers_.end(), [](const Peer& peer) {
        const auto& file = *peer.file.region().at<SubscriberFile>(0);
        // acquire: pairs with the release after the subscriber's first look.
        return file.looked.load(std::memory_order_acquire) != 0;
      }));
}

}  // namespace sluice
