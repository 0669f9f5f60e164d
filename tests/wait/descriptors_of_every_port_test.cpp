// SPDX-License-Identifier: Apache-2.0
//
// Whatever can be waited for has a descriptor and can be attached to a wait set. How descriptors
// and wait sets work in detail is tested with subscribers.
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

bool is_readable(int fd, std::chrono::milliseconds timeout) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(timeout.count())) == 1;
}

/// One port of each kind, what makes it ready, and what takes everything from it.
struct EveryPort : testing::Test {
  struct Case {
    std::string name;
    int fd;
    Waitable* waitable;
    std::function<void()> make_ready;
    std::function<int()> take_all;  ///< returns how many there were
  };

  EveryPort() {
    // Everybody knows everybody, so that nothing but what is sent makes a port ready.
    EXPECT_EQ(client.servers(), 1U);
    request.emplace(server.wait(10s));
    EXPECT_TRUE(*request);
    EXPECT_FALSE(pending.receive());
    EXPECT_EQ(subscriber.publishers(), 1U);
    EXPECT_FALSE(worker.receive());
  }

  std::vector<Case> cases() {
    return {{"subscriber", subscriber.fd(), &subscriber.waitable(), [&] { publisher.publish(1); },
             [&] { return count([&] { return bool(subscriber.receive()); }); }},
            {"reader", reader.fd(), &reader.waitable(), [&] { writer.write(1); },
             [&] { return count([&] { return reader.updated() && reader.read(); }); }},
            {"listener", listener.fd(), &listener.waitable(), [&] { notifier.notify(EventId{3}); },
             [&] { return count([&] { return bool(listener.receive()); }); }},
            {"server", server.fd(), &server.waitable(), [&] { others.push_back(client.send(2)); },
             [&] { return count([&] { return bool(server.receive()); }); }},
            {"pending", pending.fd(), &pending.waitable(), [&] { request->respond(7); },
             [&] { return count([&] { return bool(pending.receive()); }); }},
            {"worker", worker.fd(), &worker.waitable(), [&] { producer.push(1); },
             [&] { return count([&] { return bool(worker.receive()); }); }}};
  }

  template <typename Take>
  static int count(Take&& take) {
    int taken = 0;
    while (take()) ++taken;
    return taken;
  }

  TemporaryRoot root;
  Node node{"test"};
  Publisher<int> publisher{node, "topic"};
  Subscriber<int> subscriber{node, "topic"};
  Writer<int> writer{node, "value"};
  Reader<int> reader{node, "value"};
  Notifier notifier{node, "door"};
  Listener listener{node, "door"};
  Server<int, int> server{node, "service"};
  Client<int, int> client{node, "service"};
  Pending<int> pending = client.send(0);
  std::optional<Request<int, int>> request;
  std::vector<Pending<int>> others;
  Producer<int> producer{node, "jobs"};
  Worker<int> worker{node, "jobs"};
};

TEST_F(EveryPort, HasADescriptorThatIsReadableUntilAllIsTaken) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    ASSERT_GE(one.fd, 0);
    (void)one.take_all();
    EXPECT_FALSE(is_readable(one.fd, 0ms)) << "before anything came";
    for (int i = 0; i < 3; ++i) {
      one.make_ready();
      EXPECT_TRUE(is_readable(one.fd, 10'000ms));
      EXPECT_EQ(one.take_all(), 1);
      EXPECT_FALSE(is_readable(one.fd, 0ms)) << "after everything was taken";
    }
  }
}

TEST_F(EveryPort, CanBeAttachedToAWaitSet) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    (void)one.take_all();
    struct Port {
      Waitable& waitable() noexcept { return *inner; }
      Waitable* inner;
    } port{one.waitable};
    WaitSet wait_set;
    int called = 0;
    ASSERT_TRUE(wait_set.attach(port, [&] {
      ++called;
      EXPECT_EQ(one.take_all(), 1);
    })) << wait_set.last_failure().message;
    EXPECT_EQ(wait_set.wait(0ms), 0U);
    for (int i = 1; i <= 3; ++i) {
      one.make_ready();
      EXPECT_EQ(wait_set.wait(10s), 1U);
      EXPECT_EQ(called, i);
      EXPECT_EQ(wait_set.wait(0ms), 0U);
    }
  }
}

TEST_F(EveryPort, IsAttachedAsItIs) {
  WaitSet wait_set;
  int fired = 0;
  wait_set.attach(subscriber, [&] { ++fired, subscriber.receive().reset(); });
  wait_set.attach(reader, [&] { ++fired, reader.read().reset(); });
  wait_set.attach(listener, [&] { ++fired, (void)listener.receive(); });
  wait_set.attach(server, [&] { ++fired, (void)server.receive(); });
  wait_set.attach(pending, [&] { ++fired, pending.receive().reset(); });
  wait_set.attach(worker, [&] { ++fired, (void)worker.receive(); });
  for (const Case& one : cases()) one.make_ready();
  while (fired < 6) ASSERT_GT(wait_set.wait(10s), 0U);
  EXPECT_EQ(fired, 6);
}

TEST_F(EveryPort, HasNoDescriptorInAForkedChild) {
  ChildProcess child([&](const ChildProcess::Line&) {
    int with = 0;
    for (const Case& one : cases()) with += one.fd >= 0 ? 1 : 0;
    return with;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(EveryPort, EndsAWaitForAResponseWhenTheRequestIsDone) {
  const int fd = pending.fd();
  EXPECT_FALSE(pending.receive());
  EXPECT_FALSE(is_readable(fd, 0ms));
  request.reset();
  EXPECT_TRUE(is_readable(fd, 10'000ms));
  EXPECT_FALSE(pending.receive());
  EXPECT_TRUE(pending.finished());
}

}  // namespace
}  // namespace sluice
