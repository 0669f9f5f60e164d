// SPDX-License-Identifier: Apache-2.0
//
// A notifier: its file, and the mailboxes of the listeners that it sees.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/layout.hpp>
#include <sluice/pattern/events/options.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/service/peers.hpp>
#include <string_view>

namespace sluice {

/// Without handles. Thread safety: one thread at a time.
class NotifierPort final : public Port {
 public:
  /// Errors: see `Notifier::Notifier`.
  [[nodiscard]] static Result<NotifierPort*> create(const Node& node, std::string_view service,
                                                    const NotifierOptions& options);
  /// For `create`, both.
  NotifierPort(std::shared_ptr<Service> service, const NotifierOptions& options);
  Result<void> open();

  /// Returns the number of listeners reached. Wait-free; system calls only if ports came or went,
  /// or somebody sleeps.
  std::uint32_t notify(EventId id) noexcept {
    if (is_forked()) [[unlikely]] {
      fail_forked();
      return 0;
    }
    if (peers_.has_news()) [[unlikely]]
      look();
    for (Listener& listener : peers_) listener.mailbox->put(id.value);
    // seq_cst: pairs with the fence in `Doorbell::arm`.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (Listener& listener : peers_) listener.mailbox->doorbell.wake(directory());
    return peers_.present();
  }

  [[nodiscard]] std::uint32_t listeners() noexcept;

 private:
  struct Listener : Peer {
    Mailbox* mailbox = nullptr;
  };

  /// Sends `on_leave`, then leaves.
  void before_end() noexcept override;
  void look() noexcept {
    note(look_at_listeners().failure());
    note_loss();
  }
  Result<void> look_at_listeners();

  NotifierOptions options_;
  Peers<Listener> peers_;
};

}  // namespace sluice
