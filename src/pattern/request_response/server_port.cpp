// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <sluice/core/format.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>

namespace sluice {
namespace {

/// Address space is reserved for so many clients with the default options.
constexpr std::uint64_t kReservedClients = 64;
constexpr std::uint64_t kUsualPending = 16;
constexpr std::uint64_t kUsualBorrowed = 4;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{64} << 20;

std::uint64_t reserved_bytes(std::uint64_t heap_offset, const PayloadLayout& response,
                             const ServerOptions& options) {
  const ServerRow usual{.slots = kSlotsPerPending * kUsualPending, .depth = options.depth};
  const std::uint64_t slots =
      options.max_loans + kReservedClients * (kUsualPending * options.depth + kUsualBorrowed);
  const std::uint64_t wanted =
      heap_offset + 2ULL * kMaxSeats * usual.bytes() + SlotPool::reserved_bytes(response, slots);
  return std::clamp(wanted, kLeastReservedBytes, kMaxReservedBytes);
}

}  // namespace

const PortKind kServerKind{"server", FileKind::server};

ServerPort::ServerPort(std::shared_ptr<Service> service, const PayloadLayout& request,
                       const PayloadLayout& response, const ServerOptions& options)
    : ReceivingPort(kServerKind, std::move(service), options.max_requests + options.max_loans),
      options_(options),
      request_(request),
      response_(response),
      peers_(this->service(), {kClientKind, sizeof(ClientFile)}, &file_),
      requests_(options.max_requests),
      loans_(options.max_loans) {
  options_.depth = std::bit_ceil(options.depth);
}

Result<ServerPort*> ServerPort::create(const Node& node, const ServiceDescription& service,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ServerOptions& options) {
  const auto checked =
      require({{"ServerOptions::max_requests", options.max_requests, 1, kMaxExchanges},
               {"ServerOptions::max_loans", options.max_loans, 1, kMaxExchanges},
               {"ServerOptions::depth", options.depth, 1, kMaxResponseDepth},
               {"ServerOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
  return open_port<ServerPort>(node, service, options.mode, checked, request, response, options);
}

Result<void> ServerPort::open() {
  const std::uint64_t heap_offset = sizeof(ServerFile);
  if (auto made = create_file(heap_offset + 1024, reserved_bytes(heap_offset, response_, options_));
      !made)
    return made;
  auto& words = file_.words<ServerFile>();
  words.shape.write({.depth = options_.depth, .unused = 0});
  if (auto opened = pool_.open(file_.shared(), words.slots, words.slot_count, heap_offset,
                               response_, [this] { reclaim(); });
      !opened) {
    return opened;
  }
  if (auto grown = grow_to(slots_needed(true)); !grown) return grown;
  if (auto joined = file_.join(); !joined) return joined;
  look_at_clients();
  // What is no good in another's file is for the first call to say.
  return is_own_failure(pending_failure_.code) ? Result<void>(pending_failure_) : Result<void>();
}

void ServerPort::before_close() noexcept {
  ReceivingPort::before_close();
  if (!is_forked() && cells_.held() != 0) leave();
}

/// Takes no more requests. Those that are held go on.
void ServerPort::leave() noexcept {
  is_leaving_ = true;
  // release: pairs with the acquire in `ClientPort::meet`; what was taken is in the heads.
  file_.words<ServerFile>().is_leaving.store(1, std::memory_order_release);
  // Nothing needs to be kept for it any more.
  file_.note_look(UINT64_MAX);
  reap_senders_to(directory(), kServerKind);
  board().announce_change(directory());
}

Borrowed ServerPort::wait(std::chrono::nanoseconds timeout) noexcept {
  const Borrowed request = take_or_sleep(
      timeout, [this] { return receive(); },
      [this](std::chrono::nanoseconds left) {
        if (sleep_unless([this] { return has_new(); }, left)) look_at_clients();
      });
  if (request.error == Errc::timed_out) {
    const std::uint32_t clients = present_clients();
    fail_timed_out(
        format("no request for {} ms; {} clients are connected", to_ms(timeout), clients), clients,
        timeout);
  }
  return request;
}

Borrowed ServerPort::take_from(ClientPeer& client, Slot slot, Cell cell) noexcept {
  if (slot >= client.lanes.size()) [[unlikely]] {
    if (slot >= client.shape.slots) {
      return give_up(client, client.broken(format("sends request slot {}", slot)));
    }
    add_lanes(client, slot + 1);
  }
  if (const auto* payload = client.slots.peek(slot)) __builtin_prefetch(payload);
  Lane& lane = client.lanes[slot];
  // relaxed: the client saw it before it used the slot again.
  if (lane.done->load(std::memory_order_relaxed) != lane.number) [[unlikely]]
    return give_up(client, client.broken("sends a request again before its end"));
  const PeerSlots::Payload payload = client.slots.payload(slot);
  if (payload.data == nullptr) [[unlikely]]
    return give_up(client, client.slots.failure());
  const auto* header = reinterpret_cast<const MessageHeader*>(client.slots.header(slot));
  // relaxed: ordered by the acquire of the entry.
  lane.number = header->number.load(std::memory_order_relaxed);
  client.requests->pop();
  requests_[cell] = {.client = &client,
                     .wanted = &header->wanted,
                     .number = lane.number,
                     .ticket = ++tickets_,
                     .slot = slot};
  return {.payload = payload.data,
          .count = payload.count,
          .claim = lane.done,
          .sequence = lane.number,
          .publisher = client.incarnation,
          .cell = cell};
}

bool ServerPort::has_new() const noexcept {
  if (peers_.has_news() || pending_failure_.code != Errc::ok) return true;
  for (const ClientPeer& client : peers_) {
    if (client.requests && !client.requests->empty()) return true;
  }
  return false;
}

bool ServerPort::is_abandoned(Cell cell) const noexcept {
  const HeldRequest& request = requests_[cell];
  // relaxed, both: nothing is ordered by it.
  return request.client->has_left.load(std::memory_order_relaxed) ||
         request.wanted->load(std::memory_order_relaxed) != request.number;
}

bool ServerPort::is_abandoned_or_dead(Cell cell) const noexcept {
  return is_abandoned(cell) || !is_locked(requests_[cell].client->file.file());
}

std::uint32_t ServerPort::loans_for(Cell cell, const HeldLoan* but) const noexcept {
  return cells_.held([&](Cell held) {
    if (held < options_.max_requests) return false;
    const HeldLoan& loan = loans_[held - options_.max_requests];
    return &loan != but && is_for(loan, cell);
  });
}

/// Whether one more response than those loaned fits into the lane of a request.
bool ServerPort::has_room(Cell cell, const HeldLoan* loan) noexcept {
  const HeldRequest& request = requests_[cell];
  Lane& lane = request.client->lanes[request.slot];
  if (lane.responses.position() + options_.max_loans <= lane.limit) return true;
  const std::uint64_t end = lane.responses.position() + loans_for(cell, loan);
  if (end < lane.limit) return true;
  pass(*request.client, lane);
  return end < lane.limit;
}

Errc ServerPort::acquire(Cell cell, HeldLoan& loan) noexcept {
  follow_changes();
  const HeldRequest& request = requests_[cell];
  if (is_abandoned(cell)) return Errc::abandoned;
  if (!has_room(cell, &loan)) return Errc::would_block;
  if (!pool_.has_free() && !find_free()) [[unlikely]]
    return pending_failure_.code;
  loan = {.slot = pool_.take(), .cell = cell, .ticket = request.ticket};
  return Errc::ok;
}

void ServerPort::send(const HeldRequest& request, Slot slot) noexcept {
  ClientPeer& client = *request.client;
  auto* header = reinterpret_cast<MessageHeader*>(pool_.header(slot));
  // relaxed: ordered by the entry in the lane.
  header->number.store(request.number, std::memory_order_relaxed);
  if (client.is_gone || !client.lanes[request.slot].responses.try_push(slot)) [[unlikely]] {
    return pool_.give_back(slot);
  }
  wake();
  pool_.prefetch_next();
}

Loaned ServerPort::loan_for(Cell cell, std::chrono::nanoseconds timeout) noexcept {
  const auto may_go_on = [&] {
    return peers_.has_news() || is_abandoned(cell) || has_room(cell, nullptr);
  };
  const Loaned loaned = take_or_sleep(
      timeout, [&] { return loan(cell); },
      [&](std::chrono::nanoseconds left) {
        if (sleep_unless(may_go_on, left)) look_at_clients();
      });
  if (loaned.error == Errc::timed_out) {
    fail(Errc::timed_out,
         format("no room for {} ms, because the client does not read on", to_ms(timeout)));
  }
  return loaned;
}

bool ServerPort::is_ready() noexcept {
  if (is_forked()) return false;
  follow_changes();
  return has_new();
}

void ServerPort::look() noexcept {
  if (!is_forked()) look_at_clients();
}

std::uint32_t ServerPort::clients() noexcept {
  if (is_forked()) return 0;
  look_at_clients();
  return present_clients();
}

std::uint32_t ServerPort::present_clients() const noexcept {
  return peers_.count_if(
      [](const ClientPeer& client) { return client.requests && !client.is_gone; });
}

Errc ServerPort::fail_loan(Errc code) noexcept {
  if (code != Errc::would_block && code != Errc::abandoned) return report(pending_failure_);
  if (last_failure().code == code) return code;
  const char* const why = code == Errc::would_block
                              ? "no room, because the client has not read on; use loan_for to wait"
                              : "the client has dropped the request, or is gone; end the request";
  return fail(code, why);
}

}  // namespace sluice
