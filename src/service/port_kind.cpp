// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <sluice/core/format.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

std::optional<Seat> seat_in(std::string_view file_name, const PortKind& kind) noexcept {
  const std::size_t dot = kind.name.size();
  if (!file_name.starts_with(kind.name) || file_name.substr(dot, 1) != ".") return std::nullopt;
  std::uint32_t seat = 0;
  const char* end = file_name.data() + file_name.size();
  const auto [stop, error] = std::from_chars(file_name.data() + dot + 1, end, seat);
  if (error != std::errc{} || stop != end || seat >= kMaxSeats) return std::nullopt;
  return seat;
}

std::optional<PortName> port_of(std::string_view file_name) noexcept {
  for (const PortKind* kind : port_kinds()) {
    if (const auto seat = seat_in(file_name, *kind)) return PortName{*kind, *seat};
  }
  return std::nullopt;
}

std::string file_name_of(const PortKind& kind, Seat seat) {
  return format("{}.{}", kind.name, seat);
}

}  // namespace sluice
