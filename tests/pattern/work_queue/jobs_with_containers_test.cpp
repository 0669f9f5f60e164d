// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <pattern/work_queue/work_queue_fixture.hpp>
#include <sluice/containers.hpp>
#include <string>
#include <utility>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr const char* kLong = "a text that is too long to be stored anywhere but in the heap";

struct Task {
  explicit Task(Allocator<> a) : name{a}, numbers{a}, inputs{a} {}
  Task(const char* text, Allocator<> a) : name{text, a}, numbers{a}, inputs{a} {}

  String name;
  Vector<std::uint64_t> numbers;
  Map<String, Vector<String>> inputs;
};

/// Counts its destructions, in the private memory of the process that destroys it.
struct Counted {
  explicit Counted(Allocator<> a) : bytes{a} {}
  ~Counted() { ++destroyed; }

  Vector<char> bytes;
  static inline int destroyed = 0;
};

/// The n-th task, whose numbers double each time.
bool push(Producer<Task>& producer, std::size_t number) {
  auto loan = producer.loan(kLong);
  if (!loan) return false;
  loan->numbers.resize(std::size_t{1} << number, number);
  loan->inputs[kLong].emplace_back(std::to_string(number));
  return static_cast<bool>(producer.push_for(10s, std::move(loan)));
}
bool is_whole(const Job<Task>& job, std::size_t number) {
  return job->name == kLong && job->numbers.size() == std::size_t{1} << number &&
         job->numbers.back() == number && job->inputs.at(kLong)[0] == std::to_string(number);
}

struct JobsWithContainers : WorkQueueTest {};

TEST_F(JobsWithContainers, AreDoneByAnotherProcessWhileTheProducersFileGrows) {
  constexpr std::size_t kLast = 20;
  ChildProcess child([](const ChildProcess::Line&) {
    const Node own("child");
    Worker<Task> worker(own, "tasks");
    for (std::size_t i = 0; i < kLast; ++i) {
      auto job = worker.wait(10s);
      if (!job) return 1;
      if (!is_whole(job, i)) return 2;
      if (i == 3 && job.attempt() == 1) {
        job.reject();
        job = worker.wait(10s);
        if (!job || job.attempt() != 2 || !is_whole(job, i)) return 3;
      }
    }
    return 0;
  });
  Producer<Task> producer(*node, "tasks", {.depth = 2});
  for (std::size_t i = 0; i < kLast; ++i) {
    ASSERT_TRUE(push(producer, i)) << producer.last_failure().message;
  }
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(producer.pending(), 0U);
}

TEST_F(JobsWithContainers, OfAProducerThatWasKilledAreReadFromItsFile) {
  Worker<Task> worker(*node, "tasks");
  {
    ChildProcess child([](const ChildProcess::Line& line) {
      const Node own("child");
      Producer<Task> producer(own, "tasks");
      for (std::size_t i = 0; i < 3; ++i) {
        if (!push(producer, 10 + i)) return 1;
      }
      auto loan = producer.loan();
      line.say();
      for (;;) loan->numbers.resize(loan->numbers.size() % 100'000 + 1000);
    });
    ASSERT_TRUE(child.hear());
    child.kill();
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const auto job = worker.wait(10s);
    ASSERT_TRUE(job) << worker.last_failure().message;
    EXPECT_TRUE(is_whole(job, 10 + i));
  }
  EXPECT_FALSE(worker.receive());
}

TEST_F(JobsWithContainers, OfChangingSizesNeedNoMoreThanTheHeapBytes) {
  constexpr std::uint64_t kHeap = std::uint64_t{64} << 10;
  constexpr std::size_t kMost = kHeap / 4;
  Producer<Counted> producer(*node, "bytes", {.heap_bytes = kHeap});
  Worker<Counted> worker(*node, "bytes");
  for (std::size_t i = 0; i < 100'000; ++i) {
    const std::size_t sizes[] = {i * 7919 % kMost, kMost - i * 104'729 % kMost};
    for (const std::size_t size : sizes) {
      auto loan = producer.loan();
      ASSERT_TRUE(loan) << producer.last_failure().message;
      loan->bytes.resize_for_overwrite(size);
      ASSERT_TRUE(producer.push(std::move(loan)));
    }
    for (const std::size_t size : sizes) {
      const auto job = worker.receive();
      ASSERT_TRUE(job) << worker.last_failure().message;
      ASSERT_EQ(job->bytes.size(), size);
    }
  }
}

TEST_F(JobsWithContainers, AreDestroyedOnceEachWhenTheirSlotIsUsedAgain) {
  Producer<Counted> producer(*node, "counted", {.depth = 1, .max_loans = 1});
  Worker<Counted> worker(*node, "counted");
  const int specimens = Counted::destroyed;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(producer.push(producer.loan()));
    ASSERT_TRUE(worker.receive());
    { const auto dropped = producer.loan(); }
  }
  EXPECT_LT(Counted::destroyed - specimens, 200);
  EXPECT_GE(Counted::destroyed - specimens, 198) << "there are two slots";
}

TEST_F(JobsWithContainers, ThatFindNoRoomInAFullQueueStayInTheirLoan) {
  Producer<Task> producer(*node, "tasks", {.depth = 1});
  Worker<Task> worker(*node, "tasks");
  ASSERT_TRUE(push(producer, 1));
  auto loan = producer.loan(kLong);
  EXPECT_EQ(producer.push(std::move(loan)).error(), Errc::would_block);
  ASSERT_TRUE(loan);  // NOLINT(bugprone-use-after-move): it is as it was
  EXPECT_EQ(loan->name, kLong);
  EXPECT_TRUE(is_whole(worker.receive(), 1));
  EXPECT_TRUE(producer.push(std::move(loan)));
  EXPECT_EQ(worker.receive()->name, kLong);
}

#if defined(__cpp_exceptions)
TEST_F(JobsWithContainers, RunningOutSaysWhatWasNeededAndWhatThereIs) {
  constexpr std::uint64_t kHeap = std::uint64_t{1} << 20;
  Producer<Counted> producer(*node, "bytes", {.heap_bytes = kHeap});
  Worker<Counted> worker(*node, "bytes");
  auto loan = producer.loan();
  ASSERT_TRUE(loan);
  loan->bytes.resize(kHeap / 4);
  ASSERT_TRUE(producer.push(std::move(loan)));
  loan = producer.loan();
  try {
    loan->bytes.resize(kHeap * 7 / 8);
    FAIL() << "there is no room for it beside the job";
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::no_address_space);
    EXPECT_NE(std::string(error.what()).find("raise heap_bytes"), std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(worker.receive().done());
  EXPECT_NO_THROW(loan->bytes.resize(kHeap * 7 / 8)) << "the job is done";
}
#endif

TEST_F(JobsWithContainers, ThatLeadOutsideTheProducersFileAreDroppedBeforeTheyAreSeen) {
  Producer<Task> producer(*node, "tasks");
  Worker<Task> worker(*node, "tasks");
  auto loan = producer.loan();
  ASSERT_TRUE(loan);
  loan->numbers.resize(4);
  // The words of a container: allocator, data, size, capacity.
  auto* const words = reinterpret_cast<std::uint64_t*>(&loan->numbers);
  const std::uint64_t size = std::exchange(words[2], 5);
  ASSERT_TRUE(producer.push(std::move(loan)));
  ASSERT_TRUE(push(producer, 1));
  EXPECT_EQ(worker.receive().error(), Errc::corrupted);
  EXPECT_NE(worker.last_failure().message.find("container"), std::string::npos)
      << worker.last_failure().message;
  EXPECT_TRUE(is_whole(worker.receive(), 1)) << "others are done";
  EXPECT_EQ(producer.pending(), 0U);
  words[2] = size;  // so that its producer can destroy it
}

TEST_F(JobsWithContainers, OfAnotherClassAreRefused) {
  const Producer<Task> producer(*node, "tasks");
  const auto other = Worker<Counted>::create(*node, "tasks");
  EXPECT_EQ(other.error(), Errc::type_mismatch);
  EXPECT_NE(other.failure().message.find("Task"), std::string::npos) << other.failure().message;
}

}  // namespace
}  // namespace sluice
