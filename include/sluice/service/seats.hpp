// SPDX-License-Identifier: Apache-2.0
//
// A service's directory as a room with seats: one file a port, named by kind and seat number,
// locked by its owner as long as it lives.
#pragma once

#include <cstdint>
#include <optional>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/file.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// Seats of one kind in one service.
inline constexpr std::uint32_t kMaxSeats = 1024;

/// Links `file` as "<kind>.<seat>" with the first free seat, which it returns.
/// Errors: Errc::too_many_ports; Errc::not_found where the directory is gone.
[[nodiscard]] Result<std::uint32_t> take_seat(SharedFile& file, const Directory& service,
                                              std::string_view kind);

/// The seat in the file name of a port of `kind`.
[[nodiscard]] std::optional<std::uint32_t> seat_in(std::string_view file_name,
                                                   std::string_view kind) noexcept;
[[nodiscard]] std::string seat_name(std::string_view kind, std::uint32_t seat);

/// Unlinks `name` if its owner is dead: takes its lock, checks that the name still leads there. Any
/// process may do that, at any time, again and again. Returns whether it was removed.
bool reap_file(const Directory& directory, const std::string& name);

/// The same for a port's file or a wake pipe in a service's directory. Before the file of a dead
/// port goes, with its lock held, others are given what they need to go on without it.
bool reap_port(const Directory& service, const std::string& name);

/// A port whose owner lives.
struct LivingPort {
  File file;
  std::uint64_t inode = 0;
};

/// Opens the file of the port `name`. A dead one's is reaped instead, which everybody is told.
/// Errors: as `open_file`; not_found where it has left or is dead.
[[nodiscard]] Result<LivingPort> open_living(const Directory& service, Board& board,
                                             const std::string& name, bool writable = false);

/// Whether a failure to look at a peer is this process's own: no descriptors, no address space. Any
/// other is the peer's, or the peer is gone, and keeps nobody from going on with others.
[[nodiscard]] constexpr bool is_own_failure(Errc code) noexcept {
  return code != Errc::ok && code != Errc::not_found && code != Errc::no_permission &&
         code != Errc::corrupted && code != Errc::version_mismatch;
}

/// `failure`, if it is this process's own; otherwise none.
[[nodiscard]] inline Result<void> if_own(const Failure& failure) {
  return is_own_failure(failure.code) ? Result<void>(failure) : Result<void>();
}

/// Reaps every port file and wake pipe of the service. Returns how many were removed.
std::uint32_t reap_ports(const Directory& service);

}  // namespace sluice
