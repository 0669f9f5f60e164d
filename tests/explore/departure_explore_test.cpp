// SPDX-License-Identifier: Apache-2.0
//
// A sender that comes, sends and leaves; two receivers that were there and look now and then; and
// somebody who removes the sender's file once it is gone and nobody waits for it. What the kernel
// does with names and locks is done here.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/service/board.hpp>
#include <sluice/service/departure.hpp>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;

constexpr std::size_t kReceivers = 2;
constexpr std::size_t kSender = 0;

struct State {
  sluice::Board board{.header = {}, .generation = 1, .doorbell = {}, .delivery = 0, .several = 0};
  std::atomic<bool> has_name{false};
  std::atomic<bool> is_locked{true};
  std::atomic<std::uint64_t> announced{0};
  std::array<std::atomic<std::uint64_t>, kReceivers> looked{1, 1};
  std::atomic<std::uint64_t> sent{0};
  std::uint64_t payload = 0;
  std::array<bool, kReceivers> has_met{};

  [[nodiscard]] bool is_gone() const { return !is_locked || explore::crashed(kSender); }
  /// A receiver that was killed waits for nothing.
  [[nodiscard]] bool is_awaited() const {
    for (std::size_t i = 0; i < kReceivers; ++i) {
      if (explore::crashed(1 + i)) continue;
      if (sluice::is_waiting_for(looked[i], announced.load(std::memory_order_acquire))) return true;
    }
    return false;
  }
};
std::unique_ptr<State> state;

/// Never looked at: nobody sleeps.
const sluice::Directory& nowhere() {
  alignas(sluice::Directory) static std::byte bytes[sizeof(sluice::Directory)];
  return reinterpret_cast<const sluice::Directory&>(bytes);
}

void setup() {
  state = std::make_unique<State>();
  explore::name_words(&state->board.generation, 8, "generation");
  explore::name_words(&state->announced, 8, "announced");
  explore::name_words(&state->looked, sizeof state->looked, "looked");
  explore::name_words(&state->has_name, 1, "name");
  explore::watch_payload(&state->payload, sizeof state->payload, "payload");
}

void send_and_leave() {
  state->has_name = true;
  const std::uint64_t before = state->board.announce_change(nowhere());
  sluice::store_announced(state->announced, before);
  state->payload = 7;
  state->sent.store(1, std::memory_order_release);
  if (!state->is_awaited()) state->has_name = false;
  state->is_locked = false;
  state->board.announce_change(nowhere());
}

template <std::size_t kI>
void look() {
  const std::uint64_t generation = state->board.generation_now();
  if (state->has_name) state->has_met[kI] = true;
  sluice::store_looked(state->looked[kI], generation);
}

template <std::size_t kI>
void look_twice() {
  look<kI>();
  look<kI>();
}

void reap() {
  for (int i = 0; i < 2; ++i) {
    if (!state->is_gone() || !state->has_name) {
      explore::yield();
    } else if (!state->is_awaited()) {
      state->has_name = false;
    }
  }
}

/// In the end, whoever lives looks once more, and finds what was sent.
template <std::size_t kI>
void find() {
  if (explore::crashed(1 + kI)) return;
  look<kI>();
  if (state->sent.load(std::memory_order_acquire) == 0) return;
  require(state->has_met[kI], "what was sent was never found");
  require(state->payload == 7, "it was found before it was written");
}

void check() {
  find<0>();
  find<1>();
  require(!state->is_gone() || !state->is_awaited(), "a file that stays for ever");
}

}  // namespace

namespace sluice {

void futex_wake_all(const std::atomic<std::uint32_t>&) noexcept {}
void wake_pipes(const Directory&) noexcept { require(false, "nobody waits for descriptors"); }

}  // namespace sluice

std::vector<Scenario> explore::scenarios() {
  const std::vector<Fiber> fibers{{"sender", send_and_leave},
                                  {"receiver 0", look_twice<0>},
                                  {"receiver 1", look_twice<1>},
                                  {"reaper", reap}};
  return {
      {"3 preemptions", {.preemptions = 3}, 1'000, setup, fibers, check},
      {"2 preemptions, 1 crash", {.preemptions = 2, .crashes = 1}, 1'000, setup, fibers, check},
      {"2 preemptions, 2 late stores",
       {.preemptions = 2, .late_stores = 2},
       1'000,
       setup,
       fibers,
       check},
  };
}
