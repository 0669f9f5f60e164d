// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <sluice/queue/spsc_index_queue.hpp>
#include <string>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::SpscIndexQueue;
using sluice::TaggedEntry;

constexpr std::size_t kProducer = 0;
constexpr std::size_t kConsumer = 1;

template <std::size_t kCapacity>
struct Halves {
  std::array<std::atomic<std::uint64_t>, kCapacity> entries{};
  std::atomic<std::uint64_t> head{0};

  void name(const char* entries_name, const char* head_name) {
    explore::name_words(entries.data(), 8 * kCapacity, entries_name);
    explore::name_words(&head, 8, head_name);
  }
  SpscIndexQueue::Producer producer() { return {entries.data(), head, kCapacity}; }
  SpscIndexQueue::Consumer consumer() { return {head, entries.data(), kCapacity}; }
};

// Pushes, and waits for room; false when the consumer is dead and there is none.
bool push(SpscIndexQueue::Producer& producer, std::uint32_t index) {
  for (;;) {
    const bool was_crashed = explore::crashed(kConsumer);
    if (producer.try_push(index)) return true;
    require(!producer.broken(), "the producer sees a broken queue");
    if (was_crashed) return false;
    explore::yield();
  }
}

// Calls `take()` until it has taken `count` values, or the producer is dead and nothing is left.
template <typename Take>
void consume(SpscIndexQueue::Consumer& consumer, std::uint64_t count, Take&& take) {
  for (std::uint64_t taken = 0; taken != count;) {
    const bool was_crashed = explore::crashed(kProducer);
    if (take()) {
      ++taken;
      continue;
    }
    require(!consumer.broken(), "the consumer sees a broken queue");
    if (was_crashed) return;
    explore::yield();
  }
}

// What was popped is what was pushed, in order, nothing lost and nothing twice; a payload belongs
// to each value.
template <std::size_t kCapacity>
struct Stream {
  static constexpr std::uint32_t kValues = 4;

  Halves<kCapacity> queue;
  std::array<std::uint64_t, kValues> payloads{};
  std::uint64_t popped = 0;
  std::uint64_t pushed = 0;

  static inline std::unique_ptr<Stream> state;

  static void setup() {
    state = std::make_unique<Stream>();
    state->queue.name("entries", "head");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static void producer() {
    auto producer = state->queue.producer();
    for (std::uint32_t value = 0; value != kValues; ++value) {
      state->payloads[value] = ~std::uint64_t{value};
      if (!push(producer, value)) return;
      ++state->pushed;
      require(producer.position() == state->pushed, "a push was counted wrongly");
    }
  }
  static void consumer() {
    auto consumer = state->queue.consumer();
    consume(consumer, kValues, [&] {
      const auto value = consumer.try_pop();
      if (!value) return false;
      require(*value == state->popped, "popped is not what was pushed");
      require(state->payloads[*value] == ~std::uint64_t{*value}, "a payload came too late");
      ++state->popped;
      return true;
    });
  }
  static void check() {
    const std::uint64_t head = state->queue.head.load();
    require(head == state->popped, "a pop was counted wrongly");
    const bool consumer_crashed = explore::crashed(kConsumer);
    const bool producer_crashed = explore::crashed(kProducer);
    require(consumer_crashed || state->popped == state->pushed, "a value was lost");
    const std::uint64_t room = consumer_crashed ? head + kCapacity : kValues;
    require(producer_crashed || state->pushed == std::min<std::uint64_t>(room, kValues),
            "the producer stopped too early");
    // What is left is whole: the entries are those that were pushed last, and zero before that.
    for (std::uint64_t i = 0; i != kCapacity; ++i) {
      const std::uint64_t lap = state->pushed <= i ? 0 : (state->pushed - 1 - i) / kCapacity + 1;
      const std::uint64_t value = (lap - 1) * kCapacity + i;
      const std::uint64_t expected =
          lap == 0 ? 0 : TaggedEntry::pack(value, static_cast<std::uint32_t>(value));
      require(state->queue.entries[i].load() == expected, "an entry is not what was pushed");
    }
  }
};

// As many payloads as entries, used in turn: the consumer is done with one before it pops, and the
// producer writes it again when that was consumed.
template <std::size_t kCapacity>
struct Turns {
  static constexpr std::uint64_t kValues = 4;

  Halves<kCapacity> queue;
  std::array<std::uint64_t, kCapacity> payloads{};

  static inline std::unique_ptr<Turns> state;

  static void setup() {
    state = std::make_unique<Turns>();
    state->queue.name("entries", "head");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static void producer() {
    auto producer = state->queue.producer();
    for (std::uint64_t value = 0; value != kValues; ++value) {
      while (value - producer.consumed() == kCapacity) {
        if (explore::crashed(kConsumer)) return;
        explore::yield();
      }
      const auto index = static_cast<std::uint32_t>(value % kCapacity);
      state->payloads[index] = value;
      require(producer.try_push(index), "there is room for what was consumed");
    }
    require(!producer.broken(), "the producer sees a broken queue");
  }
  static void consumer() {
    auto consumer = state->queue.consumer();
    std::uint64_t next = 0;
    consume(consumer, kValues, [&] {
      const auto index = consumer.front();
      if (!index) return false;
      require(*index == next % kCapacity, "popped is not what was pushed");
      require(state->payloads[*index] == next++, "a payload is not the one that was pushed");
      consumer.pop();
      return true;
    });
  }
};

// The consumer goes on reading what it popped: before it pops, it claims. The producer reuses a
// payload when its position was consumed and, looked at afterwards, nobody claims it.
struct Claims {
  static constexpr std::uint32_t kSlots = 2;
  static constexpr std::size_t kCapacity = kSlots;
  static constexpr std::uint64_t kValues = 4;

  Halves<kCapacity> queue;
  std::atomic<std::uint64_t> claim{0};
  std::array<std::uint64_t, kSlots> payloads{};
  std::array<std::uint64_t, kSlots> positions{};  // where each was pushed; the producer's own

  static inline std::unique_ptr<Claims> state;

  static void setup() {
    state = std::make_unique<Claims>();
    state->queue.name("entries", "head");
    explore::name_words(&state->claim, 8, "claim");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static bool is_free(SpscIndexQueue::Producer& producer, std::uint32_t slot) {
    if (producer.position() <= slot) return true;  // never pushed
    // In this order: the claim came before the pop.
    const bool consumed = producer.consumed() > state->positions[slot];
    const bool claimed = state->claim.load(std::memory_order_acquire) == slot + 1;
    return consumed && !claimed;
  }
  static void producer() {
    auto producer = state->queue.producer();
    for (std::uint64_t value = 0; value != kValues; ++value) {
      std::uint32_t slot = 0;
      while (!is_free(producer, slot)) {
        slot = (slot + 1) % kSlots;
        if (slot != 0) continue;
        require(!producer.broken(), "the producer sees a broken queue");
        if (explore::crashed(kConsumer)) return;
        explore::yield();
      }
      state->payloads[slot] = value;
      state->positions[slot] = producer.position();
      require(push(producer, slot), "a free slot means that there is room");
    }
  }
  static void consumer() {
    auto consumer = state->queue.consumer();
    std::uint64_t next = 0;
    consume(consumer, kValues, [&] {
      const auto slot = consumer.front();
      if (!slot) return false;
      // release, over a cleared claim too: what is read of the payload before is done.
      state->claim.store(*slot + 1, std::memory_order_release);
      consumer.pop();
      require(state->payloads[*slot] == next++, "a payload is not the one that was pushed");
      state->claim.store(0, std::memory_order_release);
      return true;
    });
  }
};

// Handles go one way and come back the other, as between a client and a server: a slot is written
// by whoever holds its index, and never by two.
struct Lane {
  static constexpr std::uint32_t kSlots = 2;
  static constexpr std::uint64_t kValues = 4;

  Halves<kSlots> requests;
  Halves<kSlots> returns;
  std::array<std::uint64_t, kSlots> payloads{};

  static inline std::unique_ptr<Lane> state;

  static void setup() {
    state = std::make_unique<Lane>();
    state->requests.name("requests.entries", "requests.head");
    state->returns.name("returns.entries", "returns.head");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static void client() {
    auto requests = state->requests.producer();
    auto returns = state->returns.consumer();
    std::uint32_t slot = 0;
    std::uint32_t fresh = 0;
    for (std::uint64_t sent = 0; sent != kValues; ++sent) {
      if (fresh != kSlots) {
        slot = fresh++;
      } else {
        for (;;) {
          if (const auto returned = returns.try_pop()) {
            slot = *returned;
            break;
          }
          if (explore::crashed(1)) return;
          explore::yield();
        }
        require(state->payloads[slot] == ~(sent - kSlots), "an answer is missing");
      }
      state->payloads[slot] = sent;
      require(requests.try_push(slot), "there is room for every slot");
    }
  }
  static void server() {
    auto requests = state->requests.consumer();
    auto returns = state->returns.producer();
    for (std::uint64_t received = 0; received != kValues;) {
      const bool was_crashed = explore::crashed(0);
      if (const auto slot = requests.try_pop()) {
        require(state->payloads[*slot] == received, "popped is not what was pushed");
        state->payloads[*slot] = ~received++;
        require(returns.try_push(*slot), "there is room for every slot");
      } else {
        if (was_crashed) return;
        explore::yield();
      }
    }
  }
};

template <typename S>
void add(
    std::vector<Scenario>& all, const std::string& name, const explore::Options& options,
    std::uint64_t min_executions, void (*check)() = [] {}) {
  all.push_back({name + ", " + std::to_string(options.preemptions) + " preemptions, " +
                     std::to_string(options.crashes) + " crashes, " +
                     std::to_string(options.late_stores) + " late",
                 options,
                 min_executions,
                 S::setup,
                 {{"producer", S::producer}, {"consumer", S::consumer}},
                 check});
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  std::vector<Scenario> all;
  // {preemptions, crashes, late_stores}; the short ones first, which find most bugs
  add<Stream<2>>(all, "stream, capacity 2", {6}, 80'000, Stream<2>::check);
  add<Turns<2>>(all, "payloads in turn, capacity 2", {5}, 50'000);
  add<Turns<2>>(all, "payloads in turn, capacity 2", {3, 1}, 50'000);
  add<Turns<1>>(all, "payloads in turn, capacity 1", {5}, 150'000);
  add<Claims>(all, "claims", {4}, 80'000);
  add<Claims>(all, "claims", {3, 0, 1}, 150'000);
  add<Claims>(all, "claims", {3, 1}, 400'000);
  add<Stream<1>>(all, "stream, capacity 1", {6}, 500'000, Stream<1>::check);
  add<Stream<2>>(all, "stream, capacity 2", {4, 1}, 400'000, Stream<2>::check);
  add<Stream<1>>(all, "stream, capacity 1", {4, 1}, 1'500'000, Stream<1>::check);
  all.push_back({"lane, 2 slots, 4 preemptions, 1 crashes",
                 {.preemptions = 4, .crashes = 1},
                 800'000,
                 Lane::setup,
                 {{"client", Lane::client}, {"server", Lane::server}},
                 [] {}});
  return all;
}
