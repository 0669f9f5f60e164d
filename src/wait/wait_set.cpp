// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/platform/process_bell.hpp>
#include <sluice/platform/stop_signals.hpp>
#include <sluice/wait/doorbell_sleeper.hpp>
#include <sluice/wait/wait_set.hpp>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

}  // namespace

struct WaitSet::State {
  enum class Kind : std::uint8_t { port, deadline, interval, descriptor };

  struct Entry final : Attachable::Watcher {
    Entry(State& owner, Kind what, Callback what_to_do)
        : state(owner), kind(what), callback(std::move(what_to_do)) {}
    void on_closed() noexcept override { state.forget(*this); }

    State& state;
    Kind kind;
    Callback callback;
    std::uint64_t number = 0;  // counts up
    bool is_attached = true;
    Attachable* waitable = nullptr;     // of ports and deadlines
    Waker waker{};                      // the waitable's
    std::chrono::nanoseconds period{};  // of deadlines and intervals
    Time due{};                         // the same
    int fd = -1;                        // of descriptors
    std::uint32_t events = 0;           // the same
    bool is_fd_ready = false;           // the same
  };

  ~State();

  [[nodiscard]] Result<void> check_process() const {
    if (generation == fork_generation()) return {};
    return Failure{Errc::forked,
                   "this wait set belongs to the parent process; make one of the child's own"};
  }
  Result<std::uint64_t> add(std::unique_ptr<Entry> entry);
  [[nodiscard]] Entry* find(std::uint64_t number) noexcept;
  void forget(Entry& entry) noexcept;
  Result<void> gather();
  void sweep() noexcept;

  Errc run();
  std::size_t wait(std::chrono::nanoseconds timeout);
  void begin() {
    if (is_in_round) abort_with("a wait set is waited for in one of its callbacks");
    failure = {};
  }
  [[nodiscard]] bool is_stopped() const noexcept {
    // acquire: pairs with the release in `WaitSet::stop`.
    return stop_wanted.load(std::memory_order_acquire) ||
           (stop_signals != nullptr && stop_signals->arrived());
  }
  bool fails(const Result<void>& outcome) {
    if (outcome) return false;
    failure = outcome.failure();
    return true;
  }
  std::size_t round();
  void restart_deadlines(const Attachable* taken = nullptr) noexcept;
  [[nodiscard]] bool is_due(Entry& entry, Time now) noexcept;
  bool sleep(Time until);

  Failure failure;
  DoorbellSleeper sleeper;
  std::vector<std::unique_ptr<Entry>> entries;  // by number
  std::set<Attachable*> waitables;              // of the entries
  std::uint64_t last_number = 0;
  std::size_t deadlines = 0;
  bool is_in_round = false;
  Time next_look = Clock::now() + kLongestSleep;
  std::atomic<bool> stop_wanted{false};
  const StopSignals* stop_signals = nullptr;  // while it runs
  std::uint32_t generation = fork_generation();
};

WaitSet::State::~State() {
  if (is_in_round) abort_with("a wait set is destroyed in one of its callbacks");
  for (const auto& entry : entries) {
    if (entry->waitable != nullptr) entry->waitable->remove_watcher(*entry);
  }
  // Now: a callback may own its port, which goes when the callback is destroyed.
  (void)sleeper.set_wakers({});
}

Result<std::uint64_t> WaitSet::State::add(std::unique_ptr<Entry> entry) {
  Entry& added = *entry;
  if (!added.callback) return Failure{Errc::invalid_options, "the callback is empty"};
  if ((added.kind == Kind::deadline || added.kind == Kind::interval) && added.period.count() <= 0) {
    return Failure{Errc::invalid_options, added.kind == Kind::deadline
                                              ? "a deadline must be longer than 0"
                                              : "an interval must be longer than 0"};
  }
  if (auto checked = check_process(); !checked) return checked.failure();
  if (added.waitable != nullptr && added.waitable->refusal() != nullptr) {
    return *added.waitable->refusal();
  }
  added.number = ++last_number;
  added.due = later(Clock::now(), added.period);
  if (added.kind == Kind::descriptor) {
    auto watched = sleeper.add(added.fd, added.events, added.number);
    if (!watched) return watched.failure();
  }
  entries.push_back(std::move(entry));
  if (added.waitable == nullptr) return added.number;
  added.waker = added.waitable->waker();
  added.waitable->add_watcher(added);
  if (added.kind == Kind::deadline) ++deadlines;
  if (auto gathered = gather(); !gathered) {
    forget(added);
    return gathered.failure();
  }
  return added.number;
}

WaitSet::State::Entry* WaitSet::State::find(std::uint64_t number) noexcept {
  const auto place = std::ranges::lower_bound(entries, number, {}, &Entry::number);
  return place != entries.end() && (*place)->number == number ? place->get() : nullptr;
}

/// What it stands for is not to be used any more.
void WaitSet::State::forget(Entry& entry) noexcept {
  entry.is_attached = false;
  if (entry.kind == Kind::descriptor) sleeper.remove(entry.fd);
  if (entry.kind == Kind::deadline) --deadlines;
  if (Attachable* waitable = std::exchange(entry.waitable, nullptr)) {
    waitable->remove_watcher(entry);
    (void)gather();  // less never fails
  }
  if (!is_in_round) sweep();
}

/// Tells the sleeper which wakers there are.
Result<void> WaitSet::State::gather() {
  std::vector<Waker> wakers;
  waitables.clear();
  for (const auto& entry : entries) {
    if (entry->waitable == nullptr) continue;
    wakers.push_back(entry->waker);
    waitables.insert(entry->waitable);
  }
  return sleeper.set_wakers(wakers);
}

/// Destroys what is detached.
void WaitSet::State::sweep() noexcept {
  const auto first =
      std::stable_partition(entries.begin(), entries.end(), std::mem_fn(&Entry::is_attached));
  // A callback may own ports, whose end leads here again: not before `entries` is in order.
  const std::vector<std::unique_ptr<Entry>> gone(std::make_move_iterator(first),
                                                 std::make_move_iterator(entries.end()));
  entries.erase(first, entries.end());
}

Errc WaitSet::State::run() {
  begin();
  const StopSignals signals;
  struct Running {
    ~Running() { signals = nullptr; }
    const StopSignals*& signals;
  } const running{stop_signals = &signals};
  while (!is_stopped() && !fails(check_process())) {
    if (round() == 0 && !is_stopped() && !sleep(Time::max())) break;
  }
  // relaxed: the one who stopped it has nothing to tell but that.
  stop_wanted.store(false, std::memory_order_relaxed);
  return failure.code;
}

std::size_t WaitSet::State::wait(std::chrono::nanoseconds timeout) {
  begin();
  const Time until = later(Clock::now(), timeout);
  std::size_t fired = 0;
  while (!is_stopped() && !fails(check_process())) {
    fired = round();
    if (fired != 0 || is_stopped() || Clock::now() >= until || !sleep(until)) break;
  }
  // relaxed: nothing is ordered by it; `stop` says so by the process bell.
  stop_wanted.store(false, std::memory_order_relaxed);
  return fired;
}

/// Calls each callback for which there is something, once. Returns how many.
std::size_t WaitSet::State::round() {
  const Time now = Clock::now();
  if (now >= next_look) {
    for (Attachable* waitable : waitables) waitable->look();
    next_look = Clock::now() + kLongestSleep;
  }
  for (const std::uint64_t number : sleeper.ready_descriptors()) {
    if (Entry* entry = find(number)) entry->is_fd_ready = true;
  }
  restart_deadlines();
  is_in_round = true;
  struct InRound {
    ~InRound() {
      state.is_in_round = false;
      state.sweep();
    }
    State& state;
  } const in_round{*this};
  std::size_t fired = 0;
  // Callbacks may add to the entries; those have their turn in the next round.
  const std::size_t count = entries.size();
  for (std::size_t i = 0; i < count && !is_stopped(); ++i) {
    Entry& entry = *entries[i];
    if (!entry.is_attached || !is_due(entry, now)) continue;
    ++fired;
    entry.callback();
  }
  return fired;
}

/// The time begins anew for the deadlines of `taken`, which is about to be read; without it, for
/// those of every port that has something.
void WaitSet::State::restart_deadlines(const Attachable* taken) noexcept {
  if (deadlines == 0) return;
  for (const auto& entry : entries) {
    if (entry->kind != Kind::deadline || !entry->is_attached) continue;
    if (taken != nullptr ? entry->waitable == taken : entry->waitable->is_ready()) {
      entry->due = later(Clock::now(), entry->period);
    }
  }
}

/// Whether the callback is to be called; then the time begins anew.
bool WaitSet::State::is_due(Entry& entry, Time now) noexcept {
  switch (entry.kind) {
    case Kind::port:
      if (!entry.waitable->is_ready()) return false;
      restart_deadlines(entry.waitable);
      return true;
    case Kind::deadline:
      if (now < entry.due) return false;
      entry.due = later(now, entry.period);
      return true;
    case Kind::interval:
      if (now < entry.due) return false;
      entry.due = later(entry.due, ((now - entry.due) / entry.period + 1) * entry.period);
      return true;
    case Kind::descriptor:
      return std::exchange(entry.is_fd_ready, false);
  }
  return false;
}

/// Until something may have come, or it is time for something. False: it cannot sleep.
bool WaitSet::State::sleep(Time until) {
  if (!waitables.empty()) until = std::min(until, next_look);
  for (const auto& entry : entries) {
    if (entry->period.count() != 0) until = std::min(until, entry->due);
  }
  const auto is_ready = [this] {
    if (is_stopped()) return true;
    restart_deadlines();
    return std::ranges::any_of(entries, [](const auto& entry) {
      return entry->kind == Kind::port && entry->waitable->is_ready();
    });
  };
  return !fails(sleeper.sleep_unless(is_ready, until));
}

WaitSet::WaitSet() : state_(std::make_unique<State>()) { watch_forks(); }
WaitSet::WaitSet(WaitSet&&) noexcept = default;
WaitSet& WaitSet::operator=(WaitSet&&) noexcept = default;
WaitSet::~WaitSet() = default;

WaitSet::Attachment WaitSet::attached(Result<std::uint64_t> number) noexcept {
  Attachment attachment;
  attachment.error_ = number ? Errc::ok : number.error();
  if (number) attachment.number_ = *number;
  state_->failure = number ? Failure{} : number.failure();
  return attachment;
}

WaitSet::Attachment WaitSet::attach_waitable(Attachable& waitable,
                                             std::optional<std::chrono::nanoseconds> deadline,
                                             Callback callback) noexcept {
  auto entry = std::make_unique<State::Entry>(
      *state_, deadline ? State::Kind::deadline : State::Kind::port, std::move(callback));
  entry->waitable = &waitable;
  if (deadline) entry->period = *deadline;
  return attached(state_->add(std::move(entry)));
}

WaitSet::Attachment WaitSet::attach_fd(int fd, Callback callback, std::uint32_t events) noexcept {
  auto entry =
      std::make_unique<State::Entry>(*state_, State::Kind::descriptor, std::move(callback));
  entry->fd = fd;
  entry->events = events;
  return attached(state_->add(std::move(entry)));
}

WaitSet::Attachment WaitSet::attach_period(std::chrono::nanoseconds interval,
                                           Callback callback) noexcept {
  auto entry = std::make_unique<State::Entry>(*state_, State::Kind::interval, std::move(callback));
  entry->period = interval;
  return attached(state_->add(std::move(entry)));
}

bool WaitSet::detach(const Attachment& attachment) noexcept {
  State::Entry* entry = state_->find(attachment.number_);
  if (entry == nullptr || !entry->is_attached) return false;
  state_->forget(*entry);
  return true;
}

std::size_t WaitSet::size() const noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(state_->entries, &State::Entry::is_attached));
}

Errc WaitSet::run() { return state_->run(); }

std::size_t WaitSet::wait_for(std::chrono::nanoseconds timeout) { return state_->wait(timeout); }

void WaitSet::stop() noexcept {
  // release: pairs with the acquire in `State::is_stopped`.
  state_->stop_wanted.store(true, std::memory_order_release);
  ring_process_bell();
}

const Failure& WaitSet::last_failure() const noexcept { return state_->failure; }

}  // namespace sluice
