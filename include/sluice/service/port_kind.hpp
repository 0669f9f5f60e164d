// SPDX-License-Identifier: Apache-2.0
//
// The kinds of ports, and the names of their files: "<kind>.<seat>" in a service's directory.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/core/index.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/file.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// Seats of one kind in one service.
inline constexpr std::uint32_t kMaxSeats = 1024;

/// A kind of port. Its pattern defines it.
struct PortKind {
  std::string_view name;
  FileKind file;
  /// What others need before the file `name` of a dead port is removed. Called with the file's lock
  /// held, and again if it was cut short. False: the file is still needed. Null: nothing is needed.
  bool (*before_removal)(const Directory& service, const std::string& name) = nullptr;
  /// Who receives what ports of this kind send, and is to find it after they are gone; see
  /// departure.hpp. Null: nobody.
  const PortKind* receivers = nullptr;
  /// Whether the file `name` is still needed when its owner is gone and all have looked: for those
  /// who come later, as long as the service lives. Null: no file is.
  bool (*is_kept)(const Directory& service, const std::string& name) = nullptr;
  /// The file `dropped` is removed although somebody waits for it; `next` is the one after it.
  void (*before_drop)(const Directory& service, const std::string& dropped,
                      const std::string& next) = nullptr;
};

/// Every kind that there is. The list stands in src/port_kinds.cpp.
[[nodiscard]] std::span<const PortKind* const> port_kinds() noexcept;

/// The kind and seat of the port with the file `file_name`; nothing where it is another file.
struct PortName {
  const PortKind& kind;
  Seat seat;
};
[[nodiscard]] std::optional<PortName> port_of(std::string_view file_name) noexcept;

/// The seat in the file name of a port of `kind`.
[[nodiscard]] std::optional<Seat> seat_in(std::string_view file_name,
                                          const PortKind& kind) noexcept;
[[nodiscard]] std::string file_name_of(const PortKind& kind, Seat seat);

}  // namespace sluice
