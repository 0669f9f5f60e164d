// SPDX-License-Identifier: Apache-2.0
//
// A client and a server exchange requests and responses in memory that both use again, and either
// is killed anywhere: how a request ends is told rightly, and nobody writes what the other reads.
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <string>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::RequestFate;
using sluice::SpscIndexQueue;

constexpr std::size_t kClient = 0;
constexpr std::size_t kServer = 1;
constexpr std::uint64_t kRequests = 2;

/// One slot for requests, whose lane has room for `kDepth` responses, and `kSlots` for those.
template <std::uint64_t kResponses, std::size_t kDepth, std::size_t kSlots>
struct Exchange {
  std::array<std::atomic<std::uint64_t>, 1> requests{};
  std::atomic<std::uint64_t> requests_head{0};
  std::array<std::atomic<std::uint64_t>, kDepth> lane{};
  std::atomic<std::uint64_t> lane_head{0};
  std::atomic<std::uint64_t> claim{0};
  std::atomic<std::uint64_t> done{0};
  std::uint64_t request = 0;
  std::array<std::uint64_t, kSlots> responses{};

  std::uint64_t ended = 0;                        // requests, as the client counts
  std::uint64_t taken = 0;                        // requests, as the server counts
  std::array<std::uint64_t, kSlots> positions{};  // the server's: 1 + where each slot was sent

  static inline std::unique_ptr<Exchange> state;

  static void setup() {
    state = std::make_unique<Exchange>();
    explore::name_words(&state->requests, sizeof state->requests, "requests");
    explore::name_words(&state->requests_head, 8, "requests_head");
    explore::name_words(&state->lane, sizeof state->lane, "lane");
    explore::name_words(&state->lane_head, 8, "lane_head");
    explore::name_words(&state->claim, 8, "claim");
    explore::name_words(&state->done, 8, "done");
    explore::watch_payload(&state->request, sizeof state->request, "request");
    explore::watch_payload(&state->responses, sizeof state->responses, "response");
  }

  static void client() {
    SpscIndexQueue::Producer requests(state->requests.data(), state->requests_head, 1);
    SpscIndexQueue::Consumer lane(state->lane_head, state->lane.data(), kDepth);
    for (std::uint64_t number = 1; number <= kRequests; ++number) {
      state->request = number;
      const std::uint64_t position = requests.position();
      require(requests.try_push(0), "a request that is over has left the queue");
      if (!follow({number, position}, lane)) return;
      ++state->ended;
    }
    state->request = 0;  // nobody reads it any more
  }

  /// Takes the responses; false where the server is dead.
  static bool follow(const sluice::SentRequest& request, SpscIndexQueue::Consumer& lane) {
    for (std::uint64_t taken = 0;;) {
      const bool is_gone = explore::crashed(kServer);
      if (const auto slot = lane.front()) {
        // release, over a cleared claim too.
        state->claim.store(*slot + 1, std::memory_order_release);
        lane.pop();
        require(state->responses[*slot] == 10 * request.number + taken++,
                "a response is another request's, or out of order");
        state->claim.store(0, std::memory_order_release);
        continue;
      }
      require(!lane.broken(), "the client sees a broken lane");
      switch (sluice::fate_of(request, state->done, state->requests_head, is_gone, false, &lane)) {
        case RequestFate::open:
          break;
        case RequestFate::ended:
          require(taken == kResponses, "a response was lost");
          return true;
        case RequestFate::died:
          require(is_gone && state->taken == request.number, "the server has not begun, or lives");
          state->request = 0;  // nobody reads it any more
          return false;
        case RequestFate::untaken:
          require(is_gone && state->taken < request.number, "the server has begun, or lives");
          state->request = 0;
          return false;
      }
      explore::yield();
    }
  }

  static void server() {
    SpscIndexQueue::Consumer requests(state->requests_head, state->requests.data(), 1);
    SpscIndexQueue::Producer lane(state->lane.data(), state->lane_head, kDepth);
    while (state->taken != kRequests) {
      const bool is_gone = explore::crashed(kClient);
      if (!requests.try_pop()) {
        if (is_gone) return;
        explore::yield();
        continue;
      }
      const std::uint64_t number = ++state->taken;
      require(state->request == number, "a request is not the one that was sent");
      for (std::uint64_t sent = 0; sent != kResponses; ++sent) {
        if (!respond(lane, 10 * number + sent)) return;
      }
      require(state->request == number, "the request was overwritten");
      sluice::end_request(state->done, number);
    }
  }

  /// Sends a response in a slot that nobody reads; false where the client is dead.
  static bool respond(SpscIndexQueue::Producer& lane, std::uint64_t value) {
    for (;;) {
      const bool is_gone = explore::crashed(kClient);
      // In this order: the claim came before the pop.
      const std::uint64_t consumed = lane.consumed();
      const std::uint64_t claimed = state->claim.load(std::memory_order_acquire);
      for (std::uint32_t slot = 0; slot != kSlots && lane.position() - consumed != kDepth; ++slot) {
        if (state->positions[slot] > consumed || claimed == slot + 1) continue;
        state->responses[slot] = value;
        require(lane.try_push(slot), "there is room for what was counted");
        state->positions[slot] = lane.position();
        return true;
      }
      require(!lane.broken(), "the server sees a broken lane");
      if (is_gone) return false;
      explore::yield();
    }
  }

  static void check() {
    const bool both_live = !explore::crashed(kClient) && !explore::crashed(kServer);
    require(!both_live || state->ended == kRequests, "a request has not ended");
  }
};

template <typename S>
void add(std::vector<Scenario>& all, const std::string& name, const explore::Options& options,
         std::uint64_t min_executions) {
  all.push_back({name + ", " + std::to_string(options.preemptions) + " preemptions, " +
                     std::to_string(options.crashes) + " crashes",
                 options,
                 min_executions,
                 S::setup,
                 {{"client", S::client}, {"server", S::server}},
                 S::check});
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  std::vector<Scenario> all;
  add<Exchange<1, 1, 1>>(all, "one response, one slot", {5}, 600'000);
  add<Exchange<2, 2, 2>>(all, "a stream, two slots", {4}, 250'000);
  add<Exchange<2, 1, 2>>(all, "a stream, a lane of one", {4}, 600'000);
  add<Exchange<1, 1, 1>>(all, "one response, one slot", {3, 1}, 400'000);
  add<Exchange<2, 2, 2>>(all, "a stream, two slots", {3, 1}, 1'300'000);
  return all;
}
