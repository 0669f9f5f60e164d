// SPDX-License-Identifier: Apache-2.0
//
// The clients of a server: who comes, who leaves, the rows between them, and the slots of responses
// that they use.
#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/queue/tagged_entry.hpp>

namespace sluice {
namespace {

/// Memory for responses that is there as soon as a client is, beside one response to each of its
/// requests and those that it may hold. Where responses are large, more is taken when it is needed.
constexpr std::uint64_t kBudgetBytes = std::uint64_t{256} << 10;

}  // namespace

void ServerPort::look_at_clients() noexcept {
  has_met_ = false;
  // A newcomer is met in a look of its own, which it is counted in.
  for (bool has_new = true; has_new;) {
    has_new = false;
    const auto looked = peers_.look(
        [&](ClientPeer& client) {
          auto prepared = prepare(client);
          has_new |= prepared.has_value();
          return prepared;
        },
        [this](ClientPeer& client) { return meet(client); },
        [this](ClientPeer& client) { depart(client); });
    if (!looked) pending_failure_ = looked.failure();
  }
  if (has_met_) peers_.announce_newcomers();  // the new clients are to find their rows
  if (!is_leaving_) peers_.conclude_look();
  if (gone_ != 0) drop_gone();
  note_loss();
}

/// What it has sent is still to be taken.
void ServerPort::depart(ClientPeer& client) noexcept {
  // relaxed: nothing is ordered by it.
  client.has_left.store(true, std::memory_order_relaxed);
  ++gone_;
  reclaim_all(client);
}

/// Whether everything that a client's file says of itself lies inside it.
Result<void> ServerPort::prepare(ClientPeer& client) {
  client.incarnation = client.file.incarnation();
  const auto [pending, borrowed] = client.words().shape.read();
  if (pending == 0 || pending > kMaxExchanges || borrowed == 0 || borrowed > kMaxExchanges) {
    return client.broken(format("has {} requests and holds {} responses", pending, borrowed));
  }
  client.their_shape = {.max_pending = pending, .max_borrowed = borrowed};
  client.shape = {.slots = client.their_shape.slots(), .depth = options_.depth};
  client.slots = PeerSlots(client.file, client.words().slots, client.words().slot_count, request_);
  if (auto connected = client.slots.connect(); !connected) return connected;
  if (client.slots.size() < pending) {
    return client.broken(format("has {} slots for {} requests", client.slots.size(), pending));
  }
  return {};
}

/// Finds this server's row in the client's file, if the client has seen this server, and connects
/// with it. Errors: this process is short of something; to be tried again.
Result<void> ServerPort::meet(ClientPeer& client) noexcept {
  if (client.requests || client.is_broken || is_leaving_) return {};
  if (auto found = client.find_row(file_, client.their_shape.bytes()); !found) {
    if (is_own_failure(found.error())) return found;
    give_up(client, found.failure());
    return {};
  }
  if (client.theirs == nullptr) return {};
  auto connected = connect(client);
  has_met_ |= connected.has_value() && !client.is_gone;
  return connected;
}

Result<void> ServerPort::connect(ClientPeer& client) {
  if (auto made = client.make_row(file_, pool_, client.shape.bytes()); !made) return made;
  client.lanes.reserve(client.shape.slots);
  add_lanes(client, client.their_shape.max_pending);
  client.requests.emplace(*client.words_in(file_, ServerRow::kHeadOffset),
                          client.words(ClientRow::kRequestsOffset),
                          client.their_shape.queue_capacity());
  if (client.is_gone) return {};      // it reads no responses
  (void)grow_to(slots_needed(true));  // where it fails, `pending_failure_` says so
  client.passed.reserve(pool_.size());
  client.show_row(file_);
  return {};
}

/// For the first `slots` of a client; for those of its surplus once they are used.
void ServerPort::add_lanes(ClientPeer& client, std::uint32_t slots) {
  const auto* heads = client.words(client.their_shape.heads_offset());
  for (auto slot = static_cast<std::uint32_t>(client.lanes.size()); slot < slots; ++slot) {
    auto* entries = client.words_in(file_, client.shape.lane_offset(slot));
    client.lanes.push_back({.responses = {entries, heads[slot], options_.depth},
                            .entries = entries,
                            .done = client.words_in(file_, client.shape.done_offset(slot)),
                            .limit = options_.depth});
  }
}

/// No more requests of a broken client are taken. What it has of this server it keeps until it is
/// gone.
Borrowed ServerPort::give_up(ClientPeer& client, const Failure& failure) noexcept {
  client.is_broken = true;
  client.requests.reset();
  pending_failure_ = failure;
  return {};
}

/// Connects with the clients that were gone before they were, and forgets those of which nothing is
/// left to take and nothing is held.
void ServerPort::drop_gone() noexcept {
  peers_.drop_if([this](ClientPeer& client) {
    if (!client.is_gone) return false;
    if (auto met = meet(client); !met) {
      pending_failure_ = met.failure();  // to be tried again
      return false;
    }
    if (client.requests && !client.requests->empty() && !is_leaving_) return false;
    const auto is_its = [&](Cell cell) {
      return cell < options_.max_requests && requests_[cell].client == &client;
    };
    if (cells_.held(is_its) != 0) return false;
    client.drop_row(file_, pool_);
    --gone_;
    return true;
  });
}

/// Moves on what the client has taken from a lane. The claims are to be read after this.
void ServerPort::pass(ClientPeer& client, Lane& lane) noexcept {
  const std::uint64_t consumed = lane.responses.consumed();
  pass_until(client, lane, consumed);
  lane.limit = consumed + options_.depth;
}

void ServerPort::pass_until(ClientPeer& client, Lane& lane, std::uint64_t position) noexcept {
  for (; lane.reclaimed < position; ++lane.reclaimed) {
    // relaxed: this process's own word.
    const std::uint64_t entry =
        lane.entries[lane.reclaimed & (options_.depth - 1)].load(std::memory_order_relaxed);
    client.passed.emplace_back(TaggedEntry::index(entry));
  }
}

/// At once: so many as are made when a client comes; otherwise, as many as can be in use.
std::uint64_t ServerPort::slots_needed(bool at_once) const noexcept {
  std::uint64_t slots = options_.max_loans;
  const std::uint64_t affordable = kBudgetBytes / SlotPool::slot_bytes(pool_.layout());
  for (ClientPeer& client : peers_) {
    if (client.lanes.empty() || client.is_gone) continue;
    const std::uint64_t pending = client.their_shape.max_pending;
    const std::uint64_t usual = std::min(pending * options_.depth, std::max(pending, affordable));
    const std::uint64_t most = std::uint64_t{client.shape.slots} * options_.depth;
    slots += client.their_shape.max_borrowed + (at_once ? usual : most);
  }
  return std::min<std::uint64_t>(slots, TaggedEntry::kMaxIndex);
}

Result<void> ServerPort::grow_to(std::uint64_t slots) {
  auto grown = pool_.grow_to(slots, "responses");
  marks_.resize(pool_.size(), 0);
  for (ClientPeer& client : peers_) client.passed.reserve(pool_.size());
  if (!grown) pending_failure_ = grown.failure();
  return grown;
}

bool ServerPort::find_free() noexcept {
  reclaim();
  if (pool_.has_free()) return true;
  look_at_clients();  // a client may be dead
  reclaim();
  if (pool_.has_free()) return true;
  if (pool_.size() < slots_needed(false)) {
    (void)grow_to(pool_.size() + 1);
  } else {
    pending_failure_ = {Errc::no_memory,
                        format("all {} slots of responses are in use", pool_.size())};
  }
  return pool_.has_free();
}

void ServerPort::reclaim() noexcept {
  for (ClientPeer& client : peers_) reclaim(client);
}

/// Frees what a client has taken and does not claim any more.
void ServerPort::reclaim(ClientPeer& client) noexcept {
  if (client.lanes.empty() || client.is_gone) return;
  for (Lane& lane : client.lanes) {
    if (lane.reclaimed != lane.responses.position()) pass(client, lane);
  }
  if (client.passed.empty()) return;
  ++looks_;
  const auto* claims = client.words(client.their_shape.claims_offset());
  for (std::uint32_t i = 0; i < client.their_shape.max_borrowed; ++i) {
    // acquire, and after the heads: pairs with the release of the claim, which comes before the
    // head; where it was cleared, the payload was read.
    const std::uint64_t slot = claims[i].load(std::memory_order_acquire) - 1;
    if (slot < marks_.size()) marks_[slot] = looks_;
  }
  std::erase_if(client.passed, [this](Slot slot) {
    if (marks_[slot] == looks_) return false;
    pool_.give_back(slot);
    return true;
  });
}

/// Frees all that a client had that is gone.
void ServerPort::reclaim_all(ClientPeer& client) noexcept {
  for (Lane& lane : client.lanes) pass_until(client, lane, lane.responses.position());
  for (const Slot slot : client.passed) pool_.give_back(slot);
  client.passed.clear();
}

}  // namespace sluice
