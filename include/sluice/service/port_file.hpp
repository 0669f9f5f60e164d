// SPDX-License-Identifier: Apache-2.0
//
// A port's place in a service: its file, and its seat among the ports of its kind.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <sluice/core/index.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/service.hpp>
#include <string>

namespace sluice {

/// Thread safety: one thread at a time.
class PortFile {
 public:
  PortFile() = default;
  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;
  /// Leaves.
  ~PortFile() { leave(); }

  /// Makes the file, with `bytes` of memory and room to grow to `reserved_bytes`; what follows the
  /// header is zero. Nobody sees it before `join`. `service` must outlive this.
  /// Errors: as `SharedFile::create`.
  [[nodiscard]] Result<void> create(Service& service, const PortKind& kind, mode_t mode,
                                    std::uint64_t bytes, std::uint64_t reserved_bytes);
  /// Takes the first free seat, under whose name the file can be seen from here on, and announces
  /// that. A seat is free when nobody has its name and nobody who lives holds its mark on the
  /// board, a lock: the owner of a file whose name somebody removed keeps its seat. Errors:
  /// too_many_ports, no_memory, no_address_space, no_permission, system.
  [[nodiscard]] Result<void> join();
  [[nodiscard]] bool has_joined() const noexcept { return !name_.empty(); }

  /// Removes the file's name, gives up its lock and announces that. Does nothing before `join`. The
  /// file stays mapped. The name stays where `is_needed`, or where somebody has still to find what
  /// the port has sent: others remove it once nobody needs it.
  void leave(bool is_needed = false) noexcept;

  /// After a look that began at `generation`: what had come by then was met.
  void note_look(std::uint64_t generation) noexcept;
  /// Up to where it has looked; 0: not yet.
  [[nodiscard]] std::uint64_t looked() const noexcept { return looked_; }

  /// Whether the file's own name still leads to it. System calls.
  [[nodiscard]] bool has_its_name() const noexcept;
  /// Why new ports do not find this one: not_found where its name, or the service's directory, was
  /// removed or replaced by somebody else. ok while they find it, and before `join`. System calls.
  [[nodiscard]] Failure loss() const;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Seat seat() const noexcept { return seat_; }

  [[nodiscard]] SharedFile& shared() noexcept { return file_; }
  [[nodiscard]] const Region& region() const noexcept { return file_.region(); }
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return incarnation_; }
  /// Its words in shared memory, which begin with the header.
  template <typename Words>
  [[nodiscard]] Words& words() const noexcept {
    return *region().at<Words>(0);
  }

 private:
  Result<Seat> take_seat(File& board);

  Service* service_ = nullptr;
  const PortKind* kind_ = nullptr;
  SharedFile file_;
  LockHolder mark_;   // on the board, of the seat
  std::string name_;  // empty: not joined, or left
  Seat seat_;
  std::uint64_t incarnation_ = 0;
  std::uint64_t looked_ = 0;
};

}  // namespace sluice
