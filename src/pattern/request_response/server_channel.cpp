// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <sluice/pattern/request_response/server_channel.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/seats.hpp>

namespace sluice {
namespace {

constexpr const char* kKind = "server";
constexpr const char* kPeerKind = "client";

/// Memory for responses that is there as soon as a client is, beside one response to each of its
/// requests and those that it may hold. Where responses are large, more is taken when it is needed.
constexpr std::uint64_t kBudgetBytes = std::uint64_t{256} << 10;

/// Address space is reserved for so many clients with the default options.
constexpr std::uint64_t kReservedClients = 64;
constexpr std::uint64_t kUsualPending = 16;
constexpr std::uint64_t kUsualBorrowed = 4;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

std::uint64_t reserved_bytes(std::uint64_t heap_offset, const ServerChannel::Config& config) {
  const ServerRow usual{.max_pending = kUsualPending, .depth = config.depth};
  const std::uint64_t slots =
      config.max_loans + kReservedClients * (kUsualPending * config.depth + kUsualBorrowed);
  const std::uint64_t wanted = heap_offset + 2ULL * kMaxSeats * usual.bytes() +
                               SlotPool::reserved_bytes(config.response, slots);
  return std::clamp(wanted, kLeastReservedBytes, kMaxReservedBytes);
}

}  // namespace

Result<std::unique_ptr<ServerChannel>> ServerChannel::create(const Directory& service, Board& board,
                                                             std::uint64_t node, mode_t mode,
                                                             const Config& config,
                                                             const HandleCells& held) {
  std::unique_ptr<ServerChannel> server(new ServerChannel(service, board, config, held));
  if (auto done = server->initialise(node, mode); !done) return done.failure();
  return server;
}

Result<void> ServerChannel::initialise(std::uint64_t node, mode_t mode) {
  const std::uint64_t heap_offset = sizeof(ServerFile);
  auto file = SharedFile::create(service_, mode, FileKind::server, node, heap_offset + 1024,
                                 reserved_bytes(heap_offset, config_));
  if (!file) return file.failure();
  file_ = std::move(*file);
  // The rest of the new file is zeros, as it is to be.
  words_ = file_.region().at<ServerFile>(0);
  words_->depth = config_.depth;
  auto pool = SlotPool::create(file_, words_->slots, heap_offset, config_.response);
  if (!pool) return pool.failure();
  pool_ = std::move(*pool);
  pool_.heap().when_short([this] {
    reclaim();
    return pool_.release_blocks(free_);
  });
  if (auto grown = grow_to(slots_needed(true)); !grown) return grown;

  const auto seat = take_seat(file_, service_, kKind);
  if (!seat) return seat.failure();
  seat_ = *seat;
  name_ = seat_name(kKind, seat_);
  board_.announce_change(service_);
  refresh();
  if (is_own_failure(failure_.code)) return failure_;
  return {};
}

ServerChannel::~ServerChannel() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

void ServerChannel::leave() noexcept {
  is_leaving_ = true;
  // release: pairs with the acquire in `ClientChannel::refresh`; what was taken is in the heads.
  words_->is_leaving.store(1, std::memory_order_release);
  board_.announce_change(service_);
}

const ServerChannel::Request& ServerChannel::take_from(Connection& connection, std::uint32_t slot,
                                                       std::uint32_t cell) noexcept {
  if (slot >= connection.their_shape.max_pending) [[unlikely]] {
    give_up(connection, broken(connection, fmt::format("sends request slot {}", slot)));
    return nothing_;
  }
  if (const auto* payload = connection.slots.peek(slot)) __builtin_prefetch(payload);
  Lane& lane = connection.lanes[slot];
  // relaxed: the client saw it before it used the slot again.
  if (lane.done->load(std::memory_order_relaxed) != lane.number) [[unlikely]] {
    give_up(connection, broken(connection, "sends a request again before its end"));
    return nothing_;
  }
  const PeerSlots::Payload payload = connection.slots.payload(slot);
  if (payload.data == nullptr) [[unlikely]] {
    give_up(connection, connection.slots.failure());
    return nothing_;
  }
  const auto* header = reinterpret_cast<const MessageHeader*>(connection.slots.header(slot));
  // relaxed: ordered by the acquire of the entry.
  lane.number = header->number.load(std::memory_order_relaxed);
  connection.requests->pop();
  Request& request = requests_[cell];
  request = {&connection, payload, lane.number, ++tickets_, slot, lane.done};
  return request;
}

std::uint32_t ServerChannel::loans_for(std::uint32_t cell, std::uint32_t but) const noexcept {
  std::uint32_t loans = 0;
  for (std::uint32_t loan = 0; loan < config_.max_loans; ++loan) {
    if (loan == but || !is_for(loan, cell)) continue;
    loans += held_.is_held(config_.max_requests + loan) ? 1 : 0;
  }
  return loans;
}

/// Moves on what the client has taken from a lane. The claims are to be read after this.
void ServerChannel::pass(Connection& connection, Lane& lane) noexcept {
  const std::uint64_t consumed = lane.responses.consumed();
  for (; lane.reclaimed < consumed; ++lane.reclaimed) {
    // relaxed: this process's own word.
    const std::uint64_t entry =
        lane.entries[lane.reclaimed & (config_.depth - 1)].load(std::memory_order_relaxed);
    connection.passed.push_back(TaggedEntry::index(entry));
  }
  lane.limit = consumed + config_.depth;
}

/// Whether one more response than those loaned fits into the lane of a request.
bool ServerChannel::has_room(std::uint32_t cell, std::uint32_t loan) noexcept {
  const Request& request = requests_[cell];
  Lane& lane = request.connection->lanes[request.slot];
  if (lane.responses.position() + config_.max_loans <= lane.limit) return true;
  const std::uint64_t end = lane.responses.position() + loans_for(cell, loan);
  if (end < lane.limit) return true;
  pass(*request.connection, lane);
  return end < lane.limit;
}

Errc ServerChannel::acquire(std::uint32_t cell, std::uint32_t loan, std::uint32_t& slot) noexcept {
  follow_changes();
  const Request& request = requests_[cell];
  // relaxed: set by this thread.
  if (request.connection->is_gone.load(std::memory_order_relaxed)) return Errc::abandoned;
  if (!has_room(cell, loan)) {
    return is_abandoned(request) ? Errc::abandoned : Errc::would_block;
  }
  if (free_.empty() && !find_free()) [[unlikely]]
    return failure_.code;
  slot = free_.back();
  free_.pop_back();
  loans_[loan] = {.cell = cell, .ticket = request.ticket};
  return Errc::ok;
}

std::byte* ServerChannel::resize(std::uint32_t slot, std::uint64_t count) noexcept {
  auto resized = pool_.resize(slot, count);
  if (resized) return *resized;
  failure_ = resized.failure();
  return nullptr;
}

void ServerChannel::respond(std::uint32_t cell, std::uint32_t slot) noexcept {
  const Request& request = requests_[cell];
  Connection& connection = *request.connection;
  auto* header = reinterpret_cast<MessageHeader*>(pool_.header(slot));
  // relaxed: ordered by the entry in the lane.
  header->number.store(request.number, std::memory_order_relaxed);
  // relaxed: set by this thread.
  if (connection.is_gone.load(std::memory_order_relaxed) ||
      !connection.lanes[request.slot].responses.try_push(slot)) [[unlikely]] {
    return give_back(slot);
  }
  wake();
  // The next response's line is in the caches of those who read it: ask for it now.
  if (!free_.empty()) __builtin_prefetch(pool_.header(free_.back()), 1);
}

void ServerChannel::wait_for_room(std::uint32_t cell, std::chrono::nanoseconds timeout) {
  const Request& request = requests_[cell];
  const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  const auto may_go_on = [&] {
    return board_.generation_now() != seen_generation_ || is_abandoned(request) ||
           has_room(cell, config_.max_loans);
  };
  if (board_.doorbell.sleep_unless(may_go_on, timeout)) return;
  if (slice.left().count() == 0) refresh();
}

bool ServerChannel::is_abandoned(const Request& request) noexcept {
  // relaxed, both: nothing is ordered by it.
  return request.connection->is_gone.load(std::memory_order_relaxed) ||
         request.connection->wanted(request.slot).load(std::memory_order_relaxed) != request.number;
}

bool ServerChannel::is_abandoned_or_dead(const Request& request) noexcept {
  return is_abandoned(request) || !is_locked(request.connection->file.file());
}

std::uint64_t ServerChannel::client(const Request& request) noexcept {
  return request.connection->incarnation;
}

void ServerChannel::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  std::uint64_t generation = board_.generation_now();
  for (const auto& connection : connections_) {
    if (connection->is_gone.load(std::memory_order_relaxed)) continue;  // set by this thread
    if (is_locked(connection->file.file())) continue;
    // relaxed: nothing is ordered by it.
    connection->is_gone.store(true, std::memory_order_relaxed);
    connection->requests.reset();
    ++gone_;
    reclaim_all(*connection);
  }
  const auto names = list(service_);
  if (!names) {
    failure_ = names.failure();
    return;
  }
  look_.begin();
  bool has_new = false;
  if (!is_leaving_) {
    for (const std::string& name : *names) {
      if (const auto seat = seat_in(name, kPeerKind)) look_at(name, *seat);
    }
    for (const auto& connection : connections_) has_new |= meet(*connection);
  }
  // The new clients are to find their rows.
  if (has_new && board_.announce_change(service_) == generation) ++generation;
  // For want of something of this process's own, it looks again at the next call.
  if (!is_own_failure(failure_.code)) seen_generation_ = generation;
  if (gone_ != 0) drop_gone();
}

void ServerChannel::look_at(const std::string& name, std::uint32_t seat) {
  const auto is_known = [this](std::uint64_t inode) {
    return std::any_of(connections_.begin(), connections_.end(), [inode](const auto& connection) {
      // relaxed: set by this thread.
      return connection->inode == inode && !connection->is_gone.load(std::memory_order_relaxed);
    });
  };
  const auto looked = look_.meet(name, is_known, [&](LivingPort living) {
    auto connection = std::make_unique<Connection>();
    connection->inode = living.inode;
    connection->seat = seat;
    auto connected = prepare(*connection, std::move(living.file), service_.path_of(name));
    if (connected) connections_.push_back(std::move(connection));
    return connected;
  });
  if (!looked) failure_ = looked.failure();
}

/// Whether everything that a client's file says of itself lies inside it.
Result<void> ServerChannel::prepare(Connection& connection, File file, const std::string& path) {
  auto opened = SharedFile::adopt(std::move(file), path, FileKind::client, sizeof(ClientFile),
                                  Region::Access::read_only);
  if (!opened) return opened.failure();
  connection.file = std::move(*opened);
  connection.incarnation = connection.file.incarnation();
  connection.words = connection.file.region().at<ClientFile>(0);
  const std::uint32_t pending = connection.words->max_pending;
  const std::uint32_t borrowed = connection.words->max_borrowed;
  if (pending == 0 || pending > kMaxExchanges || borrowed == 0 || borrowed > kMaxExchanges ||
      !connection.file.region().contains(ClientFile::kWantedOffset, line_bytes(pending))) {
    return broken(connection,
                  fmt::format("has {} requests and holds {} responses", pending, borrowed));
  }
  connection.their_shape = {.max_pending = pending, .max_borrowed = borrowed};
  connection.shape = {.max_pending = pending, .depth = config_.depth};
  connection.slots = PeerSlots(connection.file, connection.words->slots,
                               connection.words->slot_count, config_.request);
  if (auto connected = connection.slots.connect(); !connected) return connected;
  if (connection.slots.size() < pending) {
    return broken(connection,
                  fmt::format("has {} slots for {} requests", connection.slots.size(), pending));
  }
  return {};
}

/// Finds this server's row in the client's file, if the client has seen this server. Returns
/// whether they are connected by that.
bool ServerChannel::meet(Connection& connection) noexcept {
  // relaxed: set by this thread.
  if (connection.requests || connection.is_broken ||
      connection.is_gone.load(std::memory_order_relaxed)) {
    return false;
  }
  // acquire: pairs with the release in `ClientChannel::connect`: the row is there.
  const std::uint64_t row = connection.words->rows[seat_].load(std::memory_order_acquire);
  if (row == 0) return false;
  const std::uint64_t bytes = connection.their_shape.bytes();
  if (!connection.file.region().contains(row, bytes)) {
    if (auto grown = connection.file.follow_growth(); !grown) {
      failure_ = grown.failure();
      return false;  // for the next look
    }
  }
  if (row % kCacheLineBytes != 0 || !connection.file.region().contains(row, bytes)) {
    give_up(connection, broken(connection, "has a row outside the file"));
    return false;
  }
  connection.theirs = connection.file.region().data() + row;
  // relaxed: ordered by the acquire before. An earlier server's on the same seat is another's.
  if (connection.their_words(ClientRow::kServerOffset)->load(std::memory_order_relaxed) !=
      file_.incarnation()) {
    return false;
  }
  if (auto connected = connect(connection); !connected) {
    failure_ = connected.failure();
    return false;  // for the next look
  }
  return true;
}

Result<void> ServerChannel::connect(Connection& connection) {
  const auto row = pool_.heap().allocate(connection.shape.bytes(), kCacheLineBytes);
  if (!row) return row.failure();
  connection.row = *row;
  std::memset(file_.region().data() + *row, 0, connection.shape.bytes());
  // relaxed: ordered by the release that follows.
  word_of(connection, ServerRow::kClientOffset)
      .store(connection.incarnation, std::memory_order_relaxed);
  const std::uint32_t pending = connection.their_shape.max_pending;
  const auto* heads = connection.their_words(connection.their_shape.heads_offset());
  connection.lanes.reserve(pending);
  for (std::uint32_t slot = 0; slot < pending; ++slot) {
    std::atomic<std::uint64_t>& done = word_of(connection, connection.shape.done_offset(slot));
    std::atomic<std::uint64_t>* entries = &word_of(connection, connection.shape.lane_offset(slot));
    connection.lanes.push_back({.responses = {entries, heads[slot], config_.depth},
                                .entries = entries,
                                .done = &done,
                                .limit = config_.depth});
  }
  connection.requests.emplace(word_of(connection, ServerRow::kHeadOffset),
                              connection.their_words(ClientRow::kRequestsOffset),
                              connection.their_shape.queue_capacity());
  (void)grow_to(slots_needed(true));  // where it fails, `failure_` says so
  connection.passed.reserve(pool_.size());
  // release: pairs with the acquire in `ClientChannel::meet`; the row is empty.
  words_->rows[connection.seat].store(*row, std::memory_order_release);
  return {};
}

std::atomic<std::uint64_t>& ServerChannel::word_of(const Connection& connection,
                                                   std::uint64_t offset) const noexcept {
  return *file_.region().at<std::atomic<std::uint64_t>>(connection.row + offset);
}

/// At once: so many as are made when a client comes; otherwise, as many as can be in use.
std::uint64_t ServerChannel::slots_needed(bool at_once) const noexcept {
  std::uint64_t slots = config_.max_loans;
  const std::uint64_t affordable = kBudgetBytes / SlotPool::slot_bytes(config_.response);
  for (const auto& connection : connections_) {
    // relaxed: set by this thread.
    if (connection->lanes.empty() || connection->is_gone.load(std::memory_order_relaxed)) continue;
    const std::uint64_t pending = connection->their_shape.max_pending;
    const std::uint64_t most = pending * config_.depth;
    slots += connection->their_shape.max_borrowed +
             (at_once ? std::min(most, std::max(pending, affordable)) : most);
  }
  return std::min<std::uint64_t>(slots, TaggedEntry::kMaxIndex);
}

Result<void> ServerChannel::grow_to(std::uint64_t slots) {
  const std::uint32_t present = pool_.size();
  Result<void> added;
  while (pool_.size() < slots && added) added = pool_.add_slot();
  for (std::uint32_t slot = pool_.size(); slot-- > present;) free_.push_back(slot);
  free_.reserve(pool_.size());
  marks_.resize(pool_.size(), 0);
  for (const auto& connection : connections_) connection->passed.reserve(pool_.size());
  // release: pairs with the acquire in `PeerSlots::learn`; the slots' addresses come before it.
  words_->slot_count.store(pool_.size(), std::memory_order_release);
  if (added) return {};
  failure_ = {added.error(),
              fmt::format("{} responses of {} bytes needed, {} there: {}", slots,
                          config_.response.bytes, pool_.size(), added.failure().message)};
  return failure_;
}

bool ServerChannel::find_free() noexcept {
  reclaim();
  if (!free_.empty()) return true;
  refresh();  // a client may be dead
  reclaim();
  if (!free_.empty()) return true;
  if (pool_.size() < slots_needed(false)) {
    (void)grow_to(pool_.size() + 1);
  } else {
    failure_ = {Errc::no_memory, fmt::format("all {} slots of responses are in use", pool_.size())};
  }
  return !free_.empty();
}

void ServerChannel::reclaim() noexcept {
  for (const auto& connection : connections_) reclaim(*connection);
}

/// Frees what a client has taken and does not claim any more.
void ServerChannel::reclaim(Connection& connection) noexcept {
  // relaxed: set by this thread.
  if (connection.lanes.empty() || connection.is_gone.load(std::memory_order_relaxed)) return;
  for (Lane& lane : connection.lanes) {
    if (lane.reclaimed != lane.responses.position()) pass(connection, lane);
  }
  if (connection.passed.empty()) return;
  ++looks_;
  const auto* claims = connection.their_words(connection.their_shape.claims_offset());
  for (std::uint32_t i = 0; i < connection.their_shape.max_borrowed; ++i) {
    // acquire, and after the heads: pairs with the release of the claim, which comes before the
    // head; where it was cleared, the payload was read.
    const std::uint64_t slot = claims[i].load(std::memory_order_acquire) - 1;
    if (slot < marks_.size()) marks_[slot] = looks_;
  }
  std::erase_if(connection.passed, [this](std::uint32_t slot) {
    if (marks_[slot] == looks_) return false;
    give_back(slot);
    return true;
  });
}

/// Frees all that a client had that is gone.
void ServerChannel::reclaim_all(Connection& connection) noexcept {
  for (Lane& lane : connection.lanes) {
    for (; lane.reclaimed < lane.responses.position(); ++lane.reclaimed) {
      // relaxed: this process's own word.
      const std::uint64_t entry =
          lane.entries[lane.reclaimed & (config_.depth - 1)].load(std::memory_order_relaxed);
      connection.passed.push_back(TaggedEntry::index(entry));
    }
  }
  for (const std::uint32_t slot : connection.passed) give_back(slot);
  connection.passed.clear();
}

/// No more requests of a broken client are taken. What it has of this server it keeps until it is
/// gone.
void ServerChannel::give_up(Connection& connection, const Failure& failure) noexcept {
  connection.is_broken = true;
  connection.requests.reset();
  failure_ = failure;
}

bool ServerChannel::is_held(const Connection& connection) const noexcept {
  for (std::uint32_t cell = 0; cell < config_.max_requests; ++cell) {
    if (requests_[cell].connection == &connection && held_.is_held(cell)) return true;
  }
  return false;
}

void ServerChannel::drop_gone() noexcept {
  std::erase_if(connections_, [this](const std::unique_ptr<Connection>& connection) {
    // relaxed: set by this thread.
    if (!connection->is_gone.load(std::memory_order_relaxed) || is_held(*connection)) return false;
    if (connection->row != 0) {
      std::atomic<std::uint64_t>& row = words_->rows[connection->seat];
      // relaxed, both: this process's own word; the client that would read it is gone.
      if (row.load(std::memory_order_relaxed) == connection->row) {
        row.store(0, std::memory_order_relaxed);
      }
      pool_.heap().deallocate(connection->row);
    }
    --gone_;
    return true;
  });
}

bool ServerChannel::has_new() const noexcept {
  return board_.generation_now() != seen_generation_ || failure_.code != Errc::ok ||
         std::any_of(connections_.begin(), connections_.end(), [](const auto& connection) {
           return connection->requests && !connection->requests->empty();
         });
}

void ServerChannel::wait(std::chrono::nanoseconds timeout) {
  const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  if (board_.doorbell.sleep_unless([this] { return has_new(); }, timeout)) return;
  if (slice.left().count() == 0) refresh();  // somebody may have died without a word
}

std::uint32_t ServerChannel::clients() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& connection) { return connection->requests.has_value(); }));
}

Failure ServerChannel::broken(const Connection& connection, const std::string& what) {
  return {Errc::corrupted,
          fmt::format("{} {}; its client is broken, restart it", connection.file.path(), what)};
}

}  // namespace sluice
