// SPDX-License-Identifier: Apache-2.0
//
// A client's side of the request-response channel: its file with the requests, and the servers that
// it sends them to.
//
// A request goes to every server that is there; one that nobody took waits for a server to come. It
// is over when each server that it went to has ended it, or is gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/core/handle_cells.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/request_response/request_fate.hpp>
#include <sluice/pattern/request_response/request_response.hpp>
#include <sluice/queue/spsc_index_queue.hpp>
#include <sluice/service/board.hpp>
#include <sluice/service/peer_look.hpp>
#include <sluice/wait/silence.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time.
class ClientChannel {
 public:
  struct Config {
    PayloadLayout request;
    PayloadLayout response;
    std::uint32_t max_pending = 1;
    std::uint32_t max_borrowed = 1;
  };

  struct Received {
    PeerSlots::Payload payload;  ///< no data: nothing there
    std::atomic<std::uint64_t>* claim = nullptr;
    std::uint64_t sequence = 0;  ///< of this server's responses to this request, from 0
    std::uint64_t server = 0;    ///< incarnation
    bool is_last = false;        ///< nothing more was there
  };

  /// What has become of a request.
  enum class Outcome : std::uint8_t {
    waiting,  ///< no server has it
    open,     ///< responses may come, or are there
    ended,    ///< all is taken, and at least one server ended it
    failed,   ///< all is taken, and no server lived to end it: `error`
  };

  /// Links a client's file into `service` and announces it. Of `held`, cell i stands for the
  /// request in slot i, and cell max_pending + c for the response that claim c holds. The
  /// references must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<ClientChannel>> create(
      const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config,
      const HandleCells& held);
  /// Unlinks the file and announces that. Precondition: no cell is held.
  ~ClientChannel();
  ClientChannel(const ClientChannel&) = delete;
  ClientChannel& operator=(const ClientChannel&) = delete;

  /// Takes a slot whose last request is over; false where there is none. Wait-free.
  [[nodiscard]] bool acquire(std::uint32_t& slot) noexcept {
    if (free_.empty() && !collect()) [[unlikely]]
      return false;
    slot = free_.back();
    free_.pop_back();
    exchanges_[slot].is_sent = false;
    busy_.push(slot);
    return true;
  }
  [[nodiscard]] std::byte* payload(std::uint32_t slot) const noexcept {
    return pool_.payload(slot);
  }
  /// Slices: room for `count` elements. Null where there is no memory, with `failure()`.
  [[nodiscard]] std::byte* resize(std::uint32_t slot, std::uint64_t count) noexcept;

  /// Sends the request in `slot` to every server; returns its number, from 1. Wait-free; system
  /// calls only if somebody sleeps, or ports came or went.
  std::uint64_t send(std::uint32_t slot) noexcept;

  /// Takes the next response to the request in `slot`, and holds it in claim `claim`, which must be
  /// clear. Servers in turn. Wait-free; system calls only when ports came or went, a server grew,
  /// or nothing came for long.
  [[nodiscard]] Received take(std::uint32_t slot, std::uint32_t claim) noexcept {
    follow_changes();
    Exchange& exchange = exchanges_[slot];
    const std::size_t count = connections_.size();
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (exchange.turn >= count) exchange.turn = 0;
      Connection& connection = *connections_[exchange.turn++];
      if (!connection.is_open(slot, exchange)) continue;
      if (const auto response = connection.front(slot)) {
        return take_from(connection, slot, *response, claim);
      }
      settle(connection, slot);
    }
    if (owes_wake_) wake();
    if (is_silent(slot)) [[unlikely]]
      refresh();
    if (gone_ != 0) [[unlikely]]
      drop_gone();
    return {};
  }

  [[nodiscard]] Outcome outcome(std::uint32_t slot) noexcept;
  /// For Outcome::failed: peer_died, or what was wrong with the server.
  [[nodiscard]] Errc error(std::uint32_t slot) const noexcept { return exchanges_[slot].error; }
  /// To be called at each look that finds nothing for the request in `slot`: whether that has
  /// lasted so long that servers may have died.
  [[nodiscard]] bool is_silent(std::uint32_t slot) noexcept {
    return exchanges_[slot].silence.is_long();
  }
  /// The word to set to 0 when responses to the request in `slot` are not wanted any more.
  [[nodiscard]] std::atomic<std::uint64_t>& wanted(std::uint32_t slot) const noexcept {
    return wanted_[slot];
  }

  /// Whether there may be a response to take, or the request is over.
  [[nodiscard]] bool is_ready(std::uint32_t slot) noexcept;
  /// Sleeps until there may be something for `slot`, a server may have died, or `timeout` is over.
  void wait(std::uint32_t slot, std::chrono::nanoseconds timeout);

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
  }
  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  /// Servers that get what is sent now.
  [[nodiscard]] std::uint32_t servers() const noexcept;
  /// Requests that the user has dropped, and a server has not.
  [[nodiscard]] std::uint32_t abandoned() const noexcept;
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  /// The failure, which is then forgotten.
  [[nodiscard]] Failure take_failure() noexcept { return std::exchange(failure_, {}); }

 private:
  /// One request of this client, to all servers.
  struct Exchange {
    std::uint64_t number = 0;
    bool is_sent = false;
    bool has_ended = false;  // one server ended it
    Errc error = Errc::ok;   // of a server that did not live to
    std::uint32_t open = 0;  // servers of which more may be taken
    std::size_t turn = 0;
    Silence silence;
  };

  /// One request of this client, to one server.
  struct Delivery {
    std::uint64_t number = 0;    // the request's; another one: it did not go there
    std::uint64_t position = 0;  // in the queue of requests
    std::uint64_t taken = 0;     // responses
    bool is_failed = false;      // nothing more is taken from there
    bool is_over = false;        // and the server does not look at the request any more
  };

  /// One server. Lives until it is gone, there is nothing more to take, and every response of it
  /// was given back.
  struct Connection {
    SharedFile file;
    const ServerFile* words = nullptr;
    PeerSlots slots;
    std::uint64_t incarnation = 0;
    std::uint64_t inode = 0;
    std::uint32_t seat = 0;
    std::uint64_t row = 0;              // offset of its row in this client's file
    const std::byte* theirs = nullptr;  // this client's row in its file; null: not there yet
    ServerRow shape{};                  // of that
    std::optional<SpscIndexQueue::Producer> requests;
    std::vector<SpscIndexQueue::Consumer> lanes;  // by slot
    std::vector<Delivery> deliveries;             // by slot
    bool is_gone = false;                         // left or died; its responses can still be read
    bool is_leaving = false;                      // takes no more requests
    bool is_broken = false;                       // nothing of it is read any more

    /// Whether it gets what is sent now.
    [[nodiscard]] bool is_there() const noexcept { return !is_gone && !is_leaving && !is_broken; }
    /// Whether it has the request, or may have it.
    [[nodiscard]] bool has(std::uint32_t slot, const Exchange& exchange) const noexcept {
      return exchange.is_sent && deliveries[slot].number == exchange.number &&
             !deliveries[slot].is_over;
    }
    /// Whether responses to the request may come from there.
    [[nodiscard]] bool is_open(std::uint32_t slot, const Exchange& exchange) const noexcept {
      return has(slot, exchange) && !deliveries[slot].is_failed;
    }
    [[nodiscard]] std::optional<std::uint32_t> front(std::uint32_t slot) noexcept {
      if (theirs == nullptr) [[unlikely]]
        return std::nullopt;
      return lanes[slot].front();
    }
    [[nodiscard]] bool is_empty(std::uint32_t slot) const noexcept {
      return theirs == nullptr || lanes[slot].empty();
    }
    [[nodiscard]] const std::atomic<std::uint64_t>& word(std::uint64_t offset) const noexcept {
      return *reinterpret_cast<const std::atomic<std::uint64_t>*>(theirs + offset);
    }
  };

  /// Slots that are not free, the longest busy first.
  class BusySlots {
   public:
    explicit BusySlots(std::uint32_t most) : slots_(most) {}
    void push(std::uint32_t slot) noexcept { slots_[(first_ + count_++) % slots_.size()] = slot; }
    std::uint32_t pop() noexcept {
      const std::uint32_t slot = slots_[first_];
      if (++first_ == slots_.size()) first_ = 0;
      --count_;
      return slot;
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

   private:
    std::vector<std::uint32_t> slots_;
    std::size_t first_ = 0;
    std::size_t count_ = 0;
  };

  ClientChannel(const Directory& service, Board& board, const Config& config,
                const HandleCells& held)
      : service_(service),
        board_(board),
        look_(service, board),
        config_(config),
        shape_{.max_pending = config.max_pending, .max_borrowed = config.max_borrowed},
        held_(held),
        exchanges_(config.max_pending),
        busy_(config.max_pending),
        claimed_by_(config.max_borrowed) {}

  Result<void> initialise(std::uint64_t node, mode_t mode);
  void look_at(const std::string& name, std::uint32_t seat);
  Result<void> connect(Connection& connection, File file, const std::string& path);
  void meet(Connection& connection) noexcept;
  void deliver(Connection& connection, std::uint32_t slot) noexcept;
  void deliver_if_waiting(std::uint32_t slot) noexcept;
  Received take_from(Connection& connection, std::uint32_t slot, std::uint32_t response,
                     std::uint32_t claim) noexcept;
  void settle(Connection& connection, std::uint32_t slot) noexcept;
  [[nodiscard]] RequestFate fate_of(const Connection& connection,
                                    std::uint32_t slot) const noexcept;
  void give_up(Connection& connection, const Failure& failure) noexcept;
  bool is_over(std::uint32_t slot) noexcept;
  bool collect() noexcept;
  void collect_all() noexcept;
  bool collect_one() noexcept;
  void drop_gone() noexcept;
  void wake() noexcept;
  [[nodiscard]] bool is_done_with(const Connection& connection) const noexcept;
  [[nodiscard]] std::atomic<std::uint64_t>* words_of(const Connection& connection,
                                                     std::uint64_t offset) const noexcept;
  [[nodiscard]] static Failure broken(const Connection& connection, const std::string& what);

  const Directory& service_;
  Board& board_;
  PeerLook look_;
  Config config_;
  ClientRow shape_;
  const HandleCells& held_;
  SharedFile file_;
  SlotPool pool_;
  std::string name_;
  std::uint32_t seat_ = 0;
  ClientFile* words_ = nullptr;
  std::atomic<std::uint64_t>* wanted_ = nullptr;
  std::uint64_t seen_generation_ = 0;
  std::uint64_t sent_ = 0;           // number of the last request
  bool owes_wake_ = false;           // a response was taken, and nobody was woken for it
  std::vector<Exchange> exchanges_;  // by slot
  std::vector<std::uint32_t> free_;  // slots; the one that became free last is at the end
  BusySlots busy_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<const Connection*> claimed_by_;  // by claim
  std::uint32_t gone_ = 0;                     // connections whose server is gone
  Failure failure_;
};

}  // namespace sluice
