// SPDX-License-Identifier: Apache-2.0
//
// A server without its payload types: its file with the responses, which requests and loans of
// responses are held, and the clients that it serves in turn. Cell r stands for a request that was
// taken, cell max_requests + l for loan l of a response.
//
// A response's slot is in use while the response is in a lane, and then while a claim of that
// client names it. A client that is gone uses none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/memory/owned_slots.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/pattern/request_response/client_peer.hpp>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/pattern/request_response/options.hpp>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <sluice/service/peers.hpp>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except `drop` and what says so.
class ServerPort final : public ReceivingPort {
 public:
  /// Errors: see `Server::Server`.
  [[nodiscard]] static Result<ServerPort*> create(const Node& node,
                                                  const ServiceDescription& service,
                                                  const PayloadLayout& request,
                                                  const PayloadLayout& response,
                                                  const ServerOptions& options);
  /// For `create`, both.
  ServerPort(std::shared_ptr<Service> service, const PayloadLayout& request,
             const PayloadLayout& response, const ServerOptions& options);
  Result<void> open();

  /// The next request of the client whose turn it is. Wait-free; system calls only when ports came
  /// or went, or a client's file grew.
  [[nodiscard]] Borrowed receive() noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell cell = cells_.acquire(0, options_.max_requests);
    if (cell == kNoCell) [[unlikely]]
      return {.error = fail_all(Errc::too_many_borrowed, options_.max_requests,
                                "requests are held; end one", "ServerOptions::max_requests")};
    Borrowed request = take(cell);
    if (request.payload == nullptr && settle_descriptor()) [[unlikely]]
      request = take(cell);
    if (request.payload == nullptr) {
      cells_.withdraw(cell);
      request.error = report(pending_failure_);
    }
    return request;
  }
  /// Sleeps until there is one, at most `timeout`.
  [[nodiscard]] Borrowed wait(std::chrono::nanoseconds timeout) noexcept;

  /// Room for a response to the request of `cell`. Wait-free; system calls only when ports came or
  /// went, or memory is short.
  [[nodiscard]] Loaned loan(Cell cell) noexcept {
    if (is_forked()) [[unlikely]]
      return {.error = fail_forked()};
    const Cell handle = cells_.acquire(options_.max_requests, cells_.count());
    if (handle == kNoCell) [[unlikely]]
      return {.error = fail_all(Errc::too_many_loans, options_.max_loans,
                                "loans are held; send or drop one", "ServerOptions::max_loans")};
    HeldLoan& loan = loan_of(handle);
    if (loan.slot != kNoSlot) pool_.give_back(loan.slot);  // of a loan that was dropped
    loan.slot = kNoSlot;
    if (const Errc error = acquire(cell, loan); error != Errc::ok) [[unlikely]] {
      cells_.withdraw(handle);
      return {.error = fail_loan(error)};
    }
    return {.payload = pool_.payload(loan.slot), .cell = handle};
  }
  /// A slice of `count` elements.
  [[nodiscard]] Loaned loan_slice(Cell cell, std::uint64_t count) noexcept {
    return sized(loan(cell), count);
  }
  /// Waits for room, at most `timeout`.
  [[nodiscard]] Loaned loan_for(Cell cell, std::chrono::nanoseconds timeout) noexcept;
  [[nodiscard]] Loaned loan_slice_for(Cell cell, std::chrono::nanoseconds timeout,
                                      std::uint64_t count) noexcept {
    return sized(loan_for(cell, timeout), count);
  }

  /// Dynamic responses: where that of a loan is built.
  [[nodiscard]] SlotPool::Place place_of(Cell handle) noexcept {
    return pool_.place(loan_of(handle).slot);
  }

  /// Sends what the loan of `handle` holds as a response to the request of `cell`. Wait-free; a
  /// system call only if somebody sleeps.
  void respond(Cell cell, Cell handle) noexcept {
    HeldLoan& loan = loan_of(handle);
    if (is_forked() || !is_for(loan, cell)) [[unlikely]]
      abort_with("respond with a loan that was made for another request, or in a forked child");
    send(requests_[cell], std::exchange(loan.slot, kNoSlot));
    cells_.withdraw(handle);
  }

  /// A request is done with: ends its stream and gives its memory back. Any thread.
  void give_back(const Borrowed& request) noexcept {
    if (is_forked()) [[unlikely]]
      return;  // the parent's
    end_request(*request.claim, request.sequence);
    wake();
    drop(request.cell);
  }

  /// Whether nobody wants responses to the request of `cell` any more, as far as this process
  /// knows. Any thread.
  [[nodiscard]] bool is_abandoned(Cell cell) const noexcept;
  /// The same, after a look whether the client lives. Any thread; a system call.
  [[nodiscard]] bool is_abandoned_or_dead(Cell cell) const noexcept;

  [[nodiscard]] bool is_ready() noexcept override;
  void look() noexcept override;

  /// Clients that this server is connected with. System calls.
  [[nodiscard]] std::uint32_t clients() noexcept;
  /// Slots for responses that exist.
  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_.size(); }

 private:
  /// A request that was taken.
  struct HeldRequest {
    ClientPeer* client = nullptr;
    const std::atomic<std::uint64_t>* wanted = nullptr;
    std::uint64_t number = 0;  ///< the client counts its requests from 1
    std::uint64_t ticket = 0;  ///< this server counts those that it took from 1
    Slot slot = 0;             ///< the client's
  };
  /// A loan, and the request that it is for.
  struct HeldLoan {
    Slot slot = kNoSlot;
    Cell cell;
    std::uint64_t ticket = 0;
  };

  void before_close() noexcept override;
  void leave() noexcept;

  [[nodiscard]] Borrowed take(Cell cell) noexcept {
    follow_changes();
    const std::size_t count = peers_.size();
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (turn_ >= count) turn_ = 0;
      ClientPeer& client = peers_[turn_++];
      if (!client.requests) continue;
      if (const auto slot = client.requests->front()) return take_from(client, *slot, cell);
      if (client.requests->broken()) [[unlikely]]
        give_up(client,
                client.broken("has a queue of requests with an entry of an impossible position"));
    }
    if (gone_ != 0) [[unlikely]]
      drop_gone();
    return {};
  }
  Borrowed take_from(ClientPeer& client, Slot slot, Cell cell) noexcept;
  [[nodiscard]] bool has_new() const noexcept;
  [[nodiscard]] std::uint32_t present_clients() const noexcept;

  [[nodiscard]] HeldLoan& loan_of(Cell handle) noexcept {
    return loans_[handle - options_.max_requests];
  }
  [[nodiscard]] bool is_for(const HeldLoan& loan, Cell cell) const noexcept {
    return loan.cell == cell && loan.ticket == requests_[cell].ticket;
  }
  /// A slot for `loan`, which is then for the request of `cell`. Returns ok, would_block,
  /// abandoned, or why there is no slot, with `pending_failure_`.
  [[nodiscard]] Errc acquire(Cell cell, HeldLoan& loan) noexcept;
  [[nodiscard]] std::uint32_t loans_for(Cell cell, const HeldLoan* but) const noexcept;
  bool has_room(Cell cell, const HeldLoan* loan) noexcept;
  void send(const HeldRequest& request, Slot slot) noexcept;
  [[nodiscard]] Loaned sized(const Loaned& loaned, std::uint64_t count) noexcept {
    if (loaned.payload == nullptr) return loaned;
    return Port::sized(loaned, pool_, loan_of(loaned.cell).slot, count);
  }
  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (peers_.has_news()) [[unlikely]]
      look_at_clients();
  }
  /// Who joined, left or died. System calls.
  void look_at_clients() noexcept;
  Result<void> prepare(ClientPeer& client);
  Result<void> meet(ClientPeer& client) noexcept;
  Result<void> connect(ClientPeer& client);
  void depart(ClientPeer& client) noexcept;
  void add_lanes(ClientPeer& client, std::uint32_t slots);
  Borrowed give_up(ClientPeer& client, const Failure& failure) noexcept;
  void drop_gone() noexcept;

  void pass(ClientPeer& client, Lane& lane) noexcept;
  void pass_until(ClientPeer& client, Lane& lane, std::uint64_t position) noexcept;
  bool find_free() noexcept;
  void reclaim() noexcept;
  void reclaim(ClientPeer& client) noexcept;
  void reclaim_all(ClientPeer& client) noexcept;
  [[nodiscard]] std::uint64_t slots_needed(bool at_once) const noexcept;
  Result<void> grow_to(std::uint64_t slots);

  Errc fail_loan(Errc code) noexcept;

  ServerOptions options_;  // the depth is a power of two
  PayloadLayout request_;
  PayloadLayout response_;
  OwnedSlots pool_;
  Peers<ClientPeer> peers_;
  std::size_t turn_ = 0;
  std::uint64_t tickets_ = 0;
  std::vector<HeldRequest> requests_;  // by cell
  std::vector<HeldLoan> loans_;        // by cell - max_requests
  std::vector<std::uint64_t> marks_;   // by slot: look in which it was last seen claimed
  std::uint64_t looks_ = 0;            // for claims
  std::uint32_t gone_ = 0;             // clients that are gone
  bool has_met_ = false;               // a client in this look for clients
  bool is_leaving_ = false;
  Failure pending_failure_;  // what a look or a take has found
};

}  // namespace sluice
