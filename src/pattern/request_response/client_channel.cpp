// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <numeric>
#include <sluice/pattern/request_response/client_channel.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/seats.hpp>

namespace sluice {
namespace {

constexpr const char* kKind = "client";
constexpr const char* kPeerKind = "server";

/// Address space is reserved for so many servers at once.
constexpr std::uint64_t kReservedServers = 2ULL * kMaxSeats;

/// The head of a queue that no server has met yet.
const std::atomic<std::uint64_t> kNothingTaken{0};

std::atomic<std::uint64_t>& number_in(std::byte* header) noexcept {
  return reinterpret_cast<MessageHeader*>(header)->number;
}
const std::atomic<std::uint64_t>& number_in(const std::byte* header) noexcept {
  return reinterpret_cast<const MessageHeader*>(header)->number;
}

}  // namespace

Result<std::unique_ptr<ClientChannel>> ClientChannel::create(const Directory& service, Board& board,
                                                             std::uint64_t node, mode_t mode,
                                                             const Config& config,
                                                             const HandleCells& held) {
  std::unique_ptr<ClientChannel> client(new ClientChannel(service, board, config, held));
  if (auto done = client->initialise(node, mode); !done) return done.failure();
  return client;
}

Result<void> ClientChannel::initialise(std::uint64_t node, mode_t mode) {
  const std::uint64_t heap_offset = ClientFile::kWantedOffset + line_bytes(config_.max_pending);
  const std::uint64_t reserved = heap_offset + kReservedServers * 2 * shape_.bytes() +
                                 SlotPool::reserved_bytes(config_.request, config_.max_pending) +
                                 (std::uint64_t{1} << 20);
  auto file =
      SharedFile::create(service_, mode, FileKind::client, node, heap_offset + 1024, reserved);
  if (!file) return file.failure();
  file_ = std::move(*file);
  // The rest of the new file is zeros, as it is to be.
  words_ = file_.region().at<ClientFile>(0);
  words_->max_pending = config_.max_pending;
  words_->max_borrowed = config_.max_borrowed;
  wanted_ = file_.region().at<std::atomic<std::uint64_t>>(ClientFile::kWantedOffset);
  auto pool = SlotPool::create(file_, words_->slots, heap_offset, config_.request);
  if (!pool) return pool.failure();
  pool_ = std::move(*pool);
  pool_.heap().when_short([this] {
    collect_all();
    return pool_.release_blocks(free_);
  });
  while (pool_.size() < config_.max_pending) {
    if (auto added = pool_.add_slot(); !added) {
      return Failure{added.error(), fmt::format("{} requests of {} bytes needed, {} there: {}",
                                                config_.max_pending, config_.request.bytes,
                                                pool_.size(), added.failure().message)};
    }
  }
  // relaxed: linking the file hands it on.
  words_->slot_count.store(pool_.size(), std::memory_order_relaxed);
  free_.resize(config_.max_pending);
  std::iota(free_.rbegin(), free_.rend(), 0U);

  const auto seat = take_seat(file_, service_, kKind);
  if (!seat) return seat.failure();
  seat_ = *seat;
  name_ = seat_name(kKind, seat_);
  board_.announce_change(service_);
  refresh();
  if (is_own_failure(failure_.code)) return failure_;
  return {};
}

ClientChannel::~ClientChannel() {
  if (name_.empty()) return;
  ::unlinkat(service_.fd(), name_.c_str(), 0);
  board_.announce_change(service_);
}

std::byte* ClientChannel::resize(std::uint32_t slot, std::uint64_t count) noexcept {
  auto resized = pool_.resize(slot, count);
  if (resized) return *resized;
  failure_ = resized.failure();
  return nullptr;
}

std::uint64_t ClientChannel::send(std::uint32_t slot) noexcept {
  follow_changes();
  Exchange& exchange = exchanges_[slot];
  exchange = {.number = ++sent_, .is_sent = true, .turn = exchange.turn, .silence = {}};
  // relaxed, both: ordered by the entry in the queue.
  number_in(pool_.header(slot)).store(exchange.number, std::memory_order_relaxed);
  wanted_[slot].store(exchange.number, std::memory_order_relaxed);
  for (const auto& connection : connections_) {
    if (connection->is_there()) deliver(*connection, slot);
  }
  wake();
  // Now there is time until the response comes: for the next request, find a slot that is free, and
  // get its line back from the servers that read it.
  collect_one();
  if (!free_.empty()) __builtin_prefetch(pool_.header(free_.back()), 1);
  return exchange.number;
}

/// After a change that a server may sleep for.
void ClientChannel::wake() noexcept {
  // seq_cst: pairs with the fence of a server that arms the doorbell and then looks at its queues.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  board_.doorbell.wake(service_);
  owes_wake_ = false;
}

void ClientChannel::deliver(Connection& connection, std::uint32_t slot) noexcept {
  Exchange& exchange = exchanges_[slot];
  const std::uint64_t position = connection.requests->position();
  if (!connection.requests->try_push(slot)) [[unlikely]] {
    give_up(connection, broken(connection, "ends requests that it has not taken"));
    return;
  }
  connection.deliveries[slot] = {.number = exchange.number, .position = position};
  ++exchange.open;
}

/// A request that no server has, and that is still wanted, goes to all who did not get it yet.
void ClientChannel::deliver_if_waiting(std::uint32_t slot) noexcept {
  Exchange& exchange = exchanges_[slot];
  // relaxed: if it is dropped at this moment, the server will see that.
  if (!exchange.is_sent || exchange.open != 0 || exchange.has_ended || exchange.error != Errc::ok ||
      wanted_[slot].load(std::memory_order_relaxed) != exchange.number) {
    return;
  }
  for (const auto& connection : connections_) {
    if (connection->is_there() && !connection->has(slot, exchange)) deliver(*connection, slot);
  }
  if (exchange.open != 0) wake();
}

ClientChannel::Received ClientChannel::take_from(Connection& connection, std::uint32_t slot,
                                                 std::uint32_t response,
                                                 std::uint32_t claim) noexcept {
  if (const auto* payload = connection.slots.peek(response)) __builtin_prefetch(payload);
  std::atomic<std::uint64_t>& word = words_of(connection, shape_.claims_offset())[claim];
  // release, even over a cleared claim: the server may read this value instead of the 0 before it,
  // and must still come after the reads of the payload that the 0 ended.
  word.store(std::uint64_t{response} + 1, std::memory_order_release);
  const PeerSlots::Payload payload = connection.slots.payload(response);
  Exchange& exchange = exchanges_[slot];
  // relaxed: ordered by the acquire of the entry.
  if (payload.data == nullptr ||
      number_in(connection.slots.header(response)).load(std::memory_order_relaxed) !=
          exchange.number) [[unlikely]] {
    // release: as above.
    word.store(0, std::memory_order_release);
    give_up(connection, payload.data == nullptr
                            ? connection.slots.failure()
                            : broken(connection, "answers a request that it was not sent"));
    return {};
  }
  connection.lanes[slot].pop();  // the claim comes first
  claimed_by_[claim] = &connection;
  exchange.silence.end();
  // There is room in the lane now. Where nothing more is in it, nobody waits for that, unless the
  // server fills the lane at this moment: then the next call will tell it.
  const bool is_last = connection.lanes[slot].empty() && connection.shape.depth > 1;
  owes_wake_ = is_last;
  if (!is_last) wake();
  return {payload, &word, connection.deliveries[slot].taken++, connection.incarnation, is_last};
}

/// Nothing was found in the lane of `slot`: whether nothing more will be.
void ClientChannel::settle(Connection& connection, std::uint32_t slot) noexcept {
  if (connection.theirs != nullptr && connection.lanes[slot].broken()) [[unlikely]]
    give_up(connection, broken(connection, "has a queue of responses that cannot be"));
  Exchange& exchange = exchanges_[slot];
  Delivery& delivery = connection.deliveries[slot];
  const RequestFate fate = fate_of(connection, slot);
  if (fate == RequestFate::open) return;
  delivery.is_over = true;
  if (delivery.is_failed) return;
  --exchange.open;
  if (fate == RequestFate::ended) {
    exchange.has_ended = true;
  } else if (fate == RequestFate::died) {
    exchange.error = Errc::peer_died;
  } else {
    deliver_if_waiting(slot);
  }
}

RequestFate ClientChannel::fate_of(const Connection& connection,
                                   std::uint32_t slot) const noexcept {
  const Delivery& delivery = connection.deliveries[slot];
  if (connection.theirs == nullptr) {  // it has not seen this client
    return connection.is_gone || connection.is_leaving ? RequestFate::untaken : RequestFate::open;
  }
  return sluice::fate_of({.number = delivery.number, .position = delivery.position},
                         connection.word(connection.shape.done_offset(slot)),
                         connection.word(ServerRow::kHeadOffset), connection.is_gone,
                         connection.is_leaving,
                         delivery.is_failed ? nullptr : &connection.lanes[slot]);
}

ClientChannel::Outcome ClientChannel::outcome(std::uint32_t slot) noexcept {
  Exchange& exchange = exchanges_[slot];
  for (const auto& connection : connections_) {
    if (connection->is_open(slot, exchange) && connection->is_empty(slot)) {
      settle(*connection, slot);
    }
  }
  if (exchange.open != 0) return Outcome::open;
  if (exchange.has_ended) return Outcome::ended;
  return exchange.error != Errc::ok ? Outcome::failed : Outcome::waiting;
}

bool ClientChannel::is_ready(std::uint32_t slot) noexcept {
  if (failure_.code != Errc::ok) return true;
  const Outcome now = outcome(slot);
  if (now == Outcome::ended || now == Outcome::failed) return true;
  return std::any_of(connections_.begin(), connections_.end(), [&](const auto& connection) {
    return connection->is_open(slot, exchanges_[slot]) && !connection->is_empty(slot);
  });
}

void ClientChannel::wait(std::uint32_t slot, std::chrono::nanoseconds timeout) {
  const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  const auto has_news = [&] {
    return board_.generation_now() != seen_generation_ || is_ready(slot);
  };
  if (board_.doorbell.sleep_unless(has_news, timeout)) return;
  if (slice.left().count() == 0) refresh();  // somebody may have died without a word
}

/// Whether nobody looks at the request in `slot` any more, which its user has dropped.
bool ClientChannel::is_over(std::uint32_t slot) noexcept {
  const Exchange& exchange = exchanges_[slot];
  for (const auto& connection : connections_) {
    if (!connection->has(slot, exchange)) continue;
    if (!connection->deliveries[slot].is_failed) {
      // What the server has sent until now; what comes later is found the next time.
      for (std::uint32_t i = 0; i < connection->shape.depth && connection->front(slot); ++i) {
        connection->lanes[slot].pop();
      }
    }
    settle(*connection, slot);
    if (connection->has(slot, exchange)) return false;
  }
  return true;
}

/// Looks at the slot that has been busy for longest. Returns whether it is free now.
bool ClientChannel::collect_one() noexcept {
  if (busy_.count() == 0) return false;
  const std::uint32_t slot = busy_.pop();
  if (held_.is_held(slot) || !is_over(slot)) {
    busy_.push(slot);
    return false;
  }
  free_.push_back(slot);
  return true;
}

void ClientChannel::collect_all() noexcept {
  for (std::size_t left = busy_.count(); left > 0; --left) collect_one();
}

bool ClientChannel::collect() noexcept {
  collect_all();
  if (!free_.empty()) return true;
  refresh();  // who has it may be dead
  collect_all();
  return !free_.empty();
}

void ClientChannel::refresh() noexcept {
  // Before the look: a change during it is looked at again.
  std::uint64_t generation = board_.generation_now();
  for (const auto& connection : connections_) {
    // acquire: pairs with the release when the server leaves; its last look at the queue is over.
    if (connection->words->is_leaving.load(std::memory_order_acquire) != 0) {
      connection->is_leaving = true;
    }
    if (!connection->is_gone && !is_locked(connection->file.file())) {
      connection->is_gone = true;
      ++gone_;
    }
    if (connection->theirs == nullptr && !connection->is_broken) meet(*connection);
  }
  const auto names = list(service_);
  if (!names) {
    failure_ = names.failure();
    return;
  }
  look_.begin();
  const std::size_t known = connections_.size();
  for (const std::string& name : *names) {
    if (const auto seat = seat_in(name, kPeerKind)) look_at(name, *seat);
  }
  const bool has_new = connections_.size() > known;
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) {
    if (gone_ != 0) (void)outcome(slot);
    if (has_new) deliver_if_waiting(slot);
  }
  // The new servers are to find their rows.
  if (has_new && board_.announce_change(service_) == generation) ++generation;
  // For want of something of this process's own, it looks again at the next call.
  if (!is_own_failure(failure_.code)) seen_generation_ = generation;
  if (gone_ != 0) drop_gone();
}

void ClientChannel::look_at(const std::string& name, std::uint32_t seat) {
  const auto is_known = [this](std::uint64_t inode) {
    return std::any_of(connections_.begin(), connections_.end(), [inode](const auto& connection) {
      return connection->inode == inode && !connection->is_gone;
    });
  };
  const auto looked = look_.meet(name, is_known, [&](LivingPort living) {
    auto connection = std::make_unique<Connection>();
    connection->inode = living.inode;
    connection->seat = seat;
    auto connected = connect(*connection, std::move(living.file), service_.path_of(name));
    if (connected) connections_.push_back(std::move(connection));
    return connected;
  });
  if (!looked) failure_ = looked.failure();
}

Result<void> ClientChannel::connect(Connection& connection, File file, const std::string& path) {
  auto opened = SharedFile::adopt(std::move(file), path, FileKind::server, sizeof(ServerFile),
                                  Region::Access::read_only);
  if (!opened) return opened.failure();
  connection.file = std::move(*opened);
  connection.incarnation = connection.file.incarnation();
  connection.words = connection.file.region().at<ServerFile>(0);
  const std::uint32_t depth = connection.words->depth;
  if (!std::has_single_bit(depth) || depth > kMaxResponseDepth) {
    return broken(connection, fmt::format("has queues of {} responses", depth));
  }
  connection.shape = {.max_pending = config_.max_pending, .depth = depth};
  connection.slots = PeerSlots(connection.file, connection.words->slots,
                               connection.words->slot_count, config_.response);
  if (auto connected = connection.slots.connect(); !connected) return connected;
  const auto row = pool_.heap().allocate(shape_.bytes(), kCacheLineBytes);
  if (!row) return row.failure();
  connection.row = *row;
  std::memset(file_.region().data() + *row, 0, shape_.bytes());
  // relaxed: ordered by the release that follows.
  words_of(connection, ClientRow::kServerOffset)
      ->store(connection.incarnation, std::memory_order_relaxed);
  connection.deliveries.resize(config_.max_pending);
  connection.requests.emplace(words_of(connection, ClientRow::kRequestsOffset), kNothingTaken,
                              shape_.queue_capacity());
  // release: pairs with the acquire in `ServerChannel::meet`; the row is empty.
  words_->rows[connection.seat].store(*row, std::memory_order_release);
  return {};
}

/// Finds this client's row in the server's file, if the server has seen this client.
void ClientChannel::meet(Connection& connection) noexcept {
  // acquire: pairs with the release in `ServerChannel::connect`: the row is there.
  const std::uint64_t row = connection.words->rows[seat_].load(std::memory_order_acquire);
  if (row == 0) return;
  const std::uint64_t bytes = connection.shape.bytes();
  if (!connection.file.region().contains(row, bytes)) {
    if (auto grown = connection.file.follow_growth(); !grown) {
      failure_ = grown.failure();
      return;  // for the next look
    }
  }
  if (row % kCacheLineBytes != 0 || !connection.file.region().contains(row, bytes)) {
    give_up(connection, broken(connection, "has a row outside the file"));
    return;
  }
  const std::byte* theirs = connection.file.region().data() + row;
  const auto* words = reinterpret_cast<const std::atomic<std::uint64_t>*>(theirs);
  // relaxed: ordered by the acquire before. An earlier client's on the same seat is another's.
  if (words[ServerRow::kClientOffset / 8].load(std::memory_order_relaxed) != file_.incarnation()) {
    return;
  }
  // The server has made slots for this client.
  if (auto connected = connection.slots.connect(); !connected) {
    give_up(connection, connected.failure());
    return;
  }
  connection.theirs = theirs;
  connection.requests->follow(connection.word(ServerRow::kHeadOffset));
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) {
    connection.lanes.emplace_back(words_of(connection, shape_.heads_offset())[slot],
                                  &connection.word(connection.shape.lane_offset(slot)),
                                  connection.shape.depth);
  }
}

std::atomic<std::uint64_t>* ClientChannel::words_of(const Connection& connection,
                                                    std::uint64_t offset) const noexcept {
  return file_.region().at<std::atomic<std::uint64_t>>(connection.row + offset);
}

/// A broken server is not asked and not read any more. What it has of this client stays as it is
/// until it is gone.
void ClientChannel::give_up(Connection& connection, const Failure& failure) noexcept {
  connection.is_broken = true;
  failure_ = failure;
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) {
    Exchange& exchange = exchanges_[slot];
    if (!connection.is_open(slot, exchange)) continue;
    connection.deliveries[slot].is_failed = true;
    exchange.error = failure.code;
    --exchange.open;
  }
}

/// Whether nothing of a server that is gone is held or left to take.
bool ClientChannel::is_done_with(const Connection& connection) const noexcept {
  for (std::uint32_t claim = 0; claim < config_.max_borrowed; ++claim) {
    if (claimed_by_[claim] == &connection && held_.is_held(config_.max_pending + claim)) {
      return false;
    }
  }
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) {
    if (connection.has(slot, exchanges_[slot])) return false;
  }
  return true;
}

void ClientChannel::drop_gone() noexcept {
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) {
    if (!held_.is_held(slot)) (void)is_over(slot);
  }
  std::erase_if(connections_, [this](const std::unique_ptr<Connection>& connection) {
    if (!connection->is_gone || !is_done_with(*connection)) return false;
    std::atomic<std::uint64_t>& row = words_->rows[connection->seat];
    // relaxed, both: this process's own word; the server that would read it is gone.
    if (row.load(std::memory_order_relaxed) == connection->row) {
      row.store(0, std::memory_order_relaxed);
    }
    pool_.heap().deallocate(connection->row);
    --gone_;
    return true;
  });
}

std::uint32_t ClientChannel::servers() const noexcept {
  return static_cast<std::uint32_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& connection) { return connection->is_there(); }));
}

std::uint32_t ClientChannel::abandoned() const noexcept {
  std::uint32_t held = 0;
  for (std::uint32_t slot = 0; slot < config_.max_pending; ++slot) held += held_.is_held(slot);
  return config_.max_pending - static_cast<std::uint32_t>(free_.size()) - held;
}

Failure ClientChannel::broken(const Connection& connection, const std::string& what) {
  return {Errc::corrupted,
          fmt::format("{} {}; its server is broken, restart it", connection.file.path(), what)};
}

}  // namespace sluice
