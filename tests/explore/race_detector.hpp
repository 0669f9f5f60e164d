// SPDX-License-Identifier: Apache-2.0
//
// Happens-before by vector clocks, as the C++ memory orders define it: release and acquire
// operations, release sequences, and fences. A seq_cst operation counts as acquire and release; the
// single order of seq_cst operations gives no happens-before, and none is assumed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "explore.hpp"

namespace explore {

// Numbered like std::memory_order and the compilers' calls.
constexpr bool is_acquire(int order) { return order == 1 || order == 2 || order >= 4; }
constexpr bool is_release(int order) { return order >= 3; }
constexpr bool is_seq_cst(int order) { return order == 5; }

struct Clock {
  std::uint32_t at[kMaxFibers];

  void join(const Clock& other) {
    for (std::size_t i = 0; i != kMaxFibers; ++i) {
      at[i] = at[i] < other.at[i] ? other.at[i] : at[i];
    }
  }
};

class RaceDetector {
 public:
  /// A new execution: nothing has happened.
  void reset() {
    ++execution_;
    payload_words_ = 0;
    region_count_ = 0;
    for (std::size_t i = 0; i != kMaxFibers; ++i) {
      now_[i] = released_[i] = seen_[i] = Clock{};
      now_[i].at[i] = 1;
    }
  }

  void load(std::size_t fiber, const volatile void* address, int order) {
    const Clock& word = word_at(address);
    (is_acquire(order) ? now_ : seen_)[fiber].join(word);
  }
  /// A store: what an acquire of it synchronizes with. `seen` is called when it is seen.
  Clock store(std::size_t fiber, int order) {
    const Clock clock = is_release(order) ? now_[fiber] : released_[fiber];
    now_[fiber].at[fiber] += is_release(order);
    return clock;
  }
  void seen(const volatile void* address, const Clock& clock) { word_at(address) = clock; }
  // A read-modify-write carries on the release sequence that it is part of.
  void update(std::size_t fiber, const volatile void* address, int order) {
    Clock& word = word_at(address);
    (is_acquire(order) ? now_ : seen_)[fiber].join(word);
    word.join(is_release(order) ? now_[fiber] : released_[fiber]);
    now_[fiber].at[fiber] += is_release(order);
  }
  void fence(std::size_t fiber, int order) {
    if (is_acquire(order)) now_[fiber].join(seen_[fiber]);
    if (is_release(order)) released_[fiber] = now_[fiber], ++now_[fiber].at[fiber];
  }
  /// Whatever `other` did happened before what `fiber` does from now on.
  void join(std::size_t fiber, std::size_t other) { now_[fiber].join(now_[other]); }

  /// False when there is no more room.
  bool watch(const void* address, std::size_t bytes, const char* name) {
    const std::size_t words = (bytes + 7) / 8;
    if (region_count_ == regions_.size() || payload_words_ + words > payload_.size()) return false;
    regions_[region_count_++] = {reinterpret_cast<std::uintptr_t>(address), words * 8,
                                 payload_words_, name};
    for (std::size_t i = 0; i != words; ++i) payload_[payload_words_++] = {};
    return true;
  }

  /// A plain access. The name of the region if it races with an earlier one, else null.
  const char* access(std::size_t fiber, const volatile void* address, std::size_t bytes,
                     bool write) {
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    for (std::size_t r = 0; r != region_count_; ++r) {
      const Region& region = regions_[r];
      if (first - region.address >= region.bytes) continue;
      const std::size_t offset = first - region.address;
      for (std::size_t i = offset / 8; i <= (offset + bytes - 1) / 8 && i * 8 < region.bytes; ++i) {
        if (races(fiber, payload_[region.first_word + i], write)) return region.name;
      }
    }
    return nullptr;
  }

 private:
  struct Region {
    std::uintptr_t address;
    std::size_t bytes;
    std::size_t first_word;
    const char* name;
  };
  // When each fiber last read and wrote a word.
  struct Payload {
    Clock read;
    Clock written;
  };
  struct Word {
    std::uintptr_t address;
    std::uint64_t execution;
    Clock clock;
  };

  bool races(std::size_t fiber, Payload& word, bool write) {
    const Clock& now = now_[fiber];
    bool race = false;
    for (std::size_t i = 0; i != kMaxFibers; ++i) {
      race |= word.written.at[i] > now.at[i];
      race |= write && word.read.at[i] > now.at[i];
    }
    (write ? word.written : word.read).at[fiber] = now.at[fiber];
    return race;
  }

  Clock& word_at(const volatile void* address) {
    const auto key = reinterpret_cast<std::uintptr_t>(address);
    for (std::size_t i = (key >> 2) * 0x9e3779b97f4a7c15u >> 52;; ++i) {
      Word& word = words_[i % words_.size()];
      if (word.execution != execution_) word = {key, execution_, Clock{}};
      if (word.address == key) return word.clock;
    }
  }

  std::uint64_t execution_ = 0;
  std::array<Clock, kMaxFibers> now_{};
  std::array<Clock, kMaxFibers> released_{};  // at the last release fence
  std::array<Clock, kMaxFibers> seen_{};      // by relaxed loads, for the next acquire fence
  std::array<Word, 4096> words_{};
  std::array<Region, 16> regions_{};
  std::array<Payload, 256> payload_{};
  std::size_t region_count_ = 0;
  std::size_t payload_words_ = 0;
};

}  // namespace explore
