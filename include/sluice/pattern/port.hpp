// SPDX-License-Identifier: Apache-2.0
//
// What all ports have in common: a place in a service, handles that the user holds and that may
// outlive the port, why the last call failed, and that a forked child must leave them alone.
//
// A port is in two classes: a thin template, which the user holds and may move, and one without
// templates, which stays where it is. `PortOwner` ties the first to the second. What was moved from
// is tied to a port of its class that is closed, one for the whole process: it refuses everything
// in the branch that a forked child takes, so that no call has to ask whether there is a port.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <sluice/core/handle_cells.hpp>
#include <sluice/core/result.hpp>
#include <sluice/memory/slot_pool.hpp>
#include <sluice/pattern/handle.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/port_file.hpp>
#include <sluice/wait/waitable.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// The most address space that a port's options can ask for: 1 TiB.
inline constexpr std::uint64_t kMaxHeapBytes = std::uint64_t{1} << 40;

/// Lives until it is closed and the last of its handles is given back. Thread safety: one thread at
/// a time, except `is_forked`, `drop`, `give_back` and `wake`.
class Port {
 public:
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  /// Whether the port is not to be used here: this process is a forked child of the one that made
  /// it, or it was never open.
  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }
  /// Whether it is the one that stands for a port that was moved from. Its failure says so, and
  /// nothing of it ever changes: any number of threads may use it.
  [[nodiscard]] bool was_never_open() const noexcept {
    return fork_generation_ == kNoForkGeneration;
  }
  /// Why the last call failed.
  [[nodiscard]] const Failure& last_failure() const noexcept { return failure_; }
  [[nodiscard]] std::uint64_t incarnation() const noexcept { return file_.incarnation(); }

  /// Sleeps until `present()` is at least `least`, at most `timeout`: it is asked after each change
  /// of who is in the service, and every kLongestSleep. `peers` is for the message. Errors: forked,
  /// closed, timed_out. System calls.
  [[nodiscard]] Result<void> wait_for_peers(const char* peers, std::uint32_t least,
                                            std::chrono::nanoseconds timeout,
                                            const std::function<std::uint32_t()>& present) noexcept;

  /// Ends the wait that is under way, or the next one, with Errc::interrupted. Any thread, also in
  /// a signal handler; system calls.
  void interrupt() noexcept;

  /// Gives a handle back. Any thread. Afterwards this may be gone.
  void drop(Cell cell) noexcept {
    if (is_forked()) [[unlikely]]
      return;
    if (cells_.give_back(cell)) end();
  }
  /// A loan that is not used.
  void give_back(const Loaned& loaned) noexcept { drop(loaned.cell); }
  /// What was read.
  void give_back(const Borrowed& borrowed) noexcept {
    if (is_forked()) [[unlikely]]
      return;  // the parent's
    // release: pairs with the acquire of the owner that looks for free slots; the payload was read
    // before.
    borrowed.claim->store(0, std::memory_order_release);
    drop(borrowed.cell);
  }

  /// The port is gone; its handles may live on.
  void close() noexcept {
    if (was_never_open()) return;
    before_close();
    if (is_forked()) return;  // the parent's: left as it is
    if (cells_.close()) end();
  }

 protected:
  /// `handles`: how many may be held at once. In `Service::none()` it is never open.
  Port(const PortKind& kind, std::shared_ptr<Service> service, std::uint32_t handles = 0);
  virtual ~Port() = default;
  /// On the port's thread, in a forked child too.
  virtual void before_close() noexcept {}
  /// Before all else is gone. Not of a port that could not be opened.
  virtual void before_end() noexcept { file_.leave(); }

  /// Left after all that the port itself holds is gone.
  [[nodiscard]] Service& service() const noexcept { return *service_; }
  /// The service's board, and the directory that its sleepers' pipes are in.
  [[nodiscard]] Board& board() const noexcept { return service_->board(); }
  [[nodiscard]] const Directory& directory() const noexcept { return service_->directory(); }

  /// Makes the port's file, as `PortFile::create` says; the other one is written by others, too.
  [[nodiscard]] Result<void> create_file(std::uint64_t bytes, std::uint64_t reserved_bytes) {
    return file_.create(service(), kind_, service().port_mode(), bytes, reserved_bytes);
  }
  [[nodiscard]] Result<void> create_shared_file(std::uint64_t bytes) {
    return file_.create(service(), kind_, service().shared_mode(), bytes, 0);
  }

  /// Notes why the call under way fails, with the service's name before it. Allocates.
  Errc fail(Errc code, std::string_view why) noexcept;
  Errc fail(const Failure& failure) noexcept { return fail(failure.code, failure.message); }
  /// Where `is_forked()`. Errc::closed, with nothing noted, of a port that was never open.
  Errc fail_forked() noexcept;
  /// After a look: where new ports do not find this one any more, because its files were removed,
  /// the failure says so, once. The call under way does not fail for that. System calls.
  void note_loss() noexcept;
  /// There is no cell for one more handle: "all 4 <held; what to do>, or raise <option>".
  Errc fail_all(Errc code, std::uint32_t all, const char* held, const char* option) noexcept;
  /// The same for what a look has found, which is then forgotten; ok: nothing was found.
  Errc report(Failure& found) noexcept {
    return found.code == Errc::ok ? Errc::ok : fail(std::exchange(found, {}));
  }
  /// The same for what may be ok: then the call has not failed.
  void note(const Failure& failure) noexcept;
  /// Nothing came for `timeout`. Where none of the `peers` that it could have come from is there,
  /// the failure says what may keep them from being seen: system calls, unless the wait was a short
  /// one.
  Errc fail_timed_out(std::string why, std::uint32_t peers,
                      std::chrono::nanoseconds timeout) noexcept;

  /// The port's descriptor (`fd()`); -1 where there is none, which counts as a failed call.
  [[nodiscard]] int descriptor_of(Waitable& waitable) noexcept;

  /// Gives a slice that was loaned, in `slot`, its size. Where that fails there is no loan.
  [[nodiscard]] Loaned sized(Loaned loaned, SlotPool& pool, Slot slot,
                             std::uint64_t count) noexcept {
    const auto resized = pool.resize(slot, count);
    if (!resized) {
      cells_.withdraw(loaned.cell);
      return {.error = fail(resized.failure())};
    }
    return {.payload = *resized, .count = count, .cell = loaned.cell};
  }

  /// Wakes whoever sleeps at a doorbell at which this port waits.
  virtual void rouse() noexcept { board().doorbell.rouse(); }
  [[nodiscard]] bool is_interrupted() const noexcept {
    // acquire: pairs with the release in `interrupt`. Before a sleep it is asked once the bell was
    // read, which is rung after the store.
    return interrupted_.load(std::memory_order_acquire);
  }
  /// Whether a wait is to end here; it has been told then.
  [[nodiscard]] bool takes_interruption() noexcept {
    if (!is_interrupted()) return false;
    // relaxed: the value is all there is to it.
    interrupted_.store(false, std::memory_order_relaxed);
    fail(Errc::interrupted, "the wait was interrupted");
    return true;
  }

  /// Calls `take()` until its result holds a payload or an error other than would_block, and
  /// `sleep(left)` in between; after `timeout`, the error is timed_out.
  template <typename Take, typename Sleep>
  [[nodiscard]] auto take_or_sleep(std::chrono::nanoseconds timeout, Take&& take, Sleep&& sleep) {
    const Deadline deadline(timeout);
    for (;;) {
      auto taken = take();
      if (taken.payload != nullptr) return taken;
      if (taken.error != Errc::ok && taken.error != Errc::would_block) return taken;
      const auto left = deadline.left();
      if (takes_interruption()) {
        taken.error = Errc::interrupted;
        return taken;
      }
      if (left.count() == 0) {
        taken.error = Errc::timed_out;
        return taken;
      }
      sleep(left);
    }
  }

  /// After a change that others may sleep for at the service's doorbell. Any thread.
  void wake() const noexcept {
    // seq_cst: pairs with the fence in `Doorbell::arm`, after which a sleeper looks once more.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    board().doorbell.wake(directory());
  }

  /// Sleeps until the service's doorbell is rung, unless `ready()`, for at most `timeout`. Returns
  /// whether a whole kLongestSleep passed: somebody may have died without a word.
  template <typename Ready>
  [[nodiscard]] bool sleep_unless(Ready&& ready, std::chrono::nanoseconds timeout) {
    const Deadline slice(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
    const auto may_go_on = [&] { return is_interrupted() || ready(); };
    return !board().doorbell.sleep_unless(may_go_on, timeout) && slice.left().count() == 0;
  }

 private:
  void end() noexcept {
    before_end();
    delete this;
  }

  const PortKind& kind_;
  std::uint32_t fork_generation_;
  std::shared_ptr<Service> service_;
  Failure failure_;
  std::atomic<bool> interrupted_{false};
  std::string loss_;  // why new ports do not find this one

 protected:
  PortFile file_;
  HandleCells cells_;
};

/// One that can be waited for: it is filled by others, which ring the service's doorbell.
class ReceivingPort : public Port, public Waitable {
 public:
  [[nodiscard]] Doorbell& doorbell() noexcept override { return board().doorbell; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return directory(); }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return service().shared_mode(); }

  [[nodiscard]] const Failure* refusal() const noexcept override {
    return was_never_open() ? &last_failure() : nullptr;
  }

  /// See `Subscriber::fd`.
  [[nodiscard]] int fd() noexcept { return descriptor_of(*this); }

 protected:
  using Port::Port;
  ~ReceivingPort() override = default;
  void before_close() noexcept override { cut_link(); }
};

/// The port of class `P` that was never open: the same one at each call, made by the first, and
/// never destroyed. Any thread. For each class in src/closed_ports.cpp.
template <typename P>
[[nodiscard]] P* closed_port() noexcept;

/// What the user holds of a port, which ends with it: `port->close()`. Move-only. One that was
/// moved from may be assigned to and destroyed; all other calls are refused with closed, return 0,
/// nothing, or -1 (`fd`), at once. Any thread may make them.
///
/// Every constructor joins the service, or creates it, as the `mode` in its options says. Errors
/// (thrown as `Error`): not_found (open_only), already_exists (create_only), invalid_name,
/// invalid_options, type_mismatch, version_mismatch, corrupted, too_many_ports (1024 of its kind),
/// no_memory, no_address_space, no_permission, forked, closed (the node was moved from), timed_out,
/// system. System calls.
template <typename P>
class PortOwner {
 public:
  PortOwner(PortOwner&& other) noexcept : port_(other.take()) {}
  PortOwner& operator=(PortOwner&& other) noexcept {
    if (this != &other) {
      port_->close();
      port_ = other.take();
    }
    return *this;
  }
  ~PortOwner() { port_->close(); }

  /// Ends the call of this port that waits (`wait`, `call`, `loan_for`, `push_for`, …), or else the
  /// next one that would, as soon as there is nothing for it: its error is interrupted. Any thread,
  /// also in a signal handler, as long as the port is neither moved nor destroyed meanwhile. A wait
  /// set has `stop` for that. System calls.
  void interrupt() noexcept { port_->interrupt(); }

  /// Why the last call of this port failed, in words and numbers. closed: it was moved from.
  [[nodiscard]] const Failure& last_failure() const noexcept { return port_->last_failure(); }

 protected:
  explicit PortOwner(P* port) noexcept : port_(port) {}
  /// What `Owner::create` returns for the port that was made, or not.
  template <typename Owner>
  [[nodiscard]] static Result<Owner> own(const Result<P*>& port) {
    if (!port) return port.failure();
    return Owner(*port);
  }

  /// `Port::wait_for_peers`, which `present` counts.
  template <typename Rep, typename Period>
  [[nodiscard]] Result<void> wait_for_peers(const char* peers, std::uint32_t least,
                                            std::chrono::duration<Rep, Period> timeout,
                                            std::uint32_t (P::*present)() noexcept) noexcept {
    return port_->wait_for_peers(peers, least, to_timeout(timeout),
                                 [this, present] { return (port_->*present)(); });
  }

  P* port_;

 private:
  [[nodiscard]] P* take() noexcept { return std::exchange(port_, closed_port<P>()); }
};

/// The same for a port that can be waited for.
template <typename P>
class WaitablePortOwner : public PortOwner<P> {
 public:
  /// A descriptor that can be read when there may be something to receive: for epoll, Qt, asio. The
  /// port's own; it is closed with it. Only wait for it; what makes it readable is taken out by the
  /// `receive` (`latest`, `read`, `updated`) that finds nothing, so call it until it does:
  ///
  ///     while (auto sample = subscriber.receive()) use(*sample);
  ///
  /// Such a call then makes a few system calls, and every 100 ms the descriptor can be read even
  /// though nothing came, so that the dead are noticed. Not while all handles that the port may
  /// have (`max_borrowed`, …) are held: then it stays readable. -1 where there was a failure
  /// (`last_failure()`): forked, closed, no_memory, no_permission, system.
  [[nodiscard]] int fd() noexcept { return this->port_->fd(); }

  /// For `WaitSet`.
  [[nodiscard]] Waitable& waitable() noexcept { return *this->port_; }

 protected:
  using PortOwner<P>::PortOwner;
};

/// `failure`, with the service's name before it.
[[nodiscard]] Failure in_service(std::string_view service, const Failure& failure);

/// Makes a port of class `P` in the service of `description`, which is joined as `mode` says:
/// `P(service, arguments…)`, then `open()`; unless `checked`, what its options were found to be, is
/// a failure. Failures name the service.
template <typename P, typename... Arguments>
[[nodiscard]] Result<P*> open_port(const Node& node, const ServiceDescription& description,
                                   OpenMode mode, const Result<void>& checked,
                                   const Arguments&... arguments) {
  if (!checked) return in_service(description.name, checked.failure());
  auto joined = Service::join(node.state(), description, mode);
  if (!joined) return joined.failure();
  auto port = std::make_unique<P>(std::move(*joined), arguments...);
  if (auto opened = port->open(); !opened) return in_service(description.name, opened.failure());
  return port.release();
}

/// A value, and what an option may be.
struct OptionRange {
  const char* name;  ///< "ClientOptions::max_pending"
  std::uint64_t value;
  std::uint64_t least;
  std::uint64_t most;
};

/// Fails with invalid_options for the first that is outside.
Result<void> require(std::initializer_list<OptionRange> options);

}  // namespace sluice
