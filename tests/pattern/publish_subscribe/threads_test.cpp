// SPDX-License-Identifier: Apache-2.0
//
// Ports of one process on several threads. In a build with the thread sanitizer all of them share
// one mapping of each file, so that it sees every race.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <sluice/sluice.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Payload {
  std::array<std::uint64_t, 16> words;

  void fill(std::uint64_t value) { words.fill(value); }
  [[nodiscard]] bool is_whole() const {
    for (const std::uint64_t word : words) {
      if (word != words.front()) return false;
    }
    return true;
  }
};

/// Takes samples from the thread that received them and releases them on its own.
class Releaser {
 public:
  void add(Sample<Payload> sample) {
    const std::lock_guard lock(mutex_);
    samples_.push_back(std::move(sample));
  }
  bool release_one() {
    Sample<Payload> sample;
    const std::lock_guard lock(mutex_);
    if (samples_.empty()) return false;
    sample = std::move(samples_.front());
    samples_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<Sample<Payload>> samples_;
};

void publish(Publisher<Payload>& publisher, std::uint64_t count, std::uint32_t readers,
             std::atomic<bool>& done) {
  while (publisher.subscribers() < readers) {
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    auto dropped = publisher.loan();
    auto loan = publisher.loan();
    ASSERT_TRUE(loan && dropped) << publisher.last_failure().message;
    dropped->fill(~i);
    loan->fill(i);
    publisher.publish(std::move(loan));
    if (i % 16 == 0) std::this_thread::yield();
  }
  done = true;
}

void receive(const Node& node, Releaser& releaser, const std::atomic<bool>& done) {
  Subscriber<Payload> subscriber(node, "stream", {.max_borrowed = 4});
  std::uint64_t received = 0;
  for (;;) {
    const bool last = done;
    auto sample = subscriber.wait(1ms);
    if (!sample && last) break;
    if (!sample) continue;
    ASSERT_TRUE(sample->is_whole());
    ASSERT_EQ(sample->words.front(), sample.sequence());
    ++received;
    if (received % 3 == 0) releaser.add(std::move(sample));
  }
  EXPECT_GT(received, 0U);
}

TEST(Threads, PublishReceiveAndReleaseOnDifferentThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    for (int round = 0; round < 5; ++round) {
      Publisher<Payload> publisher(node, "stream", {.depth = 8, .max_loans = 2});
      Releaser releaser;
      std::atomic<bool> done{false};
      std::atomic<bool> all_done{false};
      std::thread release([&] {
        while (releaser.release_one() || !all_done) std::this_thread::yield();
      });
      std::vector<std::thread> readers;
      for (int i = 0; i < 2; ++i) readers.emplace_back([&] { receive(node, releaser, done); });
      publish(publisher, 4000, 2, done);
      for (auto& reader : readers) reader.join();
      all_done = true;
      release.join();
    }
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(Threads, SleepersAreWoken) {
  TemporaryRoot root;
  Node node("test");
  Publisher<std::uint64_t> publisher(node, "numbers");
  std::atomic<std::uint64_t> seen{0};
  std::thread reader([&] {
    Subscriber<std::uint64_t> subscriber(node, "numbers", {.history = 0});
    for (std::uint64_t i = 1; i <= 500; ++i) {
      seen = i;
      const auto sample = subscriber.wait(10s);
      ASSERT_TRUE(sample);
      ASSERT_EQ(*sample, i);
    }
  });
  while (publisher.subscribers() == 0) {
  }
  for (std::uint64_t i = 1; i <= 500; ++i) {
    while (seen < i) {
    }
    ASSERT_TRUE(publisher.publish(i));
  }
  reader.join();
}

TEST(Threads, LosslessDeliveryBetweenThreads) {
  TemporaryRoot root;
  Node node("test");
  Publisher<std::uint64_t> publisher(node, "numbers", {.depth = 4, .delivery = Delivery::lossless});
  std::thread reader([&] {
    Subscriber<std::uint64_t> subscriber(node, "numbers");
    for (std::uint64_t i = 0; i < 5000; ++i) {
      const auto sample = subscriber.wait(10s);
      ASSERT_TRUE(sample);
      ASSERT_EQ(*sample, i);
    }
    EXPECT_EQ(subscriber.lost(), 0U);
  });
  while (publisher.subscribers() == 0) {
  }
  for (std::uint64_t i = 0; i < 5000; ++i) {
    auto loan = publisher.loan_for(10s, i);
    ASSERT_TRUE(loan) << publisher.last_failure().message;
    publisher.publish(std::move(loan));
  }
  reader.join();
}

TEST(Threads, PortsAreMadeAndDestroyedOnSeveralThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 30; ++i) {
          if (t % 2 == 0) {
            Publisher<int> publisher(node, "numbers", {.history = 1});
            ASSERT_TRUE(publisher.publish(i));
          } else {
            Subscriber<int> subscriber(node, "numbers");
            ASSERT_EQ(subscriber.receive().error(), Errc::ok);
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

}  // namespace
}  // namespace sluice
