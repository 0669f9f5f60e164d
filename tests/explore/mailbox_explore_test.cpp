// SPDX-License-Identifier: Apache-2.0
//
// A listener that sleeps for ever unless it is woken, so that a lost wake-up is found, and two
// notifiers. What the kernel does is done here.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sluice/pattern/events/mailbox.hpp>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;

constexpr std::size_t kNotifiers = 2;

struct State {
  sluice::Mailbox mailbox{};
  std::array<std::uint64_t, kNotifiers> payloads{};
  std::array<std::atomic<std::uint64_t>, kNotifiers> said{};  // without any order of its own
  std::atomic<std::uint64_t> elsewhere{0};
  std::array<std::uint64_t, kNotifiers> taken{};
  std::array<bool, kNotifiers> done{};
  std::uint64_t wakes = 0;

  [[nodiscard]] bool is_crashed() const { return explore::crashed(0) || explore::crashed(1); }
  [[nodiscard]] bool is_over() const {
    for (std::size_t i = 0; i < kNotifiers; ++i) {
      if (!done[i] && !explore::crashed(i)) return false;
    }
    return true;
  }
};
std::unique_ptr<State> state;

/// Never looked at: nobody waits for descriptors.
const sluice::Directory& nowhere() {
  alignas(sluice::Directory) static std::byte bytes[sizeof(sluice::Directory)];
  return reinterpret_cast<const sluice::Directory&>(bytes);
}

void setup() {
  state = std::make_unique<State>();
  explore::name_words(&state->mailbox.events, sizeof state->mailbox.events, "events");
  explore::name_words(&state->mailbox.doorbell.armed, 4, "armed");
  explore::name_words(&state->mailbox.doorbell.bell, 4, "bell");
  explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
}

void notify(std::uint8_t event) {
  state->mailbox.put(event);
  // Others may go on here, as between any two operations but a fence and the one before it.
  (void)state->elsewhere.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  state->mailbox.doorbell.wake(nowhere());
}

void sleep() {
  state->mailbox.doorbell.sleep_unless([] { return state->mailbox.has_any(); },
                                       sluice::kLongestSleep);
}

// Each notifier has an event of its own, in the same word, and a payload that belongs to it.
template <std::size_t kI>
void notify_once() {
  state->payloads[kI] = 7;
  notify(static_cast<std::uint8_t>(kI));
  state->done[kI] = true;
}

void listen_to_each() {
  for (;;) {
    const bool is_last_look = state->is_over();
    const sluice::EventWords events = state->mailbox.take();
    for (std::size_t i = 0; i < kNotifiers; ++i) {
      if ((events[0] >> i & 1) == 0) continue;
      require(state->payloads[i] == 7, "an event came before what it tells of");
      require(++state->taken[i] == 1, "an event was taken twice");
    }
    if (state->taken[0] + state->taken[1] == kNotifiers) return;
    if (is_last_look) {
      require(state->is_crashed(), "an event was lost");
      return;
    }
    sleep();
  }
}

// Both have the same event. Whoever takes it sees what all did before whose event it was.
template <std::size_t kI>
void say_and_notify() {
  // relaxed: the event orders it.
  state->said[kI].store(1, std::memory_order_relaxed);
  notify(5);
  state->done[kI] = true;
}

void listen_to_both() {
  for (;;) {
    const bool is_last_look = state->is_over();
    const sluice::EventWords events = state->mailbox.take();
    if ((events[0] >> 5 & 1) != 0) {
      for (std::size_t i = 0; i < kNotifiers; ++i) {
        state->taken[i] |= state->said[i].load(std::memory_order_relaxed);
      }
    }
    if (state->taken[0] + state->taken[1] == kNotifiers) return;
    if (is_last_look) {
      require(state->is_crashed(), "what was said before the event is not seen after it");
      return;
    }
    sleep();
  }
}

}  // namespace

namespace sluice {

void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds) noexcept {
  // relaxed: the kernel compares and falls asleep in one.
  if (word.load(std::memory_order_relaxed) != expected) return;
  const std::uint64_t before = state->wakes;
  while (state->wakes == before) {
    if (state->is_over()) {
      require(state->is_crashed(), "a wake-up was lost");
      return;  // the slice is over
    }
    explore::yield();
  }
}

void futex_wake_all(const std::atomic<std::uint32_t>&) noexcept { ++state->wakes; }

void wake_pipes(const Directory&) noexcept { require(false, "nobody waits for descriptors"); }

}  // namespace sluice

std::vector<Scenario> explore::scenarios() {
  const std::vector<Fiber> each{{"notifier 0", notify_once<0>},
                                {"notifier 1", notify_once<1>},
                                {"listener", listen_to_each, false}};
  const std::vector<Fiber> both{{"notifier 0", say_and_notify<0>},
                                {"notifier 1", say_and_notify<1>},
                                {"listener", listen_to_both, false}};
  return {
      {"an event each, 4 preemptions", {.preemptions = 4}, 50'000, setup, each, [] {}},
      {"an event each, 2 preemptions, 1 crash",
       {.preemptions = 2, .crashes = 1},
       5'000,
       setup,
       each,
       [] {}},
      {"the same event, 3 preemptions, 2 late stores",
       {.preemptions = 3, .late_stores = 2},
       40'000,
       setup,
       both,
       [] {}},
      {"the same event, 2 preemptions, 1 crash",
       {.preemptions = 2, .crashes = 1},
       10'000,
       setup,
       both,
       [] {}},
  };
}
