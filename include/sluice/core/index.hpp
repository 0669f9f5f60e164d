// SPDX-License-Identifier: Apache-2.0
//
// The numbers that things are known by, each a type of its own: a seat that is passed where a slot
// is expected does not compile, nor does comparing the two.
#pragma once

#include <cstdint>

namespace sluice {

/// A number from 0 that names one of several things of the kind `Tag`. Made from a plain number and
/// converts to one, so that it can index an array.
template <typename Tag>
class Index {
 public:
  constexpr Index() = default;
  constexpr Index(std::uint32_t number) noexcept : number_(number) {}  // NOLINT

  constexpr operator std::uint32_t() const noexcept { return number_; }  // NOLINT

 private:
  std::uint32_t number_ = 0;
};

template <typename Tag>
constexpr bool operator==(Index<Tag> one, Index<Tag> other) noexcept {
  return std::uint32_t{one} == std::uint32_t{other};
}
template <typename Tag, typename OtherTag>
bool operator==(Index<Tag>, Index<OtherTag>) = delete;

/// Where a payload lies among those of its owner.
using Slot = Index<struct SlotTag>;
/// Stands for one handle that the user holds, among those of a port (`HandleCells`).
using Cell = Index<struct CellTag>;
/// Tells a port from the others of its kind in a service.
using Seat = Index<struct SeatTag>;
/// Which of a reader's words keeps a payload from being reused.
using Claim = Index<struct ClaimTag>;

inline constexpr Slot kNoSlot{UINT32_MAX};
inline constexpr Cell kNoCell{UINT32_MAX};

}  // namespace sluice
