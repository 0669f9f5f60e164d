// SPDX-License-Identifier: Apache-2.0
//
// Which fiber goes on. What tsan_runtime.cpp calls at each operation of the code under test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "context.hpp"
#include "explore.hpp"
#include "race_detector.hpp"
#include "store_buffer.hpp"

namespace explore {

class Scheduler {
 public:
  Scheduler();

  Report run(const Scenario& scenario);
  Report replay(const Scenario& scenario, const std::string& schedule);

  /// Whether a fiber runs; otherwise `setup`, `check` or something outside of a scenario does.
  [[nodiscard]] bool in_fiber() const { return in_fiber_; }
  [[nodiscard]] std::size_t current() const { return current_; }
  [[nodiscard]] RaceDetector& races() { return races_; }

  /// Before an atomic operation of a fiber: it goes on, another one does, or it ends here.
  void before_operation();
  /// A store of the current fiber: the others see it now, or later.
  void store(const StoreBuffer::Store& store, int order);
  /// The current fiber's stores that the others do not see yet.
  [[nodiscard]] const StoreBuffer& late_stores() const { return late_stores_[current_]; }
  /// Now the others see them.
  void show_stores();
  void yield();
  [[nodiscard]] bool crashed(std::size_t fiber);
  /// Ends the execution; returns only in `setup` and `check`.
  void fail(std::string message);
  void name_words(const void* address, std::size_t bytes, const char* name);

  [[nodiscard]] bool tracing() const { return tracing_; }
  void trace(const char* operation, const volatile void* address, std::uint64_t value, int order);

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  static constexpr std::size_t kStackBytes = 256 * 1024;

  struct Choice {
    std::uint8_t taken;
    std::uint8_t count;
  };
  struct Name {
    const char* address;
    std::size_t bytes;
    std::string text;
  };

  static void fiber_entry();
  static std::uint32_t bit(std::size_t fiber) { return 1u << fiber; }
  static std::size_t nth(std::uint32_t fibers, std::size_t n);

  void execute();
  bool next_schedule();
  std::size_t choose(std::size_t count);
  bool leaves_before_operation();
  void switch_to(std::size_t fiber);
  [[noreturn]] void leave_to(std::size_t fiber);
  // Fibers to go on with when the current one does not: those that did not yield, if there are any.
  std::uint32_t successors();
  [[nodiscard]] std::string schedule() const;

  const Scenario* scenario_ = nullptr;
  Report report_;
  RaceDetector races_;
  std::vector<Choice> choices_;
  std::size_t depth_ = 0;

  // False before the constructor too: code under test may run when the program starts.
  bool in_fiber_ = false;
  std::size_t current_ = 0;
  std::uint32_t runnable_ = 0;
  std::uint32_t may_crash_ = 0;
  std::uint32_t crashed_ = 0;
  std::uint32_t yielded_ = 0;
  unsigned preemptions_left_ = 0;
  unsigned crashes_left_ = 0;
  unsigned late_stores_left_ = 0;
  std::uint64_t steps_ = 0;
  Context main_{};
  Context contexts_[kMaxFibers]{};
  void* stacks_[kMaxFibers]{};
  StoreBuffer late_stores_[kMaxFibers]{};

  bool tracing_ = false;
  std::vector<Name> names_;
};

extern Scheduler scheduler;

}  // namespace explore
