// SPDX-License-Identifier: Apache-2.0
//
// The servers of a client: who comes, who leaves, and the rows between them.
#include <bit>
#include <sluice/core/format.hpp>
#include <sluice/pattern/request_response/client_port.hpp>

namespace sluice {
namespace {

/// The head of a queue that no server has met yet.
const std::atomic<std::uint64_t> kNothingTaken{0};

}  // namespace

void ClientPort::look() noexcept {
  const std::size_t known = peers_.size();
  const auto looked = peers_.look([this](ServerPeer& server) { return connect(server); },
                                  [this](ServerPeer& server) { return meet(server); },
                                  [this](ServerPeer& server) {
                                    (void)meet(server);  // it may have answered before
                                    ++gone_;
                                  });
  if (!looked) pending_failure_ = looked.failure();
  const bool has_new = peers_.size() > known;
  for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) settle(slot);
  if (has_waiting_) deliver_waiting();
  if (has_new) peers_.announce_newcomers();  // the new servers are to find their rows
  if (gone_ != 0) drop_gone();
  note_loss();
}

Result<void> ClientPort::connect(ServerPeer& server) {
  server.incarnation = server.file.incarnation();
  const std::uint32_t depth = server.words().shape.read().depth;
  if (!std::has_single_bit(depth) || depth > kMaxResponseDepth) {
    return server.broken(format("has queues of {} responses", depth));
  }
  server.shape = {.slots = shape_.slots(), .depth = depth};
  server.slots = PeerSlots(server.file, server.words().slots, server.words().slot_count, response_);
  if (auto connected = server.slots.connect(); !connected) return connected;
  if (auto made = server.make_row(file_, pool_, shape_.bytes()); !made) return made;
  server.deliveries.resize(shape_.slots());
  server.requests.emplace(server.words_in(file_, ClientRow::kRequestsOffset), kNothingTaken,
                          shape_.queue_capacity());
  server.show_row(file_);
  return {};
}

/// Whether it takes no more requests; and this client's row in its file, if it has seen this
/// client. Errors: this process cannot follow the file's growth; to be tried again.
Result<void> ClientPort::meet(ServerPeer& server) noexcept {
  // acquire: pairs with the release when the server leaves; its last look at the queue is over.
  if (server.words().is_leaving.load(std::memory_order_acquire) != 0) server.is_leaving = true;
  if (server.theirs != nullptr || server.is_broken) return {};
  auto found = server.find_row(file_, server.shape.bytes());
  if (found && server.theirs == nullptr) return {};
  // The server has made slots for this client.
  if (found) found = server.slots.connect();
  if (!found) {
    server.theirs = nullptr;
    if (is_own_failure(found.error())) return found;
    give_up(server, found.failure());
    return {};
  }
  server.requests->follow(*server.words(ServerRow::kHeadOffset));
  for (std::uint32_t slot = 0; slot < shape_.slots(); ++slot) {
    server.lanes.emplace_back(server.words_in(file_, shape_.heads_offset())[slot],
                              server.words(server.shape.lane_offset(slot)), server.shape.depth);
  }
  return {};
}

/// A broken server is not asked and not read any more. What it has of this client stays as it is
/// until it is gone.
void ClientPort::give_up(ServerPeer& server, const Failure& failure) noexcept {
  server.is_broken = true;
  pending_failure_ = failure;
  for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) {
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
    if (claimed_by_[claim] == &server && cells_.is_held(first_response_ + claim)) {
      return false;
    }
  }
  for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) {
    if (server.has(slot, exchanges_[slot])) return false;
  }
  return true;
}

void ClientPort::drop_gone() noexcept {
  for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) {
    if (!cells_.is_held(slot)) (void)is_over(slot);
  }
  peers_.drop_if([this](ServerPeer& server) {
    if (!server.is_gone || !is_done_with(server)) return false;
    server.drop_row(file_, pool_);
    --gone_;
    return true;
  });
}

std::uint32_t ClientPort::present_servers() const noexcept {
  return peers_.count_if([](const ServerPeer& server) { return server.is_there(); });
}

}  // namespace sluice
