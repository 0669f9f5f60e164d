// SPDX-License-Identifier: Apache-2.0
//
// The servers of a client: who comes, who leaves, and the rows between them.
#include <bit>
#include <cstring>
#include <sluice/core/format.hpp>
#include <sluice/pattern/request_response/client_port.hpp>

namespace sluice {
namespace {

/// The head of a queue that no server has met yet.
const std::atomic<std::uint64_t> kNothingTaken{0};

}  // namespace

Failure broken(const ServerPeer& server, const std::string& what) {
  return {Errc::corrupted,
          format("{} {}; its server is broken, restart it", server.file.path(), what)};
}

void ClientPort::look() noexcept {
  const std::size_t known = peers_.size();
  const auto looked = peers_.look([this](ServerPeer& server) { return connect(server); },
                                  [this](ServerPeer& server, const File&) { return meet(server); },
                                  [this](ServerPeer& server) {
                                    (void)meet(server);  // it may have answered before
                                    ++gone_;
                                  });
  if (!looked) pending_failure_ = looked.failure();
  const bool has_new = peers_.size() > known;
  for (std::uint32_t slot = 0; slot < options_.max_pending; ++slot) {
    if (gone_ != 0) (void)fate_now(slot);
    if (has_new) deliver_if_waiting(slot);
  }
  if (has_new) peers_.announce_newcomers();  // the new servers are to find their rows
  if (gone_ != 0) drop_gone();
}

Result<void> ClientPort::connect(ServerPeer& server) {
  server.incarnation = server.file.incarnation();
  const std::uint32_t depth = server.words().shape.read().depth;
  if (!std::has_single_bit(depth) || depth > kMaxResponseDepth) {
    return broken(server, format("has queues of {} responses", depth));
  }
  server.shape = {.max_pending = options_.max_pending, .depth = depth};
  server.slots = PeerSlots(server.file, server.words().slots, server.words().slot_count, response_);
  if (auto connected = server.slots.connect(); !connected) return connected;
  const auto row = pool_.heap().allocate(shape_.bytes(), kCacheLineBytes);
  if (!row) return row.failure();
  server.row = *row;
  std::memset(file_.region().data() + *row, 0, shape_.bytes());
  // relaxed: ordered by the release that follows.
  words_of(server, ClientRow::kServerOffset)->store(server.incarnation, std::memory_order_relaxed);
  server.deliveries.resize(options_.max_pending);
  server.requests.emplace(words_of(server, ClientRow::kRequestsOffset), kNothingTaken,
                          shape_.queue_capacity());
  // release: pairs with the acquire in `ServerPort::meet`; the row is empty.
  file_.words<ClientFile>().rows[server.seat].store(*row, std::memory_order_release);
  return {};
}

/// Whether it takes no more requests; and this client's row in its file, if it has seen this
/// client. Errors: this process cannot follow the file's growth; to be tried again.
Result<void> ClientPort::meet(ServerPeer& server) noexcept {
  // acquire: pairs with the release when the server leaves; its last look at the queue is over.
  if (server.words().is_leaving.load(std::memory_order_acquire) != 0) server.is_leaving = true;
  if (server.theirs != nullptr || server.is_broken) return {};
  // acquire: pairs with the release in `ServerPort::connect`: the row is there.
  const std::uint64_t row = server.words().rows[file_.seat()].load(std::memory_order_acquire);
  if (row == 0) return {};
  const std::uint64_t bytes = server.shape.bytes();
  if (!server.file.region().contains(row, bytes)) {
    if (auto grown = server.file.follow_growth(); !grown) return grown;
  }
  if (row % kCacheLineBytes != 0 || !server.file.region().contains(row, bytes)) {
    give_up(server, broken(server, "has a row outside the file"));
    return {};
  }
  const std::byte* theirs = server.file.region().data() + row;
  const auto* words = reinterpret_cast<const std::atomic<std::uint64_t>*>(theirs);
  // relaxed: ordered by the acquire before. An earlier client's on the same seat is another's.
  if (words[ServerRow::kClientOffset / 8].load(std::memory_order_relaxed) != file_.incarnation()) {
    return {};
  }
  // The server has made slots for this client.
  if (auto connected = server.slots.connect(); !connected) {
    give_up(server, connected.failure());
    return {};
  }
  server.theirs = theirs;
  server.requests->follow(server.word(ServerRow::kHeadOffset));
  for (std::uint32_t slot = 0; slot < options_.max_pending; ++slot) {
    server.lanes.emplace_back(words_of(server, shape_.heads_offset())[slot],
                              &server.word(server.shape.lane_offset(slot)), server.shape.depth);
  }
  return {};
}

std::atomic<std::uint64_t>* ClientPort::words_of(const ServerPeer& server,
                                                 std::uint64_t offset) const noexcept {
  return file_.region().at<std::atomic<std::uint64_t>>(server.row + offset);
}

/// A broken server is not asked and not read any more. What it has of this client stays as it is
/// until it is gone.
void ClientPort::give_up(ServerPeer& server, const Failure& failure) noexcept {
  server.is_broken = true;
  pending_failure_ = failure;
  for (std::uint32_t slot = 0; slot < options_.max_pending; ++slot) {
    Exchange& exchange = exchanges_[slot];
    if (!server.is_open(slot, exchange)) continue;
    server.deliveries[slot].is_failed = true;
    exchange.error = failure.code;
    --exchange.open;
  }
}

/// Whether nothing of a server that is gone is held or left to take.
bool ClientPort::is_done_with(const ServerPeer& server) const noexcept {
  for (std::uint32_t claim = 0; claim < options_.max_borrowed; ++claim) {
    if (claimed_by_[claim] == &server && cells_.is_held(options_.max_pending + claim)) {
      return false;
    }
  }
  for (std::uint32_t slot = 0; slot < options_.max_pending; ++slot) {
    if (server.has(slot, exchanges_[slot])) return false;
  }
  return true;
}

void ClientPort::drop_gone() noexcept {
  for (std::uint32_t slot = 0; slot < options_.max_pending; ++slot) {
    if (!cells_.is_held(slot)) (void)is_over(slot);
  }
  peers_.drop_if([this](ServerPeer& server) {
    if (!server.is_gone || !is_done_with(server)) return false;
    std::atomic<std::uint64_t>& row = file_.words<ClientFile>().rows[server.seat];
    // relaxed, both: this process's own word; the server that would read it is gone.
    if (row.load(std::memory_order_relaxed) == server.row) row.store(0, std::memory_order_relaxed);
    pool_.heap().deallocate(server.row);
    --gone_;
    return true;
  });
}

std::uint32_t ClientPort::present_servers() const noexcept {
  std::uint32_t count = 0;
  for (const ServerPeer& server : peers_) count += server.is_there() ? 1 : 0;
  return count;
}

}  // namespace sluice
