// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/queue/broadcast_index_queue.hpp>
#include <span>
#include <string>
#include <vector>

#include "explore.hpp"

namespace {

using explore::require;
using explore::Scenario;
using sluice::BroadcastReader;
using sluice::BroadcastRow;
using sluice::BroadcastWriter;

constexpr std::uint32_t kMostSubscribers = 2;
constexpr std::uint32_t kMostClaims = 2;
constexpr std::uint32_t kMostSlots = 9;
constexpr std::uint64_t kFirstRequest = 100;
constexpr std::uint64_t kNothing = ~std::uint64_t{0};

struct Counts {
  std::uint32_t capacity;
  std::uint32_t subscribers;
  std::uint32_t claims;  // of each subscriber
  std::uint32_t slack;   // slots more than it takes
  std::uint64_t samples;
  bool eager;  // reclaim behind each sample, not only when there is no free slot

  // In the ring, loaned, claimed and pinned.
  [[nodiscard]] std::uint32_t slots() const {
    return capacity + 1 + subscribers * (claims + 1) + slack;
  }
};

struct Subscriber {
  alignas(64) std::array<unsigned char, BroadcastRow::bytes(kMostClaims)> memory{};
  BroadcastRow* row = new (memory.data()) BroadcastRow{};
  BroadcastReader reader;
  std::array<std::uint64_t, kMostClaims> held{kNothing, kNothing};  // slots that it may read
  std::uint64_t received = 0;
  std::uint64_t next = 0;  // the least position that may come
  bool known = true;       // to the publisher
};

// The publisher is fiber 0, subscriber i is fiber i + 1.
struct State {
  explicit State(const Counts& c)
      : counts(c), writer({&head, ring.data(), help.data(), c.capacity}) {
    for (std::uint32_t i = 0; i != c.subscribers; ++i) {
      Subscriber& subscriber = subscribers[i];
      for (std::uint32_t claim = 0; claim != c.claims; ++claim) {
        new (subscriber.row->claims() + claim) std::atomic<std::uint64_t>{0};
      }
      subscriber.row->bind(1, kFirstRequest, c.claims);
      subscriber.reader = BroadcastReader(
          {&head, ring.data(), &help[i], subscriber.row, c.capacity}, 0, c.capacity);
      readers[i] = {subscriber.row, c.claims, i, c.capacity, 0, kFirstRequest, sluice::kNoSlot};
    }
    writer.add_slots(c.slots());
  }

  Counts counts;
  sluice::BroadcastHead head{};
  std::array<std::atomic<std::uint64_t>, 2> ring{};
  std::array<sluice::BroadcastHelp, kMostSubscribers> help{};
  std::array<std::array<std::uint64_t, 2>, kMostSlots> payloads{};
  std::array<Subscriber, kMostSubscribers> subscribers{};
  std::array<BroadcastWriter::Reader, kMostSubscribers> readers{};
  BroadcastWriter writer;
  bool done = false;
};

std::unique_ptr<State> state;

void setup(const Counts& counts) {
  require(counts.slots() <= kMostSlots, "the scenario has too many slots");
  state = std::make_unique<State>(counts);
  explore::name_words(&state->head.head, 8, "head");
  explore::name_words(state->ring.data(), 8 * state->ring.size(), "ring");
  explore::name_words(state->help.data(), sizeof state->help, "help");
  for (std::uint32_t i = 0; i != counts.subscribers; ++i) {
    BroadcastRow* const row = state->subscribers[i].row;
    explore::name_words(&row->cursor, 8, "cursor");
    explore::name_words(&row->request, 8, "request");
    explore::name_words(&row->answered, 8, "answered");
    explore::name_words(row->claims(), 8 * counts.claims, "claims");
  }
  explore::watch_payload(state->payloads.data(), sizeof state->payloads, "payload");
}

void reclaim() {
  // As the publisher in a process does it: a subscriber whose lock is gone is not there any more.
  state->writer.reclaim([]() -> std::optional<std::span<BroadcastWriter::Reader>> {
    for (std::uint32_t i = 0; i != state->counts.subscribers; ++i) {
      Subscriber& subscriber = state->subscribers[i];
      if (!subscriber.known || !explore::crashed(i + 1)) continue;
      subscriber.known = false;
      state->readers[i].row = nullptr;
    }
    return std::span(state->readers.data(), state->counts.subscribers);
  });
}

void publish_one() {
  if (state->writer.free_slots() == 0) reclaim();
  require(state->writer.free_slots() != 0, "no slot is free");
  const std::uint32_t slot = state->writer.take_free();
  for (const Subscriber& subscriber : state->subscribers) {
    for (const std::uint64_t held : subscriber.held) {
      require(!subscriber.known || held != slot, "a slot is loaned that somebody reads");
    }
  }
  const std::uint64_t position = state->writer.published();
  state->payloads[slot] = {position, ~position};
  require(state->writer.publish(slot) == position, "positions are not counted");
}

void publisher() {
  for (std::uint64_t i = 0; i != state->counts.samples; ++i) {
    publish_one();
    if (state->counts.eager) reclaim();
    explore::yield();
  }
  state->done = true;
}

void require_payload(std::uint64_t slot, std::uint64_t position) {
  require(state->payloads[slot][0] == position && state->payloads[slot][1] == ~position,
          "a payload is not the one that was taken");
}

// A position is lost when the one that takes its entry in the ring is there, and not before. Only
// help passes over what is still there: it hands out the newest sample.
void require_losses_are_due(const Subscriber& self) {
  const std::uint64_t published = state->writer.published();
  const std::uint64_t capacity = state->counts.capacity;
  if (self.reader.lost() + capacity <= std::max(published, capacity)) return;
  require(self.row->answered.load(std::memory_order_relaxed) != kFirstRequest,
          "lost what was still in the ring");
  require(self.reader.lost() < published, "lost the newest sample");
}

// Holds as many samples as there are claims, and gives back the oldest and the newest in turn.
void subscriber(std::uint32_t index) {
  Subscriber& self = state->subscribers[index];
  const std::uint32_t claims = state->counts.claims;
  std::array<std::uint64_t, kMostClaims> positions{};
  const auto give_back = [&](std::uint32_t claim) {
    if (self.held[claim] == kNothing) return;
    require_payload(self.held[claim], positions[claim]);
    self.held[claim] = kNothing;
    self.reader.release(claim);
  };
  for (std::uint32_t claim = 0;;) {
    const bool last = state->done || explore::crashed(0);
    const BroadcastReader::Taken taken = self.reader.take(claim);
    require_losses_are_due(self);
    if (taken.slot == sluice::kNoSlot) {
      require(self.received + self.reader.lost() == self.reader.cursor(),
              "received and lost do not add up");
      if (last && !self.reader.has_new()) break;
      if (!last) explore::yield();
      continue;
    }
    require(taken.slot < state->counts.slots(), "there is no such slot");
    require(taken.position >= self.next, "a sample came twice or too late");
    require(++self.received + self.reader.lost() == self.reader.cursor(),
            "received and lost do not add up");
    self.next = taken.position + 1;
    self.held[claim] = taken.slot;
    positions[claim] = taken.position;
    require_payload(taken.slot, taken.position);
    // With two claims, every second time the one that was just taken.
    if (self.received % 4 != 2) claim = (claim + 1) % claims;
    give_back(claim);
  }
  for (std::uint32_t claim = 0; claim != claims; ++claim) give_back(claim);
}

// Looks at the newest sample again and again. Once there is one, there always is.
void reader(std::uint32_t index) {
  Subscriber& self = state->subscribers[index];
  for (bool last = false; !last;) {
    const bool done = state->done;
    last = done || explore::crashed(0);
    const BroadcastReader::Taken taken = self.reader.take(0, BroadcastReader::Want::current);
    if (taken.slot == sluice::kNoSlot) {
      require(self.received == 0, "the current sample is gone");
    } else {
      ++self.received;
      require(taken.slot < state->counts.slots(), "there is no such slot");
      require(taken.position >= self.next, "the current sample got older");
      require(!done || taken.position + 1 == state->counts.samples,
              "the current sample is not the newest");
      self.next = taken.position;
      self.held[0] = taken.slot;
      require_payload(taken.slot, taken.position);
      self.held[0] = kNothing;
      self.reader.release(0);
    }
    if (!last) explore::yield();
  }
}

void check() {
  if (explore::crashed(0)) return;
  const Counts& counts = state->counts;
  reclaim();
  const auto in_ring =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(counts.samples, counts.capacity));
  require(state->writer.free_slots() + in_ring == counts.slots(), "a slot was not given back");
  for (std::uint32_t i = 0; i != 2 * counts.slots(); ++i) publish_one();
}

std::string name(const Counts& counts, const explore::Options& options) {
  return std::to_string(counts.subscribers) + " subscribers, capacity " +
         std::to_string(counts.capacity) + ", " + std::to_string(counts.claims) + " claims, " +
         std::to_string(counts.samples) + (counts.eager ? " samples, eager, " : " samples, ") +
         std::to_string(options.preemptions) + " preemptions, " + std::to_string(options.crashes) +
         " crashes, " + std::to_string(options.late_stores) + " late";
}

void add(std::vector<Scenario>& all, const Counts& counts, const explore::Options& options,
         std::uint64_t min_executions, void (*subscribe)(std::uint32_t) = subscriber) {
  Scenario scenario;
  scenario.name = name(counts, options) + (subscribe == reader ? ", current" : "");
  scenario.options = options;
  scenario.min_executions = min_executions;
  scenario.setup = [counts] { setup(counts); };
  scenario.fibers.push_back({"publisher", publisher});
  for (std::uint32_t i = 0; i != counts.subscribers; ++i) {
    scenario.fibers.push_back({"subscriber " + std::to_string(i), [=] { subscribe(i); }});
  }
  scenario.check = check;
  all.push_back(scenario);
}

}  // namespace

std::vector<Scenario> explore::scenarios() {
  std::vector<Scenario> all;
  // {capacity, subscribers, claims, slack, samples, eager}, {preemptions, crashes, late_stores}
  add(all, {1, 1, 1, 0, 5, true}, {2, 0, 1}, 60'000);
  add(all, {2, 1, 2, 0, 5, true}, {2, 0, 1}, 60'000);
  add(all, {1, 1, 1, 0, 6, true}, {3}, 70'000);
  add(all, {1, 1, 1, 0, 5, true}, {2, 1}, 80'000);
  add(all, {2, 1, 2, 0, 7, false}, {3}, 40'000);
  add(all, {2, 1, 2, 0, 5, true}, {2, 1}, 100'000);
  add(all, {1, 2, 1, 0, 7, false}, {2}, 90'000);
  add(all, {1, 2, 1, 0, 4, true}, {2}, 50'000);
  add(all, {2, 2, 2, 0, 5, true}, {2}, 80'000);
  add(all, {1, 2, 1, 0, 6, false}, {1, 1}, 50'000);
  add(all, {2, 2, 1, 0, 4, true}, {1, 1}, 50'000);
  add(all, {1, 1, 1, 0, 5, true}, {2, 1}, 100'000, reader);
  add(all, {1, 2, 1, 0, 3, true}, {2, 1}, 1'500'000);
  add(all, {2, 1, 1, 0, 6, true}, {2, 1}, 100'000, reader);
  add(all, {2, 2, 1, 0, 4, true}, {2}, 30'000, reader);
  return all;
}
