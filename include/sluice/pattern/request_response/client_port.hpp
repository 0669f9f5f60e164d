// SPDX-License-Identifier: Apache-2.0
//
// A client without its payload types: its file with the requests, which requests and responses are
// held, and the servers that it sends them to. Cell i stands for the request in slot i, as a loan
// and then as a pending one; cell slots() + c for the response that claim c holds.
//
// A request goes to every server that is there and has room: fewer than max_pending requests of
// this client that it has not ended, its backlog. One that nobody took waits for a server to come,
// or to have room. It is over when each server that it went to has ended it, or is gone.
//
// The user holds no more than max_pending requests. Those that were dropped, and that a server
// keeps, are replaced by slots of a surplus, as long as some server has room:
//
//   slots that exist = free + held by the user + kept by servers + spare
//                      └── max_pending at most ──┘
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/core/ring.hpp>
#include <sluice/memory/owned_slots.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/pattern/request_response/options.hpp>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <sluice/pattern/request_response/server_peer.hpp>
#include <sluice/service/peers.hpp>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop` and what says so.
class ClientPort final : public Port {
 public:
  /// Errors: see `Client::Client`.
  [[nodiscard]] static Result<ClientPort*> create(const Node& node,
                                                  const ServiceDescription& service,
                                                  const PayloadLayout& request,
                                                  const PayloadLayout& response,
                                                  const ClientOptions& options);
  /// For `create`, both.
  ClientPort(std::shared_ptr<Service> service, const PayloadLayout& request,
             const PayloadLayout& response, const ClientOptions& options);
  Result<void> open();

  /// Takes a slot whose last request is over. Wait-free, unless there is none.
  [[nodiscard]] Loaned loan() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    if (!pool_.has_free() && !collect()) [[unlikely]]
      return {.error = fail_too_many_requests()};
    const Slot slot = pool_.take();
    exchanges_[slot].is_sent = false;
    busy_.push_back(slot);
    const Cell cell(slot);
    (void)cells_.acquire(cell, cell + 1);  // its last handle is gone
    return {.payload = pool_.payload(slot), .cell = cell};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(std::uint64_t count) noexcept {
    const Loaned loaned = loan();
    return loaned.payload == nullptr ? loaned : sized(loaned, pool_, Slot(loaned.cell), count);
  }

  /// Dynamic payloads: where that of a loan is built.
  [[nodiscard]] SlotPool::Place place_of(Cell cell) noexcept { return pool_.place(Slot(cell)); }

  /// Sends the request of `cell` to every server. The cell goes on as that of a pending one, whose
  /// number, from 1, is its `sequence`. Wait-free; system calls only if somebody sleeps, or ports
  /// came or went.
  [[nodiscard]] Borrowed send(Cell cell) noexcept;

  /// The next response to the pending request of `cell`.
  [[nodiscard]] Borrowed receive(Cell cell) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell response = cells_.acquire(first_response_, cells_.count());
    if (response == kNoCell) [[unlikely]]
      return {.error = fail_all(Errc::too_many_borrowed, options_.max_borrowed,
                                "responses are held; release one", "ClientOptions::max_borrowed")};
    const Claim claim = response - first_response_;
    Borrowed borrowed = take(Slot(cell), claim);
    if (borrowed.payload == nullptr && waitables_[cell]->settle()) [[unlikely]]
      borrowed = take(Slot(cell), claim);
    if (borrowed.payload == nullptr) {
      cells_.withdraw(response);
      return {.error = report(pending_failure_)};
    }
    borrowed.cell = response;
    return borrowed;
  }
  /// Sleeps until there is one, or there will be none, at most `timeout`.
  [[nodiscard]] Borrowed wait(Cell cell, std::chrono::nanoseconds timeout) noexcept;

  /// What has become of the pending request of `cell`.
  [[nodiscard]] RequestFate fate(Cell cell) noexcept;
  /// Why it failed, where it did: peer_died, or what was wrong with the server. Otherwise ok.
  [[nodiscard]] Errc error_of(Cell cell) noexcept;
  /// A request that was answered by nobody.
  [[nodiscard]] Errc fail_unanswered() noexcept;

  /// Responses to a request are not wanted any more. Any thread.
  void give_back(const Borrowed& request) noexcept {
    waitables_[request.cell]->cut();
    if (is_forked()) [[unlikely]]
      return;  // the parent's
    // relaxed: nothing is ordered by it; the port's thread writes it again after `drop`.
    request.claim->store(0, std::memory_order_relaxed);
    if (exchanges_[request.cell].may_wait) wake();
    drop(request.cell);
  }

  /// For wait sets. Stays where it is while the request is pending.
  [[nodiscard]] Waitable& waitable(Cell cell) noexcept { return *waitables_[cell]; }
  /// See `Subscriber::fd`.
  [[nodiscard]] int fd(Cell cell) noexcept { return descriptor_of(*waitables_[cell]); }
  /// Servers that get what is sent now. System calls.
  [[nodiscard]] std::uint32_t servers() noexcept;

 private:
  /// A pending request, as a wait set sees it.
  class PendingRequest final : public Waitable {
   public:
    PendingRequest(ClientPort& port, Slot slot) noexcept : port_(port), slot_(slot) {}
    [[nodiscard]] Doorbell& doorbell() noexcept override { return port_.board().doorbell; }
    [[nodiscard]] const Directory& pipes() const noexcept override { return port_.directory(); }
    [[nodiscard]] mode_t pipe_mode() const noexcept override {
      return port_.service().shared_mode();
    }
    [[nodiscard]] bool is_ready() noexcept override;
    void look() noexcept override;
    void cut() noexcept { cut_link(); }
    [[nodiscard]] bool settle() noexcept { return settle_descriptor(); }

   private:
    ClientPort& port_;
    Slot slot_;
  };

  /// Takes the next response to the request in `slot`, and holds it in claim `claim`, which must be
  /// clear. Servers in turn. Wait-free; system calls only when ports came or went, a server grew,
  /// or nothing came for long.
  [[nodiscard]] Borrowed take(Slot slot, Claim claim) noexcept {
    follow_changes();
    Exchange& exchange = exchanges_[slot];
    const std::size_t count = peers_.size();
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (exchange.turn >= count) exchange.turn = 0;
      ServerPeer& server = peers_[exchange.turn++];
      if (!server.is_open(slot, exchange)) continue;
      if (const auto response = server.front(slot)) {
        return take_from(server, slot, *response, claim);
      }
      settle(server, slot);
    }
    if (owes_wake_) wake_servers();
    if (has_waiting_) [[unlikely]]
      deliver_waiting();
    if (exchange.silence.is_long()) [[unlikely]]
      look();
    if (gone_ != 0) [[unlikely]]
      drop_gone();
    return {};
  }
  Borrowed take_from(ServerPeer& server, Slot slot, Slot response, Claim claim) noexcept;

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (peers_.has_news()) [[unlikely]]
      look();
  }
  /// Who joined, left or died. System calls.
  void look() noexcept;
  Result<void> connect(ServerPeer& server);
  Result<void> meet(ServerPeer& server) noexcept;
  void give_up(ServerPeer& server, const Failure& failure) noexcept;
  void drop_gone() noexcept;
  [[nodiscard]] bool is_done_with(const ServerPeer& server) const noexcept;
  [[nodiscard]] std::uint32_t present_servers() const noexcept;

  void deliver(ServerPeer& server, Slot slot) noexcept;
  bool has_room(ServerPeer& server, std::uint32_t more = 0) noexcept;
  bool has_room_for_one_more() noexcept;
  [[nodiscard]] bool is_waiting(Slot slot) const noexcept;
  void deliver_waiting() noexcept;
  void settle(ServerPeer& server, Slot slot) noexcept;
  void settle(Slot slot) noexcept;
  [[nodiscard]] RequestFate fate_of(const ServerPeer& server, Slot slot) const noexcept;
  [[nodiscard]] RequestFate fate_now(Slot slot) noexcept;
  [[nodiscard]] bool is_ready(Slot slot) noexcept;
  bool is_over(Slot slot) noexcept;
  bool collect() noexcept;
  void collect_all() noexcept;
  bool collect_one() noexcept;
  bool use_surplus(bool may_grow) noexcept;
  /// Requests that the user has loaned, or that are pending.
  [[nodiscard]] std::uint32_t held() const noexcept;
  void wake_servers() noexcept {
    wake();
    owes_wake_ = false;
  }

  Errc fail_too_many_requests() noexcept;

  ClientOptions options_;
  PayloadLayout request_;
  PayloadLayout response_;
  ClientRow shape_;
  std::uint32_t first_response_;  // cell
  OwnedSlots pool_;
  std::vector<Slot> spare_;          // slots of the surplus that are not needed now
  std::uint64_t sent_ = 0;           // number of the last request
  bool has_waiting_ = false;         // a request, perhaps, that no server has
  bool owes_wake_ = false;           // a response was taken, and nobody was woken for it
  std::vector<Exchange> exchanges_;  // by slot
  Ring<Slot> busy_;                  // slots that are not free, the longest busy first
  Peers<ServerPeer> peers_;
  std::vector<const ServerPeer*> claimed_by_;               // by claim
  std::vector<std::unique_ptr<PendingRequest>> waitables_;  // by slot
  std::uint32_t gone_ = 0;                                  // servers that are gone
  std::pair<std::uint32_t, std::uint32_t> refused_with_;    // what the last too_many_loans says
  Failure pending_failure_;                                 // what a look or a take has found
  Deadline next_look_{std::chrono::nanoseconds{0}};         // for requests of the dead
};

}  // namespace sluice
