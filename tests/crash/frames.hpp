// SPDX-License-Identifier: Apache-2.0
//
// Samples that tell whether they are whole, in order, and from whom they say they are.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <sluice/sluice.hpp>
#include <utility>

namespace sluice {

/// A payload of 8 * `kWords` bytes, of which the ends are written.
template <std::size_t kWords>
struct Frame {
  std::uint64_t sequence;
  std::uint64_t publisher;
  std::array<std::uint64_t, kWords - 3> middle;
  std::uint64_t sequence_again;
};

/// Takes a cache line or two; a publisher has some 90 slots.
using SmallFrame = Frame<8>;
/// A publisher has few slots of these, so that making one takes few writes.
using LargeFrame = Frame<std::size_t{1} << 16>;

inline constexpr const char* kService = "frames";

/// Whether it is the sample it says it is, with nothing of another in it.
template <typename T>
bool is_whole(const Sample<T>& sample) {
  return sample->sequence == sample.sequence() && sample->sequence_again == sample.sequence() &&
         sample->publisher == sample.publisher();
}

/// Publishes frames, and remembers where they lay.
template <typename T>
class Source {
 public:
  explicit Source(const Node& node, const PublisherOptions& options = {})
      : publisher_(node, kService, options) {}

  Loan<T> loan() {
    auto loan = publisher_.loan_for(std::chrono::seconds(10));
    if (loan) slots_.insert(loan.get());
    return loan;
  }
  bool publish(Loan<T>&& loan) {
    loan->sequence = next_;
    loan->publisher = publisher_.id();
    loan->sequence_again = next_;
    return publisher_.publish(std::move(loan)) == next_++;
  }
  bool publish(std::size_t count = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      auto loaned = loan();
      if (!loaned || !publish(std::move(loaned))) return false;
    }
    return true;
  }

  /// The number of different slots that were loaned since the last call.
  std::size_t slots_used() { return std::exchange(slots_, {}).size(); }
  [[nodiscard]] std::uint64_t published() const { return next_; }
  [[nodiscard]] const std::string& failure() const { return publisher_.last_failure().message; }
  Publisher<T>& port() { return publisher_; }

 private:
  Publisher<T> publisher_;
  std::uint64_t next_ = 0;
  std::set<const T*> slots_;
};

/// Receives frames and checks them.
template <typename T>
class Sink {
 public:
  explicit Sink(const Node& node, const SubscriberOptions& options = {})
      : subscriber_(node, kService, options) {}

  Sample<T> receive() { return checked(subscriber_.receive()); }
  Sample<T> wait(std::chrono::nanoseconds timeout) { return checked(subscriber_.wait(timeout)); }
  Sample<T> latest() { return checked(subscriber_.latest()); }
  /// Receives and releases all that is there; returns how many there were.
  std::size_t drain() {
    std::size_t count = 0;
    while (receive()) ++count;
    return count;
  }

  /// Whether every sample so far was whole, and came after the one before and only once.
  [[nodiscard]] bool is_content() const { return is_content_; }
  Subscriber<T>& port() { return subscriber_; }

 private:
  Sample<T> checked(Sample<T> sample) {
    if (!sample) {
      is_content_ &= sample.error() == Errc::ok || sample.error() == Errc::timed_out;
    } else {
      std::uint64_t& next = next_[sample.publisher()];
      is_content_ &= is_whole(sample) && sample.sequence() >= next;
      next = sample.sequence() + 1;
    }
    return sample;
  }

  Subscriber<T> subscriber_;
  std::map<std::uint64_t, std::uint64_t> next_;  // by publisher
  bool is_content_ = true;
};

}  // namespace sluice
