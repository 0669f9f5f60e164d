// SPDX-License-Identifier: Apache-2.0
//
// What a client knows of its requests, and of the servers that it sends them to.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <sluice/core/index.hpp>
#include <sluice/pattern/request_response/exchange_peer.hpp>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <sluice/queue/spsc_index_queue.hpp>
#include <sluice/wait/silence.hpp>
#include <vector>

namespace sluice {

/// One request of a client, to all servers.
struct Exchange {
  std::uint64_t number = 0;
  bool is_sent = false;
  bool has_ended = false;  ///< one server ended it
  Errc error = Errc::ok;   ///< of a server that did not live to
  std::uint32_t open = 0;  ///< servers of which more may be taken
  bool may_wait = true;    ///< a server for room for its next response, as far as can be seen
  std::size_t turn = 0;
  Silence silence;
};

/// One request of a client, to one server.
struct DeliveredRequest {
  SentRequest sent;         ///< where its number is another one, it did not go there
  std::uint64_t taken = 0;  ///< responses
  bool is_failed = false;   ///< nothing more is taken from there
  bool is_over = false;     ///< and the server does not look at the request any more
  bool is_counted = false;  ///< in the server's backlog
};

/// A server, as a client sees it. Lives until it is gone, there is nothing more to take, and every
/// response of it was given back.
struct ServerPeer : ExchangePeer<ServerFile, ClientFile> {
  ServerRow shape{};  ///< of `theirs`
  std::optional<SpscIndexQueue::Producer> requests;
  std::vector<SpscIndexQueue::Consumer> lanes;  ///< by slot
  std::vector<DeliveredRequest> deliveries;     ///< by slot
  std::uint32_t backlog = 0;                    ///< requests that it has not ended, as is known
  bool is_leaving = false;                      ///< takes no more requests

  /// Whether it gets what is sent now.
  [[nodiscard]] bool is_there() const noexcept { return !is_gone && !is_leaving && !is_broken; }
  /// The request in `slot` does not count any more.
  void discount(Slot slot) noexcept {
    if (!deliveries[slot].is_counted) return;
    deliveries[slot].is_counted = false;
    --backlog;
  }
  /// Whether it has the request, or may have it.
  [[nodiscard]] bool has(Slot slot, const Exchange& exchange) const noexcept {
    return exchange.is_sent && deliveries[slot].sent.number == exchange.number &&
           !deliveries[slot].is_over;
  }
  /// Whether responses to the request may come from there.
  [[nodiscard]] bool is_open(Slot slot, const Exchange& exchange) const noexcept {
    return has(slot, exchange) && !deliveries[slot].is_failed;
  }
  [[nodiscard]] std::optional<std::uint32_t> front(Slot slot) noexcept {
    if (theirs == nullptr) [[unlikely]]
      return std::nullopt;
    return lanes[slot].front();
  }
  [[nodiscard]] bool is_empty(Slot slot) const noexcept {
    return theirs == nullptr || lanes[slot].empty();
  }
};

}  // namespace sluice
