// SPDX-License-Identifier: Apache-2.0
//
// How a request to one server ends, and how its client finds out.
//
//   server:  head    requests taken         done   number of the last request that is done with
//
// The server moves `head` on when it takes a request, reads it, puts responses into its lane, and
// stores its number in `done`. That ends the stream and gives the request's memory back. Killed in
// between, `head` says whether it had begun, and `done` whether it had come to the end.
#pragma once

#include <atomic>
#include <cstdint>
#include <sluice/queue/spsc_index_queue.hpp>

namespace sluice {

/// What has become of a request to one server. To several: open while it is with one; then ended if
/// one ended it, died if one died or was broken instead, untaken if it was with none.
enum class RequestFate : std::uint8_t {
  open,     ///< the server has it, or will take it
  ended,    ///< it is done with, and every response was taken
  died,     ///< the server took it, and is gone without coming to the end
  untaken,  ///< the server never took it, and will not
};

/// The server is done with request `number`, which is `done`'s. On any thread.
inline void end_request(std::atomic<std::uint64_t>& done, std::uint64_t number) noexcept {
  // release: pairs with the acquire in `fate_of`. The request was read before, and its responses
  // are in the lane.
  done.store(number, std::memory_order_release);
}

/// A request as its client sees it.
struct SentRequest {
  std::uint64_t number = 0;    ///< of this client's requests
  std::uint64_t position = 0;  ///< in the queue of requests
};

/// What has become of `request`. `done` and `head` are the server's words. `is_gone`: the server
/// stores nothing any more; `is_leaving`: it takes nothing any more; both as seen before. `lane`:
/// that of the responses, unless they are not wanted; where more are in it, the request is open.
[[nodiscard]] inline RequestFate fate_of(const SentRequest& request,
                                         const std::atomic<std::uint64_t>& done,
                                         const std::atomic<std::uint64_t>& head, bool is_gone,
                                         bool is_leaving,
                                         const SpscIndexQueue::Consumer* lane) noexcept {
  RequestFate fate = RequestFate::open;
  // acquire: pairs with the release in `end_request`.
  if (done.load(std::memory_order_acquire) == request.number) {
    fate = RequestFate::ended;
    // acquire: pairs with the release in `Consumer::pop`. Since no more are taken, the last word.
  } else if ((is_gone || is_leaving) && head.load(std::memory_order_acquire) <= request.position) {
    fate = RequestFate::untaken;
  } else if (is_gone) {
    fate = RequestFate::died;
  }
  // After `done`: what came before the end is there by now.
  return fate != RequestFate::open && lane != nullptr && !lane->empty() ? RequestFate::open : fate;
}

}  // namespace sluice
