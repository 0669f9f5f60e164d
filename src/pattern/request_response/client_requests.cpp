// SPDX-License-Identifier: Apache-2.0
//
// The requests of a client: how they go to the servers, how their responses come back, and when
// their slots are free again.
#include <sluice/pattern/request_response/client_port.hpp>

namespace sluice {
namespace {

MessageHeader& header_of(std::byte* slot) noexcept {
  return *reinterpret_cast<MessageHeader*>(slot);
}
const MessageHeader& header_of(const std::byte* slot) noexcept {
  return *reinterpret_cast<const MessageHeader*>(slot);
}

}  // namespace

Borrowed ClientPort::send(Cell cell) noexcept {
  if (is_forked()) [[unlikely]]
    abort_with("send of a loan in a forked child; make a client of its own");
  follow_changes();
  const Slot slot(cell);
  Exchange& exchange = exchanges_[slot];
  exchange = {.number = ++sent_, .is_sent = true, .turn = exchange.turn, .silence = {}};
  // relaxed, both: ordered by the entry in the queue.
  MessageHeader& header = header_of(pool_.header(slot));
  header.number.store(exchange.number, std::memory_order_relaxed);
  header.wanted.store(exchange.number, std::memory_order_relaxed);
  if (has_waiting_) [[unlikely]]
    deliver_waiting();  // those that were sent before
  for (ServerPeer& server : peers_) {
    if (server.is_there()) deliver(server, slot);
  }
  has_waiting_ |= exchange.open == 0;
  wake_servers();
  // Now there is time until the response comes: for the next request, find a slot that is free, and
  // get its line back from the servers that read it.
  collect_one();
  pool_.prefetch_next();
  return {.payload = pool_.payload(slot),
          .claim = &header.wanted,
          .sequence = exchange.number,
          .cell = cell};
}

/// Whether one more request may go to a server, after `more` of them. One that has too many is
/// passed over.
bool ClientPort::has_room(ServerPeer& server, std::uint32_t more) noexcept {
  if (server.backlog + more < options_.max_pending) [[likely]]
    return true;
  if (server.theirs == nullptr) return false;
  for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) {
    const DeliveredRequest& delivery = server.deliveries[slot];
    // acquire: pairs with the release in `end_request`, before which the request was taken: the
    // queue has room for the next one.
    if (delivery.is_counted &&
        server.words(server.shape.done_offset(slot))->load(std::memory_order_acquire) ==
            delivery.sent.number) {
      server.discount(slot);
    }
  }
  return server.backlog + more < options_.max_pending;
}

void ClientPort::deliver(ServerPeer& server, Slot slot) noexcept {
  if (!has_room(server)) [[unlikely]]
    return;
  Exchange& exchange = exchanges_[slot];
  const std::uint64_t position = server.requests->position();
  if (!server.requests->try_push(slot)) [[unlikely]] {
    give_up(server, server.broken("ends requests that it has not taken"));
    return;
  }
  server.deliveries[slot] = {.sent = {.number = exchange.number, .position = position},
                             .is_counted = true};
  ++server.backlog;
  ++exchange.open;
}

/// Whether no server has the request in `slot`, and it is still wanted.
bool ClientPort::is_waiting(Slot slot) const noexcept {
  const Exchange& exchange = exchanges_[slot];
  // relaxed: if it is dropped at this moment, the server will see that.
  return exchange.is_sent && exchange.open == 0 && !exchange.has_ended &&
         exchange.error == Errc::ok &&
         header_of(pool_.header(slot)).wanted.load(std::memory_order_relaxed) == exchange.number;
}

/// Requests that wait go, in the order in which they were sent, to all who did not get them yet and
/// have room.
void ClientPort::deliver_waiting() noexcept {
  has_waiting_ = false;
  for (std::uint64_t last = 0;;) {
    Slot first = kNoSlot;
    for (std::uint32_t slot = 0; slot < pool_.size(); ++slot) {
      const std::uint64_t number = exchanges_[slot].number;
      if (number > last && is_waiting(slot) &&
          (first == kNoSlot || number < exchanges_[first].number)) {
        first = slot;
      }
    }
    if (first == kNoSlot) break;
    Exchange& exchange = exchanges_[first];
    for (ServerPeer& server : peers_) {
      if (server.is_there() && !server.has(first, exchange)) deliver(server, first);
    }
    if (exchange.open == 0) {  // neither is there room for those that were sent later
      has_waiting_ = true;
      break;
    }
    last = exchange.number;
    owes_wake_ = true;
  }
  if (owes_wake_) wake_servers();
}

Borrowed ClientPort::take_from(ServerPeer& server, Slot slot, Slot response, Claim claim) noexcept {
  if (const auto* payload = server.slots.peek(response)) __builtin_prefetch(payload);
  std::atomic<std::uint64_t>& word = server.words_in(file_, shape_.claims_offset())[claim];
  // release, even over a cleared claim: the server may read this value instead of the 0 before it,
  // and must still come after the reads of the payload that the 0 ended.
  word.store(std::uint64_t{std::uint32_t{response}} + 1, std::memory_order_release);
  const PeerSlots::Payload payload = server.slots.payload(response);
  Exchange& exchange = exchanges_[slot];
  // relaxed: ordered by the acquire of the entry.
  if (payload.data == nullptr ||
      header_of(server.slots.header(response)).number.load(std::memory_order_relaxed) !=
          exchange.number) [[unlikely]] {
    // release: pairs with the acquire of the claims in `ServerPort::reclaim`.
    word.store(0, std::memory_order_release);
    give_up(server, payload.data == nullptr
                        ? server.slots.failure()
                        : server.broken("answers a request that it was not sent"));
    return {};
  }
  server.lanes[slot].pop();  // the claim comes first
  claimed_by_[claim] = &server;
  exchange.silence.end();
  // There is room in the lane now. Where nothing more is in it, nobody waits for that, unless the
  // server fills the lane at this moment: then the next call will tell it.
  const bool is_last = server.lanes[slot].empty() && server.shape.depth > 1;
  owes_wake_ = is_last;
  if (!is_last) wake_servers();
  exchange.may_wait = !is_last;
  return {.payload = payload.data,
          .count = payload.count,
          .claim = &word,
          .sequence = server.deliveries[slot].taken++,
          .publisher = server.incarnation};
}

/// Nothing was found in the lane of `slot`: whether nothing more will be.
void ClientPort::settle(ServerPeer& server, Slot slot) noexcept {
  if (server.theirs != nullptr && server.lanes[slot].broken()) [[unlikely]]
    give_up(server,
            server.broken("has a queue of responses with an entry of an impossible position"));
  Exchange& exchange = exchanges_[slot];
  DeliveredRequest& delivery = server.deliveries[slot];
  const RequestFate fate = fate_of(server, slot);
  if (fate == RequestFate::open) return;
  delivery.is_over = true;
  server.discount(slot);
  if (delivery.is_failed) return;
  --exchange.open;
  if (fate == RequestFate::ended) {
    exchange.has_ended = true;
  } else if (fate == RequestFate::died) {
    exchange.error = Errc::peer_died;
  } else {
    has_waiting_ |= exchange.open == 0;
  }
}

void ClientPort::settle(Slot slot) noexcept {
  for (ServerPeer& server : peers_) {
    if (server.is_open(slot, exchanges_[slot]) && server.is_empty(slot)) settle(server, slot);
  }
}

RequestFate ClientPort::fate_of(const ServerPeer& server, Slot slot) const noexcept {
  const DeliveredRequest& delivery = server.deliveries[slot];
  if (server.theirs == nullptr) {  // it has not seen this client
    return server.is_gone || server.is_leaving ? RequestFate::untaken : RequestFate::open;
  }
  return sluice::fate_of(delivery.sent, *server.words(server.shape.done_offset(slot)),
                         *server.words(ServerRow::kHeadOffset), server.is_gone, server.is_leaving,
                         delivery.is_failed ? nullptr : &server.lanes[slot]);
}

RequestFate ClientPort::fate_now(Slot slot) noexcept {
  Exchange& exchange = exchanges_[slot];
  settle(slot);
  if (has_waiting_) deliver_waiting();
  if (exchange.open != 0) return RequestFate::open;
  if (exchange.has_ended) return RequestFate::ended;
  return exchange.error != Errc::ok ? RequestFate::died : RequestFate::untaken;
}

bool ClientPort::is_ready(Slot slot) noexcept {
  if (pending_failure_.code != Errc::ok) return true;
  const RequestFate now = fate_now(slot);
  if (now == RequestFate::ended || now == RequestFate::died) return true;
  for (const ServerPeer& server : peers_) {
    if (server.is_open(slot, exchanges_[slot]) && !server.is_empty(slot)) return true;
  }
  return false;
}

/// Whether nobody looks at the request in `slot` any more, which its user has dropped.
bool ClientPort::is_over(Slot slot) noexcept {
  const Exchange& exchange = exchanges_[slot];
  for (ServerPeer& server : peers_) {
    if (!server.has(slot, exchange)) continue;
    if (!server.deliveries[slot].is_failed) {
      // What the server has sent until now; what comes later is found the next time.
      for (std::uint32_t i = 0; i < server.shape.depth && server.front(slot); ++i) {
        server.lanes[slot].pop();
      }
    }
    settle(server, slot);
    if (server.has(slot, exchange)) return false;
  }
  return true;
}

/// Looks at the slot that has been busy for longest. Returns whether it is free now.
bool ClientPort::collect_one() noexcept {
  if (busy_.empty()) return false;
  const Slot slot = busy_.pop_front();
  if (cells_.is_held(Cell(slot)) || !is_over(slot)) {
    busy_.push_back(slot);
    return false;
  }
  // In place of this one, a slot of the surplus may have come.
  if (pool_.size() - spare_.size() > options_.max_pending && !has_room_for_one_more())
      [[unlikely]] {
    pool_.release_blocks({&slot, 1});
    spare_.push_back(slot);
    return false;
  }
  pool_.give_back(slot);
  return true;
}

void ClientPort::collect_all() noexcept {
  for (std::size_t left = busy_.count(); left > 0; --left) collect_one();
}

bool ClientPort::collect() noexcept {
  collect_all();
  if (pool_.has_free() || use_surplus(false)) return true;
  if (peers_.has_news() || next_look_.left().count() == 0) {  // who has it may be dead
    look();
    next_look_ = Deadline(kLongestSleep / 2);
    collect_all();
  }
  return pool_.has_free() || use_surplus(true);
}

/// Whether the user may hold one more request, and some server has room for it and for all that is
/// loaned or may be. Where no server is there, those to come have room.
bool ClientPort::has_room_for_one_more() noexcept {
  if (pool_.free_count() + held() >= options_.max_pending) return false;
  const std::uint32_t loaned = cells_.held(
      [this](Cell cell) { return cell < first_response_ && !exchanges_[cell].is_sent; });
  bool is_any_there = false;
  for (ServerPeer& server : peers_) {
    if (!server.is_there()) continue;
    if (has_room(server, pool_.free_count() + loaned)) return true;
    is_any_there = true;
  }
  return !is_any_there;
}

/// Replaces a request that was dropped, and that a server keeps; unless the client is to be held
/// up. Precondition: no slot is free.
bool ClientPort::use_surplus(bool may_grow) noexcept {
  if (!has_room_for_one_more()) return false;
  if (!spare_.empty()) {
    pool_.give_back(spare_.back());
    spare_.pop_back();
  } else if (may_grow && pool_.size() < shape_.slots()) {
    (void)pool_.grow_to(pool_.size() + 1, "requests");
  }
  return pool_.has_free();
}

}  // namespace sluice
