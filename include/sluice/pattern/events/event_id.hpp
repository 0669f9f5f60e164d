// SPDX-License-Identifier: Apache-2.0
//
// Which events there are, and a set of them. No memory is allocated.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <sluice/pattern/events/mailbox.hpp>

namespace sluice {

/// One of the 256 events of a service, 0 to 255. What it means is for the programs to agree upon.
struct EventId {
  std::uint8_t value = 0;

  friend constexpr auto operator<=>(EventId, EventId) = default;
};

/// The events that a listener has received, each once, however often it came. Iterated in
/// ascending order: `for (EventId id : listener.receive())`.
class [[nodiscard]] EventSet {
 public:
  class Iterator;

  constexpr EventSet() = default;
  constexpr explicit EventSet(const EventWords& words) noexcept : words_(words) {}

  [[nodiscard]] constexpr bool contains(EventId id) const noexcept {
    return (words_[id.value / 64] >> (id.value % 64) & 1) != 0;
  }
  [[nodiscard]] constexpr std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
    return count;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return words_ == EventWords{}; }
  /// Whether there is any.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return !empty(); }

  [[nodiscard]] constexpr Iterator begin() const noexcept;
  [[nodiscard]] constexpr Iterator end() const noexcept;

  friend constexpr bool operator==(const EventSet&, const EventSet&) = default;

 private:
  /// The first event from `at` on; kMaxEvents where there is none.
  [[nodiscard]] constexpr std::uint32_t next(std::uint32_t at) const noexcept {
    while (at < kMaxEvents) {
      if (const std::uint64_t rest = words_[at / 64] >> (at % 64); rest != 0) {
        return at + static_cast<std::uint32_t>(std::countr_zero(rest));
      }
      at = (at / 64 + 1) * 64;
    }
    return kMaxEvents;
  }

  EventWords words_{};
};

/// A forward iterator. Valid as long as its set.
class EventSet::Iterator {
 public:
  using iterator_concept = std::forward_iterator_tag;
  using iterator_category = std::input_iterator_tag;
  using value_type = EventId;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = EventId;

  constexpr Iterator() = default;

  /// Precondition, here and below: not at the end.
  [[nodiscard]] constexpr EventId operator*() const noexcept {
    return {static_cast<std::uint8_t>(at_)};
  }
  constexpr Iterator& operator++() noexcept {
    at_ = set_->next(at_ + 1);
    return *this;
  }
  constexpr Iterator operator++(int) noexcept {
    const Iterator before = *this;
    ++*this;
    return before;
  }
  friend constexpr bool operator==(const Iterator&, const Iterator&) = default;

 private:
  friend class EventSet;

  constexpr Iterator(const EventSet* set, std::uint32_t at) noexcept : set_(set), at_(at) {}

  const EventSet* set_ = nullptr;
  std::uint32_t at_ = 0;
};

constexpr EventSet::Iterator EventSet::begin() const noexcept { return {this, next(0)}; }
constexpr EventSet::Iterator EventSet::end() const noexcept { return {this, kMaxEvents}; }

}  // namespace sluice
