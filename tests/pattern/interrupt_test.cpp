// SPDX-License-Identifier: Apache-2.0
//
// A wait that is ended from another thread, or from a signal handler.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <sluice/sluice.hpp>
#include <support/temporary_root.hpp>
#include <thread>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Interrupts : testing::Test {
  /// `wait(time)` returns how the call ended.
  template <typename Port>
  void expect_to_end(Port& port, const std::function<Errc(std::chrono::hours)>& wait) {
    port.interrupt();
    EXPECT_EQ(wait(1h), Errc::interrupted) << "interrupted before it began";
    EXPECT_EQ(port.last_failure().code, Errc::interrupted);
    EXPECT_EQ(wait(0h), Errc::timed_out) << "once is once";
    // Soon, not after the 100 ms of a sleep. Others may have the processor.
    auto shortest = Clock::duration::max();
    for (int attempt = 0; attempt < 20 && shortest > 20ms; ++attempt) {
      Clock::time_point interrupted;
      std::thread thread([&] {
        std::this_thread::sleep_for(5ms);
        interrupted = Clock::now();
        port.interrupt();
      });
      EXPECT_EQ(wait(1h), Errc::interrupted);
      const auto ended = Clock::now();
      thread.join();
      shortest = std::min<Clock::duration>(shortest, ended - interrupted);
    }
    EXPECT_LT(shortest, 20ms);
    EXPECT_EQ(wait(0h), Errc::timed_out);
  }

  TemporaryRoot root;
  Node node{"test"};
};

TEST_F(Interrupts, EndTheWaitOfASubscriber) {
  Subscriber<int> port{node, "values"};
  expect_to_end(port, [&](auto time) { return port.wait(time).error(); });
  expect_to_end(port, [&](auto time) { return port.wait_for_publishers(1, time).error(); });
}

TEST_F(Interrupts, EndTheWaitOfAReader) {
  Reader<int> port{node, "values"};
  expect_to_end(port, [&](auto time) { return port.wait(time).error(); });
}

TEST_F(Interrupts, EndTheWaitOfAPublisherForRoom) {
  Publisher<int> port{node, "values", {.depth = 1, .delivery = Delivery::lossless}};
  Subscriber<int> subscriber{node, "values"};
  while (port.publish(1)) continue;
  expect_to_end(port, [&](auto time) { return port.loan_for(time).error(); });
}

TEST_F(Interrupts, EndTheWaitOfAServerAndAClient) {
  Server<int, int> server{node, "requests"};
  expect_to_end(server, [&](auto time) { return server.wait(time).error(); });
  Client<int, int> client{node, "requests", {.max_pending = 64}};
  expect_to_end(client, [&](auto time) { return client.call(1, time).error(); });
  auto pending = client.send(1);
  expect_to_end(client, [&](auto time) { return pending.wait(time).error(); });
}

TEST_F(Interrupts, EndTheWaitOfAListener) {
  Listener port{node, "events"};
  expect_to_end(port, [&](auto time) {
    if (!port.wait(time).empty()) return Errc::ok;
    const Errc why = port.last_failure().code;
    return why == Errc::interrupted && time > 0h ? why : Errc::timed_out;
  });
  expect_to_end(port, [&](auto time) { return port.wait_for_notifiers(1, time).error(); });
}

TEST_F(Interrupts, EndTheWaitOfAProducerAndAWorker) {
  Worker<int> worker{node, "jobs"};
  expect_to_end(worker, [&](auto time) { return worker.wait(time).error(); });
  Producer<int> producer{node, "jobs", {.depth = 1}};
  ASSERT_TRUE(producer.push(1));
  expect_to_end(producer, [&](auto time) { return producer.push_for(time, 2).error(); });
  expect_to_end(producer, [&](auto time) {
    return producer.wait_until_done(time) ? Errc::ok : producer.last_failure().code;
  });
}

TEST_F(Interrupts, LeaveWhatIsThere) {
  Publisher<int> publisher{node, "values"};
  Subscriber<int> subscriber{node, "values"};
  publisher.publish(7);
  subscriber.interrupt();
  EXPECT_TRUE(subscriber.wait(1h)) << "there is something";
  EXPECT_EQ(subscriber.wait(1h).error(), Errc::interrupted) << "the next one that would wait";
}

TEST_F(Interrupts, OfAPortThatWasMovedFromDoNothing) {
  Subscriber<int> port{node, "values"};
  Subscriber<int> other = std::move(port);
  port.interrupt();
  EXPECT_EQ(port.wait(1h).error(), Errc::closed);
  EXPECT_EQ(other.wait(1ms).error(), Errc::timed_out);
}

std::atomic<Subscriber<int>*> waiting{nullptr};

TEST_F(Interrupts, AreMadeInASignalHandler) {
  Subscriber<int> port{node, "values"};
  waiting = &port;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { waiting.load()->interrupt(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t self = ::pthread_self();
  std::atomic<bool> ended{false};
  std::thread thread([&] {
    while (!ended) {
      std::this_thread::sleep_for(5ms);
      ::pthread_kill(self, SIGUSR1);
    }
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(port.wait(1h).error(), Errc::interrupted);
  ended = true;
  thread.join();
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace sluice
