// SPDX-License-Identifier: Apache-2.0
//
// A notifier's side of the mailboxes: its file, and the listeners it sees.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/pattern/events/mailbox.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class MailboxNotifier {
 public:
  /// Events that are sent without being asked for.
  struct Config {
    std::optional<std::uint8_t> on_join;
    std::optional<std::uint8_t> on_leave;
    std::optional<std::uint8_t> on_death;
  };

  /// Links a notifier's file into `service`, announces it, and sends `on_join`. `service` and
  /// `board` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<MailboxNotifier>> create(const Directory& service,
                                                                       Board& board,
                                                                       std::uint64_t node,
                                                                       mode_t mode,
                                                                       const Config& config);
  /// Sends `on_leave`, unlinks the file and announces that.
  ~MailboxNotifier();
  MailboxNotifier(const MailboxNotifier&) = delete;
  MailboxNotifier& operator=(const MailboxNotifier&) = delete;

  /// Returns the number of listeners reached. Wait-free; system calls only if ports came or went,
  /// or somebody sleeps.
  std::uint32_t notify(std::uint8_t event) noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
    for (Mailbox* mailbox : mailboxes_) mailbox->put(event);
    // seq_cst: pairs with the fence in `Doorbell::arm`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (Mailbox* mailbox : mailboxes_) mailbox->doorbell.wake(service_);
    return listeners();
  }

  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  [[nodiscard]] std::uint32_t listeners() const noexcept {
    return static_cast<std::uint32_t>(mailboxes_.size());
  }
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return file_.incarnation(); }
  /// Why a listener was not reached; of the last look.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  struct Peer {
    SharedFile file;
    std::uint64_t inode = 0;
    std::uint32_t seat = 0;
    bool seen = false;
  };

  MailboxNotifier(const Directory& service, Board& board, const Config& config)
      : service_(service), board_(board), config_(config) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);
  Result<void> look_at(const std::string& name, std::uint32_t seat);

  const Directory& service_;
  Board& board_;
  Config config_;
  SharedFile file_;
  std::string name_;
  std::uint64_t seen_generation_ = 0;
  // The same index stands for the same listener in both.
  std::vector<Peer> peers_;
  std::vector<Mailbox*> mailboxes_;
  Failure failure_;
};

}  // namespace sluice
