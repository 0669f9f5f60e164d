// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdint>
#include <memory>
#include <sluice/queue/spsc_index_queue.hpp>
#include <string>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::SpscIndexQueue;

constexpr std::size_t kProducer = 0;
constexpr std::size_t kConsumer = 1;
constexpr std::uint64_t kValues = 4;

template <std::size_t kCapacity>
struct Halves {
  alignas(64) std::array<unsigned char, SpscIndexQueue::ProducerHalf::bytes(kCapacity)> memory;
  SpscIndexQueue::ConsumerHalf read;
  SpscIndexQueue::ProducerHalf& written =
      *SpscIndexQueue::ProducerHalf::create(memory.data(), kCapacity);

  void name(const char* tail, const char* entries, const char* head) {
    explore::name_words(&written.tail, 8, tail);
    explore::name_words(written.entries(), 8 * kCapacity, entries);
    explore::name_words(&read.head, 8, head);
  }
  SpscIndexQueue::Producer producer() { return {written, read, kCapacity}; }
  SpscIndexQueue::Consumer consumer() { return {read, written, kCapacity}; }
};

// What was popped is what was pushed, in order, nothing lost and nothing twice; a payload belongs
// to each value.
template <std::size_t kCapacity>
struct Stream {
  Halves<kCapacity> queue;
  std::array<std::uint64_t, kValues> payloads{};
  std::array<std::uint64_t, kValues + 1> popped{};
  std::uint64_t popped_count = 0;
  std::uint64_t pushed_count = 0;

  static inline std::unique_ptr<Stream> state;

  static void setup() {
    state = std::make_unique<Stream>();
    state->queue.name("tail", "entries", "head");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static void produce() {
    auto producer = state->queue.producer();
    for (std::uint64_t value = 0; value != kValues; ++value) {
      state->payloads[value] = ~value;
      while (!producer.try_push(value)) {
        require(!producer.broken(), "the producer sees a broken queue");
        if (explore::crashed(kConsumer)) return;
        explore::yield();
      }
      ++state->pushed_count;
    }
  }
  static void consume() {
    auto consumer = state->queue.consumer();
    while (state->popped_count != kValues) {
      const bool was_crashed = explore::crashed(kProducer);
      if (const auto value = consumer.try_pop()) {
        require(*value == state->popped_count, "popped is not what was pushed");
        require(state->payloads[*value] == ~*value, "a payload came too late");
        ++state->popped_count;
      } else {
        require(!consumer.broken(), "the consumer sees a broken queue");
        if (was_crashed) return;
        explore::yield();
      }
    }
  }
  static void check() {
    const std::uint64_t tail = state->queue.written.tail.load();
    const std::uint64_t head = state->queue.read.head.load();
    require(head == state->popped_count, "a pop was counted wrongly");
    require(tail == state->pushed_count, "a push was counted wrongly");
    require(explore::crashed(kConsumer) || head == tail, "a value was lost");
    require(explore::crashed(kProducer) || explore::crashed(kConsumer) || tail == kValues,
            "somebody stopped");
    // Whoever survived can still be followed by a new peer.
    auto consumer = state->queue.consumer();
    for (std::uint64_t value = head; value != tail; ++value) {
      require(consumer.try_pop() == value, "popped is not what was pushed");
    }
    require(state->queue.producer().try_push(9) && consumer.try_pop() == 9, "the queue is stuck");
  }
};

// Handles go one way and come back the other, as between a client and a server: a slot is written
// by whoever holds its index, and never by two.
struct Lane {
  static constexpr std::size_t kSlots = 2;

  Halves<kSlots> requests;
  Halves<kSlots> returns;
  std::array<std::uint64_t, kSlots> payloads{};

  static inline std::unique_ptr<Lane> state;

  static void setup() {
    state = std::make_unique<Lane>();
    state->requests.name("requests.tail", "requests.entries", "requests.head");
    state->returns.name("returns.tail", "returns.entries", "returns.head");
    explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
  }
  static void client() {
    auto requests = state->requests.producer();
    auto returns = state->returns.consumer();
    std::uint64_t slot = 0;
    std::uint64_t fresh = 0;
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

template <std::size_t kCapacity>
void add_stream(std::vector<Scenario>& all, unsigned preemptions, unsigned crashes,
                std::uint64_t min_executions) {
  using S = Stream<kCapacity>;
  all.push_back({"stream, capacity " + std::to_string(kCapacity) + ", " +
                     std::to_string(preemptions) + " preemptions, " + std::to_string(crashes) +
                     " crashes",
                 {.preemptions = preemptions, .crashes = crashes},
                 min_executions,
                 S::setup,
                 {{"producer", S::produce}, {"consumer", S::consume}},
                 S::check});
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  std::vector<Scenario> all;
  add_stream<1>(all, 4, 0, 80'000);
  add_stream<1>(all, 3, 1, 300'000);
  add_stream<2>(all, 5, 0, 150'000);
  add_stream<2>(all, 3, 1, 90'000);
  all.push_back({"lane, 2 slots, 3 preemptions, 1 crashes",
                 {.preemptions = 3, .crashes = 1},
                 500'000,
                 Lane::setup,
                 {{"client", Lane::client}, {"server", Lane::server}},
                 [] {}});
  return all;
}
