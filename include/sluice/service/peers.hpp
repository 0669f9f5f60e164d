// SPDX-License-Identifier: Apache-2.0
//
// The peers of a port: what it knows of each port of another kind in its service. A look notices
// who has left or died, goes through the service's directory, and meets newcomers.
//
//   generation of the board changed ──► look ──► newcomer: connect     known: follow
//   or a sleep was long                          gone: depart          no good: refused, once
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <sluice/core/index.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/service/port_file.hpp>
#include <sluice/service/port_kind.hpp>
#include <sluice/service/reaping.hpp>
#include <sluice/service/service.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// What every port knows of a peer. Stays where it is.
struct Peer {
  const PortKind* kind = nullptr;
  SharedFile file;
  std::uint64_t inode = 0;
  Seat seat;
  bool is_gone = false;  ///< left or died; what it wrote can still be read
  bool is_seen = false;  ///< under its name, in this look

  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Why nothing of it is to be read: "<its file> <what>; …".
  [[nodiscard]] Failure broken(std::string_view what) const;
};

/// How the files of peers are opened.
struct PeerFiles {
  const PortKind& kind;
  std::uint64_t least_bytes;  ///< what a file of that kind holds at least
  Region::Access access = Region::Access::read_only;
};

/// What is the same for peers of all kinds.
class PeersBase {
 public:
  /// Whether ports came or went since the last look.
  [[nodiscard]] bool has_news() const noexcept {
    return board_.generation_now() != seen_generation_;
  }
  /// The service's.
  [[nodiscard]] Board& board() const noexcept { return board_; }
  /// Whether the last look did not see all, for want of something of this process's own. Then
  /// `has_news` stays true.
  [[nodiscard]] bool is_blind() const noexcept { return is_blind_; }
  /// How many are there that are not gone.
  [[nodiscard]] std::uint32_t present() const noexcept { return present_; }

  /// After a look whose newcomers have been started: what this port has looked for by now needs
  /// not be kept for it any more. System calls where a sender was met that is gone.
  void conclude_look() noexcept;

  /// After a look that met newcomers for which this port has made words: lets them know, and
  /// passes a full fence. What this port announces itself is no news for it.
  void announce_newcomers() noexcept {
    if (board_.announce_change(service_.directory()) == seen_generation_ && !is_blind_) {
      ++seen_generation_;
    }
  }

 protected:
  PeersBase(Service& service, const PeerFiles& files, PortFile* own)
      : service_(service), board_(service.board()), files_(files), own_(own) {}

  /// Begins a look: the seats that are taken. Errors: the directory cannot be read.
  Result<std::vector<Seat>> begin_look();
  /// Opens the file of a port that lives, or that came since this port last looked, or that is kept
  /// for who looks first. not_found: any other.
  Result<OpenedPort> open(Seat seat);
  /// A sender was found that is gone; once is enough.
  void note_gone(Seat seat, std::uint64_t inode);
  /// Whether the file was no good in an earlier look.
  [[nodiscard]] bool was_refused(Seat seat, std::uint64_t inode);
  /// Maps the file of a newcomer.
  Result<void> map(Seat seat, OpenedPort opened_file, Peer& peer);
  /// A look goes on after this failure; the first that is to be reported is what it returns.
  void note(Seat seat, std::uint64_t inode, const Failure& failure);
  /// Whether the owner of a known peer's file lives no more. Its lock says so, not its name, which
  /// others may have removed.
  [[nodiscard]] static bool is_dead(const Peer& peer) noexcept;
  [[nodiscard]] bool has_its_name(const Peer& peer) const noexcept;
  /// Whether a newcomer would not find this port: its own name was removed. Such a newcomer is
  /// passed over, since it would not know what this port reads from it.
  [[nodiscard]] bool is_hidden() const noexcept;
  Result<void> end_look() noexcept;

  /// A file that is no good, told from the next one under its name.
  struct Refused {
    Seat seat;
    std::uint64_t inode;
    bool operator==(const Refused&) const = default;
  };

  Service& service_;
  Board& board_;
  PeerFiles files_;
  PortFile* own_;
  std::vector<Seat> met_when_gone_;  // since this port last looked
  std::uint64_t seen_generation_ = 0;
  std::uint64_t generation_ = 0;  // when this look began
  std::uint32_t present_ = 0;
  bool is_looking_ = false;
  bool is_blind_ = false;
  Failure failure_;  // of this look
  std::vector<Refused> refused_;
  std::vector<Refused> refused_before_;
};

/// `P` derives from `Peer`. Thread safety: one thread at a time.
template <typename P>
class Peers : public PeersBase {
 public:
  /// `service` must outlive it. `own`: this port's file, if a newcomer has to find that, or if the
  /// peers send to this port; then it says how far it has looked.
  Peers(Service& service, const PeerFiles& files, PortFile* own = nullptr)
      : PeersBase(service, files, own) {}

  /// Looks at those that are known, then goes through the directory:
  ///   follow(P&) -> Result<void>    one that is known: its file may have grown
  ///   depart(P&)                    one that left or died; it stays here until `drop_if`
  ///   connect(P&) -> Result<void>   a newcomer, its file mapped; it is a peer if that succeeds,
  ///                                 else refused: reported now, and not again
  /// A sender that came since the last look and is gone is met all the same: it connects, and
  /// departs. The dead are reaped. Known peers are told by their locks, so their descriptors stay
  /// open. A port whose own name was removed keeps those that it has, and meets nobody. A look that
  /// is entered from itself does nothing. System calls. Errors: the first of what it met; where it
  /// is this process's own, see `is_blind`.
  template <typename Connect, typename Follow, typename Depart>
  Result<void> look(Connect&& connect, Follow&& follow, Depart&& depart) {
    if (is_looking_) return {};
    const auto seats = begin_look();
    if (!seats) return end_look();
    const auto part_with = [&](P& peer) {
      peer.is_gone = true;
      --present_;
      depart(peer);
    };
    // The dead first: what they had is there for the others.
    for (auto& peer : peers_) {
      peer->is_seen = false;
      if (!peer->is_gone && is_dead(*peer)) part_with(*peer);
    }
    for (auto& peer : peers_) {
      if (peer->is_gone) continue;
      peer->is_seen = has_its_name(*peer);
      if (auto followed = follow(*peer); !followed) {
        note(peer->seat, peer->inode, followed.failure());
      }
    }
    for (const Seat seat : *seats) {
      if (is_seen(seat)) continue;
      auto opened = open(seat);
      if (!opened || was_refused(seat, opened->inode)) continue;
      const std::uint64_t inode = opened->inode;
      const bool is_gone = opened->is_gone;
      if (is_gone) {
        note_gone(seat, inode);
        if (knows(seat, inode)) continue;
      } else if (is_hidden()) {
        continue;
      }
      auto peer = std::make_unique<P>();
      peer->is_gone = is_gone;
      auto met = map(seat, std::move(*opened), *peer);
      if (met) met = connect(*peer);
      if (!met) {
        note(seat, inode, met.failure());
        continue;
      }
      peers_.push_back(std::move(peer));
      ++present_;
      if (is_gone) part_with(*peers_.back());
    }
    return end_look();
  }

  /// Forgets the peers for which `is_done(P&)` is true.
  template <typename IsDone>
  void drop_if(IsDone&& is_done) {
    std::erase_if(peers_, [&](const std::unique_ptr<P>& peer) {
      if (!is_done(*peer)) return false;
      if (!peer->is_gone) --present_;
      return true;
    });
  }

  template <typename Counts>
  [[nodiscard]] std::uint32_t count_if(Counts&& counts) const noexcept {
    return static_cast<std::uint32_t>(std::count_if(
        peers_.begin(), peers_.end(), [&](const auto& peer) { return counts(*peer); }));
  }
  [[nodiscard]] std::size_t size() const noexcept { return peers_.size(); }
  [[nodiscard]] P& operator[](std::size_t i) const noexcept { return *peers_[i]; }

  struct Iterator {
    [[nodiscard]] P& operator*() const noexcept { return **at; }
    Iterator& operator++() noexcept { return ++at, *this; }
    bool operator==(const Iterator&) const = default;

    const std::unique_ptr<P>* at;
  };
  [[nodiscard]] Iterator begin() const noexcept { return {peers_.data()}; }
  [[nodiscard]] Iterator end() const noexcept { return {peers_.data() + peers_.size()}; }

 private:
  [[nodiscard]] bool knows(Seat seat, std::uint64_t inode) const noexcept {
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
      return peer->seat == seat && peer->inode == inode;
    });
  }
  [[nodiscard]] bool is_seen(Seat seat) const noexcept {
    return std::any_of(peers_.begin(), peers_.end(),
                       [&](const auto& peer) { return peer->is_seen && peer->seat == seat; });
  }

  std::vector<std::unique_ptr<P>> peers_;
};

}  // namespace sluice
