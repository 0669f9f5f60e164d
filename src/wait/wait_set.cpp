// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <sluice/platform/process.hpp>
#include <sluice/platform/process_bell.hpp>
#include <sluice/platform/stop_signals.hpp>
#include <sluice/wait/doorbell_sleeper.hpp>
#include <sluice/wait/wait_set.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// Saturates instead of overflowing.
Time later(Time now, std::chrono::nanoseconds time) noexcept {
  return time > Time::max() - now ? Time::max() : now + time;
}

}  // namespace

class WaitSet::State {
 public:
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();

  Result<std::uint64_t> attach(Waitable& waitable, std::optional<std::chrono::nanoseconds> deadline,
                               Callback callback);
  Result<std::uint64_t> attach_fd(int fd, std::uint32_t events, Callback callback);
  Result<std::uint64_t> attach_interval(std::chrono::nanoseconds interval, Callback callback);
  bool detach(std::uint64_t number) noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

  Errc run();
  std::size_t wait(std::chrono::nanoseconds timeout);
  void stop() noexcept {
    // release: pairs with the acquire in `is_stopped`.
    stop_.store(true, std::memory_order_release);
    ring_process_bell();
  }

  Failure failure;

 private:
  enum class Kind : std::uint8_t { port, deadline, interval, descriptor };

  struct Entry final : Waitable::Watcher {
    Entry(State& owner, Kind what, Callback what_to_do)
        : state(owner), kind(what), callback(std::move(what_to_do)) {}
    void on_closed() noexcept override { state.forget(*this); }

    State& state;
    Kind kind;
    Callback callback;
    std::uint64_t number = 0;
    bool is_attached = true;
    Waitable* waitable = nullptr;       // of ports and deadlines
    DoorbellSleeper::Bell bell{};       // the waitable's
    std::chrono::nanoseconds period{};  // of deadlines and intervals
    Time due{};                         // the same
    int fd = -1;                        // of descriptors
    bool is_fd_ready = false;           // the same
  };

  [[nodiscard]] Result<void> check_process() const {
    if (fork_generation_ == fork_generation()) return {};
    return Failure{Errc::forked,
                   "this wait set belongs to the parent process; make one of the child's own"};
  }
  Result<std::uint64_t> add(std::unique_ptr<Entry> entry);
  [[nodiscard]] Entry* find(std::uint64_t number) noexcept;
  void stop_watching(Entry& entry) noexcept {
    if (entry.waitable != nullptr) entry.waitable->remove_watcher(entry);
  }
  void forget(Entry& entry) noexcept;
  Result<void> gather();
  void sweep() noexcept;

  void begin() {
    if (is_in_round_) abort_with("a wait set is waited for in one of its callbacks");
    failure = {};
  }
  [[nodiscard]] bool is_stopped() const noexcept {
    // acquire: pairs with the release in `stop`.
    return stop_.load(std::memory_order_acquire) || (signals_ != nullptr && signals_->arrived());
  }
  bool fails(const Result<void>& outcome) {
    if (outcome) return false;
    failure = outcome.failure();
    return true;
  }
  std::size_t round();
  void look_if_it_is_time(Time now) noexcept {
    if (now < next_look_) return;
    for (Waitable* waitable : waitables_) waitable->look();
    next_look_ = Clock::now() + kLongestSleep;
  }
  void mark_descriptors() {
    for (const std::uint64_t number : sleeper_.ready_descriptors()) {
      if (Entry* entry = find(number)) entry->is_fd_ready = true;
    }
  }
  void restart_deadlines(const Waitable* taken = nullptr) noexcept;
  [[nodiscard]] bool is_due(Entry& entry, Time now) noexcept;
  [[nodiscard]] bool is_any_ready() noexcept;
  bool sleep(Time until);

  DoorbellSleeper sleeper_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by number
  std::vector<Waitable*> waitables_;             // of the entries, each once
  std::uint64_t last_number_ = 0;
  std::size_t deadlines_ = 0;
  bool is_in_round_ = false;
  Time next_look_ = Clock::now() + kLongestSleep;
  std::atomic<bool> stop_{false};
  const StopSignals* signals_ = nullptr;  // while it runs
  std::uint32_t fork_generation_ = fork_generation();
};

WaitSet::State::~State() {
  if (is_in_round_) abort_with("a wait set is destroyed in one of its callbacks");
  for (const auto& entry : entries_) stop_watching(*entry);
  // Now: a callback may own its port, which goes when the callback is destroyed.
  (void)sleeper_.set_bells({});
}

Result<std::uint64_t> WaitSet::State::attach(Waitable& waitable,
                                             std::optional<std::chrono::nanoseconds> deadline,
                                             Callback callback) {
  if (deadline && deadline->count() <= 0) {
    return Failure{Errc::invalid_options, "a deadline must be longer than 0"};
  }
  auto entry =
      std::make_unique<Entry>(*this, deadline ? Kind::deadline : Kind::port, std::move(callback));
  entry->waitable = &waitable;
  entry->bell = {&waitable.doorbell(), &waitable.pipes(), waitable.pipe_mode()};
  if (deadline) {
    entry->period = *deadline;
    entry->due = later(Clock::now(), *deadline);
  }
  return add(std::move(entry));
}

Result<std::uint64_t> WaitSet::State::attach_fd(int fd, std::uint32_t events, Callback callback) {
  auto entry = std::make_unique<Entry>(*this, Kind::descriptor, std::move(callback));
  if (auto checked = check_process(); !checked) return checked.failure();
  if (auto added = sleeper_.add(fd, events, last_number_ + 1); !added) return added.failure();
  entry->fd = fd;
  return add(std::move(entry));
}

Result<std::uint64_t> WaitSet::State::attach_interval(std::chrono::nanoseconds interval,
                                                      Callback callback) {
  if (interval.count() <= 0) {
    return Failure{Errc::invalid_options, "an interval must be longer than 0"};
  }
  auto entry = std::make_unique<Entry>(*this, Kind::interval, std::move(callback));
  entry->period = interval;
  entry->due = later(Clock::now(), interval);
  return add(std::move(entry));
}

Result<std::uint64_t> WaitSet::State::add(std::unique_ptr<Entry> entry) {
  if (auto checked = check_process(); !checked) return checked.failure();
  entry->number = ++last_number_;
  Entry& added = *entries_.emplace_back(std::move(entry));
  if (added.waitable == nullptr) return added.number;
  added.waitable->add_watcher(added);
  if (added.kind == Kind::deadline) ++deadlines_;
  if (auto gathered = gather(); !gathered) {
    stop_watching(added);
    forget(added);
    return gathered.failure();
  }
  return added.number;
}

WaitSet::State::Entry* WaitSet::State::find(std::uint64_t number) noexcept {
  const auto place =
      std::partition_point(entries_.begin(), entries_.end(),
                           [number](const auto& entry) { return entry->number < number; });
  return place != entries_.end() && (*place)->number == number ? place->get() : nullptr;
}

bool WaitSet::State::detach(std::uint64_t number) noexcept {
  Entry* entry = find(number);
  if (entry == nullptr || !entry->is_attached) return false;
  stop_watching(*entry);
  forget(*entry);
  return true;
}

/// What it stands for is not to be used any more.
void WaitSet::State::forget(Entry& entry) noexcept {
  entry.is_attached = false;
  if (entry.kind == Kind::descriptor) sleeper_.remove(entry.fd);
  if (entry.kind == Kind::deadline) --deadlines_;
  if (std::exchange(entry.waitable, nullptr) != nullptr) (void)gather();  // less never fails
  if (!is_in_round_) sweep();
}

std::size_t WaitSet::State::size() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      entries_.begin(), entries_.end(), [](const auto& entry) { return entry->is_attached; }));
}

/// Tells the sleeper which doorbells there are.
Result<void> WaitSet::State::gather() {
  std::vector<DoorbellSleeper::Bell> bells;
  waitables_.clear();
  for (const auto& entry : entries_) {
    if (entry->waitable == nullptr) continue;
    bells.push_back(entry->bell);
    waitables_.push_back(entry->waitable);
  }
  std::sort(waitables_.begin(), waitables_.end(), std::less<>());
  waitables_.erase(std::unique(waitables_.begin(), waitables_.end()), waitables_.end());
  return sleeper_.set_bells(std::move(bells));
}

/// Destroys what is detached.
void WaitSet::State::sweep() noexcept {
  const auto first = std::stable_partition(entries_.begin(), entries_.end(),
                                           [](const auto& entry) { return entry->is_attached; });
  // A callback may own ports, whose end leads here again: not before `entries_` is in order.
  const std::vector<std::unique_ptr<Entry>> gone(std::make_move_iterator(first),
                                                 std::make_move_iterator(entries_.end()));
  entries_.erase(first, entries_.end());
}

Errc WaitSet::State::run() {
  begin();
  const StopSignals signals;
  struct Running {
    ~Running() { signals = nullptr; }
    const StopSignals*& signals;
  } const running{signals_ = &signals};
  while (!is_stopped() && !fails(check_process())) {
    if (round() == 0 && !is_stopped() && !sleep(Time::max())) break;
  }
  // relaxed: the one who stopped it has nothing to tell but that.
  stop_.store(false, std::memory_order_relaxed);
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
  stop_.store(false, std::memory_order_relaxed);
  return fired;
}

/// Calls each callback for which there is something, once. Returns how many.
std::size_t WaitSet::State::round() {
  const Time now = Clock::now();
  look_if_it_is_time(now);
  mark_descriptors();
  restart_deadlines();
  is_in_round_ = true;
  struct InRound {
    ~InRound() {
      state.is_in_round_ = false;
      state.sweep();
    }
    State& state;
  } const in_round{*this};
  std::size_t fired = 0;
  // Callbacks may add to the entries; those have their turn in the next round.
  const std::size_t count = entries_.size();
  for (std::size_t i = 0; i < count && !is_stopped(); ++i) {
    Entry& entry = *entries_[i];
    if (!entry.is_attached || !is_due(entry, now)) continue;
    ++fired;
    entry.callback();
  }
  return fired;
}

/// The time begins anew for the deadlines of `taken`, which is about to be read; without it, for
/// those of every port that has something.
void WaitSet::State::restart_deadlines(const Waitable* taken) noexcept {
  if (deadlines_ == 0) return;
  for (const auto& entry : entries_) {
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

bool WaitSet::State::is_any_ready() noexcept {
  restart_deadlines();
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    return entry->kind == Kind::port && entry->waitable->is_ready();
  });
}

/// Until something may have come, or it is time for something. False: it cannot sleep.
bool WaitSet::State::sleep(Time until) {
  if (!waitables_.empty()) until = std::min(until, next_look_);
  for (const auto& entry : entries_) {
    if (entry->period.count() != 0) until = std::min(until, entry->due);
  }
  return !fails(sleeper_.sleep_unless([this] { return is_stopped() || is_any_ready(); }, until));
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

WaitSet::Attachment WaitSet::attach_waitable(Waitable& waitable,
                                             std::optional<std::chrono::nanoseconds> deadline,
                                             Callback callback) noexcept {
  return attached(state_->attach(waitable, deadline, std::move(callback)));
}

WaitSet::Attachment WaitSet::attach_fd(int fd, Callback callback, std::uint32_t events) noexcept {
  return attached(state_->attach_fd(fd, events, std::move(callback)));
}

WaitSet::Attachment WaitSet::attach_interval(std::chrono::nanoseconds interval,
                                             Callback callback) noexcept {
  return attached(state_->attach_interval(interval, std::move(callback)));
}

bool WaitSet::detach(const Attachment& attachment) noexcept {
  return state_->detach(attachment.number_);
}

std::size_t WaitSet::size() const noexcept { return state_->size(); }

Errc WaitSet::run() { return state_->run(); }

std::size_t WaitSet::wait(std::chrono::nanoseconds timeout) { return state_->wait(timeout); }

void WaitSet::stop() noexcept { state_->stop(); }

const Failure& WaitSet::last_failure() const noexcept { return state_->failure; }

}  // namespace sluice
