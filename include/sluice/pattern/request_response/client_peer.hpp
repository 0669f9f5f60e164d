// SPDX-License-Identifier: Apache-2.0
//
// What a server knows of the clients that it serves.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <sluice/core/index.hpp>
#include <sluice/pattern/request_response/exchange_peer.hpp>
#include <sluice/queue/spsc_index_queue.hpp>
#include <vector>

namespace sluice {

/// Responses to the requests in one slot of a client.
struct Lane {
  SpscIndexQueue::Producer responses;
  const std::atomic<std::uint64_t>* entries;  ///< the server's own words
  std::atomic<std::uint64_t>* done;
  std::uint64_t number = 0;     ///< of the last request that was taken
  std::uint64_t reclaimed = 0;  ///< responses that are known to have left the lane
  std::uint64_t limit = 0;      ///< position that has no room before more are
};

/// A client, as a server sees it. Lives until it is gone and no request of it is held.
struct ClientPeer : ExchangePeer<ClientFile, ServerFile> {
  ClientRow their_shape{};
  ServerRow shape{};
  std::optional<SpscIndexQueue::Consumer> requests;  ///< none: not connected yet, or given up
  std::vector<Lane> lanes;                           ///< by slot of the request, those used
  std::vector<Slot> passed;                          ///< slots that left a lane, perhaps claimed
  std::atomic<bool> has_left{false};                 ///< `is_gone`, for all threads
};

}  // namespace sluice
