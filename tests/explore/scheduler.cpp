// SPDX-License-Identifier: Apache-2.0
#include "scheduler.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace explore {

Scheduler scheduler;

Report run(const Scenario& scenario) { return scheduler.run(scenario); }
Report replay(const Scenario& scenario, const std::string& schedule) {
  return scheduler.replay(scenario, schedule);
}
void yield() { scheduler.yield(); }
bool crashed(std::size_t fiber) { return scheduler.crashed(fiber); }
void require(bool condition, const char* message) {
  if (!condition) scheduler.fail(message);
}
void watch_payload(const void* address, std::size_t bytes, const char* name) {
  if (!scheduler.races().watch(address, bytes, name)) scheduler.fail("too many payload words");
  scheduler.name_words(address, bytes, name);
}
void name_words(const void* address, std::size_t bytes, const char* name) {
  scheduler.name_words(address, bytes, name);
}

Scheduler::Scheduler() {
  for (void*& stack : stacks_) {
    stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE) != 0) std::abort();
  }
}

Report Scheduler::run(const Scenario& scenario) {
  scenario_ = &scenario;
  choices_.clear();
  report_ = {};
  tracing_ = false;
  do {
    execute();
    if (!report_.failed && report_.executions == scenario.options.max_executions) {
      fail("more executions than allowed");
    }
  } while (!report_.failed && next_schedule());
  if (!report_.failed) return report_;
  const Report found = report_;
  report_ = replay(scenario, found.schedule);
  report_.executions = found.executions;
  report_.steps = found.steps;
  if (report_.message != found.message) {
    report_.message = found.message + " (but in the replay: " + report_.message + ")";
  }
  return report_;
}

Report Scheduler::replay(const Scenario& scenario, const std::string& schedule) {
  scenario_ = &scenario;
  choices_.clear();
  report_ = {};
  for (const char* at = schedule.c_str(); *at != '\0';) {
    char* end = nullptr;
    const std::size_t place = std::strtoul(at, &end, 10);
    const auto taken = static_cast<std::uint8_t>(*end == ':' ? std::strtoul(end + 1, &end, 10) : 0);
    if (end == at) break;
    // A count of 0: not known yet.
    while (choices_.size() < place) choices_.push_back({0, 0});
    choices_.push_back({taken, 0});
    for (at = end; *at == ' ';) ++at;
  }
  tracing_ = true;
  execute();
  tracing_ = false;
  return report_;
}

void Scheduler::execute() {
  depth_ = 0;
  steps_ = 0;
  crashed_ = yielded_ = may_crash_ = 0;
  preemptions_left_ = scenario_->options.preemptions;
  crashes_left_ = scenario_->options.crashes;
  late_stores_left_ = scenario_->options.late_stores;
  for (StoreBuffer& buffer : late_stores_) buffer.clear();
  races_.reset();
  names_.clear();
  ++report_.executions;

  scenario_->setup();
  const std::size_t count = scenario_->fibers.size();
  if (count > kMaxFibers) std::abort();
  runnable_ = bit(count) - 1;
  for (std::size_t i = 0; i != count; ++i) {
    make_context(contexts_[i], stacks_[i], kStackBytes, &fiber_entry);
    if (scenario_->fibers[i].may_crash) may_crash_ |= bit(i);
  }
  // Which fiber starts is a choice too, and costs nothing.
  current_ = choose(count);
  in_fiber_ = true;
  switch_context(main_, contexts_[current_]);
  in_fiber_ = false;
  if (!report_.failed) scenario_->check();
  report_.steps += steps_;
}

// Depth first: the last choice that has alternatives left takes the next one.
bool Scheduler::next_schedule() {
  choices_.resize(depth_);
  while (!choices_.empty() && choices_.back().taken + 1 >= choices_.back().count) {
    choices_.pop_back();
  }
  if (choices_.empty()) return false;
  ++choices_.back().taken;
  return true;
}

std::size_t Scheduler::choose(std::size_t count) {
  if (count == 1) return 0;
  if (depth_ == choices_.size()) choices_.push_back({0, static_cast<std::uint8_t>(count)});
  Choice& choice = choices_[depth_++];
  if (choice.count == 0) choice.count = static_cast<std::uint8_t>(count);
  if (choice.count != count || choice.taken >= count) {
    std::fprintf(stderr, "explore: '%s' does not repeat itself\n", scenario_->name.c_str());
    std::abort();
  }
  return choice.taken;
}

void Scheduler::fiber_entry() {
  Scheduler& self = scheduler;
  self.scenario_->fibers[self.current_].run();
  self.show_stores();
  self.runnable_ &= ~bit(self.current_);
  const std::uint32_t next = self.successors();
  self.leave_to(next == 0 ? kNone
                          : nth(next, self.choose(static_cast<std::size_t>(std::popcount(next)))));
}

void Scheduler::before_operation() {
  if (++steps_ > scenario_->options.max_steps) fail("an endless loop: too many steps");
  // Preempted and back, it may be preempted or killed once more before the same operation: the
  // others may have come back by a yield, or may not have seen it dead.
  while (leaves_before_operation()) continue;
}

bool Scheduler::leaves_before_operation() {
  if (preemptions_left_ == 0 && crashes_left_ == 0) return false;

  // 0: go on. Then: preempted by each of the others. Then: killed, and each of the others goes on.
  const std::uint32_t others = runnable_ & ~bit(current_);
  const auto other_count = static_cast<std::size_t>(std::popcount(others));
  const std::size_t switches = preemptions_left_ != 0 ? other_count : 0;
  const bool may_crash = crashes_left_ != 0 && (may_crash_ & bit(current_)) != 0;
  const std::size_t kills = !may_crash ? 0 : other_count == 0 ? 1 : other_count;
  const std::size_t taken = choose(1 + switches + kills);
  if (taken == 0) return false;
  if (taken <= switches) {
    --preemptions_left_;
    switch_to(nth(others, taken - 1));
    return true;
  }
  --crashes_left_;
  runnable_ &= ~bit(current_);
  crashed_ |= bit(current_);
  if (tracing_) trace("killed", nullptr, 0, -1);
  show_stores();
  leave_to(other_count == 0 ? kNone : nth(others, taken - 1 - switches));
}

void Scheduler::store(const StoreBuffer::Store& store, int order) {
  const bool full_fence = is_seq_cst(order);
  StoreBuffer& buffer = late_stores_[current_];
  bool late = !full_fence && !buffer.empty();
  if (!late && !full_fence && late_stores_left_ != 0 && choose(2) != 0) {
    --late_stores_left_;
    late = true;
  }
  if (tracing_) trace(late ? "stores late" : "store", store.address, store.value, order);
  if (late) {
    if (buffer.full()) show_stores();
    buffer.add(store);
  } else {
    show_stores();
    races_.seen(store.address, store.clock);
    store.write(store);
  }
}

void Scheduler::show_stores() {
  StoreBuffer& buffer = late_stores_[current_];
  for (const StoreBuffer::Store& store : buffer) {
    races_.seen(store.address, store.clock);
    store.write(store);
    if (tracing_) trace("is seen", store.address, store.value, -1);
  }
  buffer.clear();
}

void Scheduler::yield() {
  if (!in_fiber()) return;
  show_stores();
  if (++steps_ > scenario_->options.max_steps) fail("an endless loop: too many steps");
  yielded_ |= bit(current_);
  const std::uint32_t next = successors() & ~bit(current_);
  if (next == 0) return;
  // The next one in turn; any other one costs a preemption, or the tree would grow with each yield.
  std::uint32_t in_turn = next & ~(bit(current_ + 1) - 1);
  const auto first = static_cast<std::size_t>(std::countr_zero(in_turn != 0 ? in_turn : next));
  const std::uint32_t rest = preemptions_left_ == 0 ? 0 : next & ~bit(first);
  const std::size_t taken = choose(1 + static_cast<std::size_t>(std::popcount(rest)));
  if (taken != 0) --preemptions_left_;
  switch_to(taken == 0 ? first : nth(rest, taken - 1));
}

bool Scheduler::crashed(std::size_t fiber) {
  // When nobody can be killed any more, it does not matter when one looks.
  if (in_fiber() && crashes_left_ != 0) before_operation();
  const bool dead = (crashed_ & bit(fiber)) != 0;
  if (dead && in_fiber()) races_.join(current_, fiber);
  return dead;
}

std::uint32_t Scheduler::successors() {
  if ((runnable_ & ~yielded_) == 0) yielded_ &= bit(current_);
  return runnable_ & ~yielded_;
}

void Scheduler::switch_to(std::size_t fiber) {
  const std::size_t from = std::exchange(current_, fiber);
  yielded_ &= ~bit(fiber);
  switch_context(contexts_[from], contexts_[fiber]);
}

void Scheduler::leave_to(std::size_t fiber) {
  if (fiber != kNone) switch_to(fiber);
  Context nowhere{};
  switch_context(nowhere, main_);
  std::abort();
}

void Scheduler::fail(std::string message) {
  if (report_.failed) return;
  report_.failed = true;
  report_.message = std::move(message);
  report_.schedule = schedule();
  if (in_fiber()) leave_to(kNone);
}

std::size_t Scheduler::nth(std::uint32_t fibers, std::size_t n) {
  for (; n != 0; --n) fibers &= fibers - 1;
  return static_cast<std::size_t>(std::countr_zero(fibers));
}

std::string Scheduler::schedule() const {
  std::string text;
  for (std::size_t i = 0; i != depth_; ++i) {
    if (choices_[i].taken == 0) continue;
    text += (text.empty() ? "" : " ") + std::to_string(i) + ":" + std::to_string(choices_[i].taken);
  }
  return text;
}

void Scheduler::name_words(const void* address, std::size_t bytes, const char* name) {
  if (tracing_) names_.push_back({static_cast<const char*>(address), bytes, name});
}

void Scheduler::trace(const char* operation, const volatile void* address, std::uint64_t value,
                      int order) {
  static constexpr const char* kOrders[] = {"relaxed", "consume", "acquire",
                                            "release", "acq_rel", "seq_cst"};
  char line[256];
  int length =
      std::snprintf(line, sizeof line, "  %4llu  %-14s %s", static_cast<unsigned long long>(steps_),
                    scenario_->fibers[current_].name.c_str(), operation);
  const auto add = [&](const char* format, auto... values) {
    length += std::snprintf(line + length, sizeof line - static_cast<std::size_t>(length), format,
                            values...);
  };
  if (order >= 0 && order < 6) add(" %s", kOrders[order]);
  const auto* const byte = const_cast<const char*>(static_cast<const volatile char*>(address));
  for (const Name& name : names_) {
    if (byte == nullptr || byte < name.address || byte >= name.address + name.bytes) continue;
    add(" %.40s", name.text.c_str());
    if (name.bytes > 8) add("[%zu]", static_cast<std::size_t>(byte - name.address) / 8);
    add(" %#llx", static_cast<unsigned long long>(value));
    report_.trace += line;
    report_.trace += '\n';
    return;
  }
  if (byte != nullptr) {
    add(" %p %#llx", static_cast<const void*>(byte), static_cast<unsigned long long>(value));
  }
  report_.trace += line;
  report_.trace += '\n';
}

}  // namespace explore
