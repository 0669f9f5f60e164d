// SPDX-License-Identifier: Apache-2.0
//
// Jobs that tell whether they are whole, and a worker that keeps account of them.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <utility>

namespace sluice {

/// A payload of 8 * `kWords` bytes, of which the ends are written.
template <std::size_t kWords>
struct Task {
  std::uint64_t number;
  std::array<std::uint64_t, kWords - 2> middle;
  std::uint64_t number_again;

  [[nodiscard]] bool is_whole() const { return number == number_again; }
};

/// A producer makes slots for these when it is created, …
using SmallTask = Task<4>;
/// … and for these when it needs them.
using LargeTask = Task<std::size_t{1} << 15>;

inline constexpr const char* kJobs = "jobs";

/// Pushes the next `count` jobs, numbered from `next` on.
template <typename T>
bool push(Producer<T>& producer, std::uint64_t& next, std::size_t count = 1) {
  for (std::size_t i = 0; i < count; ++i) {
    auto loan = producer.loan();
    if (!loan) return false;
    loan->number = next;
    loan->number_again = next;
    if (!producer.push(std::move(loan))) return false;
    ++next;
  }
  return true;
}

/// In a process of its own, holding the two jobs that it took.
template <typename T>
void a_worker_dies_of_two_jobs() {
  ChildProcess dead([](const ChildProcess::Line& line) {
    const Node own("dead");
    Worker<T> worker(own, kJobs);
    const auto first = worker.receive();
    const auto second = worker.receive();
    if (!first || !second) return 1;
    line.say();
    line.hear();
    return 0;
  });
  EXPECT_TRUE(dead.hear());
  dead.kill();
}

/// Takes jobs, and remembers them by number.
template <typename T>
class Accountant {
 public:
  explicit Accountant(const Node& node) : worker_(node, kJobs, {.max_jobs = 16}) {}

  /// Takes and does all that is there; returns how many there were.
  std::size_t drain() {
    std::size_t count = 0;
    while (account(worker_.receive())) ++count;
    return count;
  }
  /// The same with jobs that a dead worker may have had.
  std::size_t drain_after_a_death() {
    (void)worker_.producers();  // looks
    return drain();
  }
  bool wait() { return account(worker_.wait(std::chrono::seconds(10))); }

  /// By number of the job: its attempt, or 0 where it was not there.
  [[nodiscard]] std::uint32_t attempt(std::uint64_t number) const {
    const auto found = attempts_.find(number);
    return found == attempts_.end() ? 0 : found->second;
  }
  void forget() { attempts_.clear(); }
  [[nodiscard]] std::size_t count() const { return attempts_.size(); }
  /// Whether every job so far was whole, and was there only once.
  [[nodiscard]] bool is_content() const { return is_content_; }
  Worker<T>& port() { return worker_; }

 private:
  bool account(const Job<T>& job) {
    if (!job) {
      is_content_ &= job.error() == Errc::ok || job.error() == Errc::timed_out;
      return false;
    }
    is_content_ &= job->is_whole() && attempts_.emplace(job->number, job.attempt()).second;
    return true;
  }

  Worker<T> worker_;
  std::map<std::uint64_t, std::uint32_t> attempts_;
  bool is_content_ = true;
};

}  // namespace sluice
