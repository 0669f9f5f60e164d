// SPDX-License-Identifier: Apache-2.0
//
// Stores of one fiber that the others do not see yet, as in the store buffer of a processor: they
// come out in the order in which they went in, and the fiber itself reads them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "race_detector.hpp"

namespace explore {

class StoreBuffer {
 public:
  struct Store {
    volatile void* address;
    std::uint64_t value;
    void (*write)(const Store&);
    Clock clock;  ///< what an acquire of this store synchronizes with
  };

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] bool full() const { return count_ == stores_.size(); }
  void add(const Store& store) { stores_[count_++] = store; }
  void clear() { count_ = 0; }

  /// The newest store to `address`, or null.
  [[nodiscard]] const Store* find(const volatile void* address) const {
    for (std::size_t i = count_; i-- != 0;) {
      if (stores_[i].address == address) return &stores_[i];
    }
    return nullptr;
  }
  [[nodiscard]] const Store* begin() const { return stores_.data(); }
  [[nodiscard]] const Store* end() const { return stores_.data() + count_; }

 private:
  std::size_t count_ = 0;
  std::array<Store, 16> stores_{};
};

}  // namespace explore
