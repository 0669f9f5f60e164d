// SPDX-License-Identifier: Apache-2.0
//
// A server's side of the request-response channel: its file with the responses, and the clients
// that it serves in turn.
//
// A response's slot is in use while the response is in a lane, and then while a claim of that
// client names it. A client that is gone uses none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/core/handle_cells.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/request_response/request_response.hpp>
#include <sluice/queue/spsc_index_queue.hpp>
#include <sluice/queue/tagged_entry.hpp>
#include <sluice/service/board.hpp>
#include <sluice/service/peer_look.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Thread safety: one thread at a time, except as `Request` says.
class ServerChannel {
  struct Connection;

 public:
  struct Config {
    PayloadLayout request;
    PayloadLayout response;
    std::uint32_t max_requests = 1;
    std::uint32_t max_loans = 1;
    std::uint32_t depth = 1;  ///< a power of two
  };

  /// A request that was taken.
  struct Request {
    Connection* connection = nullptr;  ///< null: nothing there
    PeerSlots::Payload payload;
    std::uint64_t number = 0;  ///< the client counts its requests from 1
    std::uint64_t ticket = 0;  ///< this server counts those that it took from 1
    std::uint32_t slot = 0;    ///< the client's
    /// For `end_request`, on any thread.
    std::atomic<std::uint64_t>* done = nullptr;
  };

  /// Links a server's file into `service` and announces it. Of `held`, cell r stands for a request
  /// that was taken, and cell max_requests + l for a loan. The references must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<ServerChannel>> create(
      const Directory& service, Board& board, std::uint64_t node, mode_t mode, const Config& config,
      const HandleCells& held);
  /// Unlinks the file and announces that. Precondition: no cell is held.
  ~ServerChannel();
  ServerChannel(const ServerChannel&) = delete;
  ServerChannel& operator=(const ServerChannel&) = delete;

  /// Takes no more requests. Those that are held go on.
  void leave() noexcept;

  /// Takes the next request of the client whose turn it is, for `cell`. Wait-free; system calls
  /// only when ports came or went, or a client's file grew.
  [[nodiscard]] const Request& take(std::uint32_t cell) noexcept {
    follow_changes();
    const std::size_t count = connections_.size();
    for (std::size_t tried = 0; tried < count; ++tried) {
      if (turn_ >= count) turn_ = 0;
      Connection& connection = *connections_[turn_++];
      if (!connection.requests) continue;
      if (const auto slot = connection.requests->front()) {
        return take_from(connection, *slot, cell);
      }
      if (connection.requests->broken()) [[unlikely]]
        give_up(connection, broken(connection, "has a queue of requests that cannot be"));
    }
    if (gone_ != 0) [[unlikely]]
      drop_gone();
    return nothing_;
  }

  /// Room for a response to the request of `cell`, which is then that of `loan`. Wait-free; system
  /// calls only when ports came or went, or memory is short. Returns ok, would_block, abandoned, or
  /// why there is no slot, with `failure()`.
  [[nodiscard]] Errc acquire(std::uint32_t cell, std::uint32_t loan, std::uint32_t& slot) noexcept;
  [[nodiscard]] std::byte* payload(std::uint32_t slot) const noexcept {
    return pool_.payload(slot);
  }
  /// Slices: room for `count` elements. Null where there is no memory, with `failure()`.
  [[nodiscard]] std::byte* resize(std::uint32_t slot, std::uint64_t count) noexcept;
  void give_back(std::uint32_t slot) noexcept {
    pool_.clear(slot);
    free_.push_back(slot);
  }
  /// Whether `loan` is for the request of `cell`.
  [[nodiscard]] bool is_for(std::uint32_t loan, std::uint32_t cell) const noexcept {
    return loans_[loan].cell == cell && loans_[loan].ticket == requests_[cell].ticket;
  }
  /// Sends `slot`, from `acquire`, as a response to the request of `cell`. Wait-free; a system call
  /// only if somebody sleeps.
  void respond(std::uint32_t cell, std::uint32_t slot) noexcept;
  /// Sleeps until there may be room for a response, or `timeout` is over.
  void wait_for_room(std::uint32_t cell, std::chrono::nanoseconds timeout);

  /// Whether nobody wants responses any more, as far as this process knows. Any thread.
  [[nodiscard]] static bool is_abandoned(const Request& request) noexcept;
  /// The same, after a look whether the client lives. Any thread; a system call.
  [[nodiscard]] static bool is_abandoned_or_dead(const Request& request) noexcept;
  [[nodiscard]] static std::uint64_t client(const Request& request) noexcept;

  /// After a change that others may sleep for. Any thread.
  void wake() noexcept {
    // seq_cst: pairs with the fence of a client that arms the doorbell and then looks at its lanes.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    board_.doorbell.wake(service_);
  }

  /// Whether there may be a request to take.
  [[nodiscard]] bool has_new() const noexcept;
  /// Sleeps until there may be a request, a client may have died, or `timeout` is over.
  void wait(std::chrono::nanoseconds timeout);

  /// Looks into the directory if ports came or went.
  void follow_changes() noexcept {
    if (board_.generation_now() != seen_generation_) [[unlikely]]
      refresh();
  }
  /// Looks into the service's directory: who joined, who left, who died. System calls.
  void refresh() noexcept;

  [[nodiscard]] std::uint32_t clients() const noexcept;
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return file_.incarnation(); }
  [[nodiscard]] std::uint32_t slots() const noexcept { return pool_.size(); }
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }
  /// The failure, which is then forgotten.
  [[nodiscard]] Failure take_failure() noexcept { return std::exchange(failure_, {}); }

 private:
  /// Responses to the requests in one slot of a client.
  struct Lane {
    SpscIndexQueue::Producer responses;
    const std::atomic<std::uint64_t>* entries;  // this server's own words
    std::atomic<std::uint64_t>* done;
    std::uint64_t number = 0;     // of the last request that was taken
    std::uint64_t reclaimed = 0;  // responses that are known to have left the lane
    std::uint64_t limit = 0;      // position that has no room before more are
  };

  /// One client. Lives until it is gone and no request of it is held.
  struct Connection {
    SharedFile file;
    const ClientFile* words = nullptr;
    PeerSlots slots;  // of requests
    std::uint64_t incarnation = 0;
    std::uint64_t inode = 0;
    std::uint32_t seat = 0;
    ClientRow their_shape{};
    const std::byte* theirs = nullptr;  // this server's row in its file
    ServerRow shape{};
    std::uint64_t row = 0;                             // offset of its row in this server's file
    std::optional<SpscIndexQueue::Consumer> requests;  // none: not connected yet, or given up
    std::vector<Lane> lanes;                           // by slot of the request
    std::vector<std::uint32_t> passed;                 // slots that left a lane, perhaps claimed
    std::atomic<bool> is_gone{false};
    bool is_broken = false;

    [[nodiscard]] const std::atomic<std::uint64_t>* their_words(
        std::uint64_t offset) const noexcept {
      return reinterpret_cast<const std::atomic<std::uint64_t>*>(theirs + offset);
    }
    [[nodiscard]] const std::atomic<std::uint64_t>& wanted(std::uint32_t slot) const noexcept {
      return file.region().at<const std::atomic<std::uint64_t>>(ClientFile::kWantedOffset)[slot];
    }
  };

  /// A loan's request.
  struct Loaned {
    std::uint32_t cell = 0;
    std::uint64_t ticket = 0;
  };

  ServerChannel(const Directory& service, Board& board, const Config& config,
                const HandleCells& held)
      : service_(service),
        board_(board),
        look_(service, board),
        config_(config),
        held_(held),
        requests_(config.max_requests),
        loans_(config.max_loans) {}

  const Request& take_from(Connection& connection, std::uint32_t slot, std::uint32_t cell) noexcept;
  Result<void> initialise(std::uint64_t node, mode_t mode);
  void look_at(const std::string& name, std::uint32_t seat);
  Result<void> prepare(Connection& connection, File file, const std::string& path);
  bool meet(Connection& connection) noexcept;
  Result<void> connect(Connection& connection);
  [[nodiscard]] std::uint32_t loans_for(std::uint32_t cell, std::uint32_t but) const noexcept;
  bool has_room(std::uint32_t cell, std::uint32_t loan) noexcept;
  void pass(Connection& connection, Lane& lane) noexcept;
  bool find_free() noexcept;
  void reclaim() noexcept;
  void reclaim(Connection& connection) noexcept;
  void reclaim_all(Connection& connection) noexcept;
  void give_up(Connection& connection, const Failure& failure) noexcept;
  void drop_gone() noexcept;
  [[nodiscard]] bool is_held(const Connection& connection) const noexcept;
  [[nodiscard]] std::uint64_t slots_needed(bool at_once) const noexcept;
  Result<void> grow_to(std::uint64_t slots);
  [[nodiscard]] static Failure broken(const Connection& connection, const std::string& what);
  [[nodiscard]] std::atomic<std::uint64_t>& word_of(const Connection& connection,
                                                    std::uint64_t offset) const noexcept;

  const Directory& service_;
  Board& board_;
  PeerLook look_;
  Config config_;
  const HandleCells& held_;
  SharedFile file_;
  SlotPool pool_;
  std::string name_;
  std::uint32_t seat_ = 0;
  ServerFile* words_ = nullptr;
  std::uint64_t seen_generation_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::size_t turn_ = 0;
  std::uint64_t tickets_ = 0;
  std::vector<Request> requests_;     // by cell
  std::vector<Loaned> loans_;         // by loan
  std::vector<std::uint32_t> free_;   // the slot that became free last is at the end
  std::vector<std::uint64_t> marks_;  // by slot: look in which it was last seen claimed
  std::uint64_t looks_ = 0;
  std::uint32_t gone_ = 0;  // connections whose client is gone
  const Request nothing_;
  bool is_leaving_ = false;
  Failure failure_;
};

}  // namespace sluice
