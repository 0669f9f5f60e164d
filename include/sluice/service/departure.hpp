// SPDX-License-Identifier: Apache-2.0
//
// Senders that left, or died, before those who were there had found them. What they had sent is
// still to be received, so their files stay until each receiver has looked.
//
//   sender:    linked ──► generation + 1 ──► announced ──► sends … ──► has_left, unlocked
//   receiver:  generation read ──► directory listed ──► senders met ──► looked
//
// A receiver whose `looked` is not below a sender's `announced` has begun its look after the sender
// was linked, and so has met it. One whose `looked` is 0 has not come yet, and waits for nobody.
// Both words only grow, and each is written by its port alone: once nobody waits for a sender,
// nobody ever will.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <sluice/memory/shared_file.hpp>
#include <sluice/platform/file.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

/// So many files (without those that are kept for late comers, `PortKind::is_kept`) of senders of
/// one kind that are gone are kept at most, and so many bytes; then the oldest goes, whoever waits
/// for it. A receiver that is stopped for long cannot make others keep more.
inline constexpr std::size_t kMaxDeparted = 64;
inline constexpr std::uint64_t kMaxDepartedBytes = std::uint64_t{256} << 20;

/// The word `member` of a port's header, which its owner may change.
template <typename Word>
[[nodiscard]] std::atomic_ref<Word> word_of(const SharedFile& file, Word FileHeader::*member) {
  return std::atomic_ref(file.region().at<FileHeader>(0)->*member);
}

/// A sender, once it is linked: `before` is the generation before its coming was announced. Killed
/// before it, it has sent nothing.
template <typename Word>
void store_announced(Word&& announced, std::uint64_t before) noexcept {
  // release: pairs with the acquire in `is_waiting_for`'s callers; the name is there.
  announced.store(before + 1, std::memory_order_release);
}
/// A receiver, after a look that began at `generation`, and has met all that it found.
template <typename Word>
void store_looked(Word&& looked, std::uint64_t generation) noexcept {
  // release: pairs with the acquire in `is_waiting_for`.
  looked.store(generation, std::memory_order_release);
}
/// Whether a receiver has still to look for a sender.
template <typename Word>
[[nodiscard]] bool is_waiting_for(Word&& looked, std::uint64_t announced) noexcept {
  // acquire: pairs with the release in `store_looked`; what it has met, it has mapped.
  const std::uint64_t generation = looked.load(std::memory_order_acquire);
  return generation != 0 && generation < announced;
}

/// The header of the file of a port of `kind` at this moment, final once the port is gone; zeros
/// where the file is no good. A system call.
[[nodiscard]] FileHeader read_header(const File& file, const PortKind& kind);

/// Whether the file `name` of a sender of `kind` is needed by those who come late. System calls.
[[nodiscard]] bool is_kept(const Directory& service, const PortKind& kind, const std::string& name);

/// The same, or somebody who lives has still to look for the sender, which was announced at
/// `announced`. System calls.
[[nodiscard]] bool is_wanted(const Directory& service, const PortKind& kind,
                             const std::string& name, std::uint64_t announced);

/// After a receiver of `kind` has looked, left or died: removes the senders that nobody waits for
/// any more and that are not kept. System calls.
void reap_senders_to(const Directory& service, const PortKind& kind);

/// Removes the oldest senders of `kind` that are gone, where there are too many. System calls.
void limit_departed(const Directory& service, const PortKind& kind);

}  // namespace sluice
