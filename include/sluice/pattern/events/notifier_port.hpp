// SPDX-License-Identifier: Apache-2.0
//
// What stays in its place when a notifier is moved: the service and the channel.
#pragma once

#include <cstdint>
#include <memory>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/mailbox_notifier.hpp>
#include <sluice/pattern/options.hpp>
#include <sluice/pattern/participant.hpp>
#include <string_view>

namespace sluice {

/// Lives until it is closed. Thread safety: one thread at a time.
class NotifierPort final : public Participant {
 public:
  /// Errors: see `Notifier::Notifier`.
  [[nodiscard]] static Result<NotifierPort*> create(const Node& node, std::string_view service,
                                                    const NotifierOptions& options);

  std::uint32_t notify(EventId id) noexcept {
    if (is_forked()) [[unlikely]] {
      fail_forked();
      return 0;
    }
    return channel_->notify(id.value);
  }

  void close() noexcept {
    if (is_forked()) return;  // the parent's: left as it is
    delete this;
  }

  [[nodiscard]] std::uint32_t listeners() noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return channel_->incarnation(); }
  /// Why the last call failed: what its look, or the last one before it, found.
  [[nodiscard]] const Failure& last_failure() noexcept;

 private:
  NotifierPort() noexcept : Participant("notifier") {}

  std::unique_ptr<MailboxNotifier> channel_;
};

}  // namespace sluice
