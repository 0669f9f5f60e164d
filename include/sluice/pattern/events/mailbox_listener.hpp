// SPDX-License-Identifier: Apache-2.0
//
// A listener's side: its mailbox, and the notifiers it looks after.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <sluice/pattern/events/mailbox.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/board.hpp>
#include <string>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class MailboxListener {
 public:
  /// Links a listener's file into `service` and announces it. `mode` lets notifiers write it.
  /// `service` and `board` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<MailboxListener>> create(const Directory& service,
                                                                       Board& board,
                                                                       std::uint64_t node,
                                                                       mode_t mode);
  /// Unlinks the file and announces that.
  ~MailboxListener();
  MailboxListener(const MailboxListener&) = delete;
  MailboxListener& operator=(const MailboxListener&) = delete;

  /// The events that have come since the last call. Wait-free; system calls only if ports came or
  /// went.
  [[nodiscard]] EventWords take() noexcept {
    follow_changes();
    return mailbox_->take();
  }

  [[nodiscard]] bool has_any() const noexcept { return mailbox_->has_any(); }
  [[nodiscard]] Doorbell& doorbell() const noexcept { return mailbox_->doorbell; }

  /// Sleeps until there may be something, at most `timeout`. Looks whether notifiers have died
  /// every kLongestSleep.
  void wait(std::chrono::nanoseconds timeout);

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
  }
  /// The same if the last look is kLongestSleep ago.
  void look_in_time() noexcept {
    if (next_look_.left().count() == 0) refresh();
  }
  /// Looks into the service's directory: which notifiers are there, and which died. System calls.
  void refresh() noexcept;

  /// Notifiers of the last look.
  [[nodiscard]] std::uint32_t notifiers() const noexcept { return notifiers_; }
  /// Why the last look saw less than there is.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  MailboxListener(const Directory& service, Board& board) : service_(service), board_(board) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);
  void look_at(const std::string& name, std::vector<std::uint64_t>& mourned);
  void mourn(const std::string& name, std::vector<std::uint64_t>& mourned);

  const Directory& service_;
  Board& board_;
  SharedFile file_;
  std::string name_;
  Mailbox* mailbox_ = nullptr;
  std::uint64_t seen_generation_ = 0;
  Deadline next_look_{std::chrono::nanoseconds{0}};
  std::uint32_t notifiers_ = 0;
  std::vector<std::uint64_t> mourned_;  // dead notifiers that another user has to reap
  Failure failure_;
};

}  // namespace sluice
