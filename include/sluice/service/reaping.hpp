// SPDX-License-Identifier: Apache-2.0
//
// Removing the files of the dead. Alive means locked, so whoever gets the lock of a file may remove
// it, after a check that the name still leads there. Any process may do that, at any time, again
// and again.
#pragma once

#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/platform/file.hpp>
#include <sluice/service/board.hpp>
#include <sluice/service/port_kind.hpp>
#include <string>

namespace sluice {

/// Removes the file or wake pipe `name` if its owner is dead, a port's after
/// `PortKind::before_removal`. Returns whether it did. `is_ending`: the service is, so that nobody
/// waits for anything.
bool reap_port(const Directory& service, const std::string& name, bool is_ending = false);

/// The same for every file of a directory: a service's, that of nodes or that of segments. Returns
/// how many were removed.
std::uint32_t reap_files(const Directory& directory, bool is_ending = false);

struct OpenedPort {
  File file;
  std::uint64_t inode = 0;
  bool is_gone = false;
};

/// Opens the file of the port `name`. A dead one's is reaped instead, and the change is announced;
/// but one that was announced after `looked` is opened all the same. Errors: as `open_file`;
/// not_found where it has left or is dead.
[[nodiscard]] Result<OpenedPort> open_living(const Directory& service, Board& board,
                                             const std::string& name, bool writable = false,
                                             std::uint64_t looked = UINT64_MAX);

/// Whether a failure to look at a peer is this process's own: no descriptors, no address space. Any
/// other is the peer's, or the peer is gone, and keeps nobody from going on with others.
[[nodiscard]] constexpr bool is_own_failure(Errc code) noexcept {
  return code != Errc::ok && code != Errc::not_found && code != Errc::no_permission &&
         code != Errc::corrupted && code != Errc::version_mismatch;
}

}  // namespace sluice
