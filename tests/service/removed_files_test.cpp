// SPDX-License-Identifier: Apache-2.0
//
// Somebody removes the files of ports that live: systemd at the end of a session, a cleaner, rm.
// Those who are connected go on, and are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

class RemovedFiles : public ::testing::Test {
 protected:
  /// Removes every file below the root whose name begins with `kind`.
  void remove_files(const std::string& kind) {
    int removed = 0;
    for (const std::string& file : root.files()) {
      if (file.find("/" + kind) == std::string::npos) continue;
      removed += std::filesystem::remove(root.path() + "/" + file) ? 1 : 0;
    }
    ASSERT_GT(removed, 0) << kind;
  }
  void remove_services() {
    for (const std::string& entry : root.entries()) {
      if (!entry.ends_with("/services")) continue;
      ASSERT_GT(std::filesystem::remove_all(root.path() + "/" + entry), 0U);
      return;
    }
    FAIL() << "there is no service";
  }
  void remove_root() { ASSERT_GT(std::filesystem::remove_all(root.path()), 0U); }

  /// Each way to remove files, with a new root and node.
  void each_removal(const std::vector<std::string>& kinds, const std::function<void()>& use) {
    std::vector<std::function<void()>> removals;
    for (const std::string& kind : kinds) removals.emplace_back([=, this] { remove_files(kind); });
    removals.emplace_back([this] { remove_services(); });
    removals.emplace_back([this] { remove_root(); });
    int number = 0;
    for (const auto& removal : removals) {
      SCOPED_TRACE(number++);
      remove = removal;
      use();
      std::filesystem::create_directories(root.path());
    }
  }

  static void expect_loss(const Failure& failure, const std::string& what,
                          Errc code = Errc::not_found) {
    EXPECT_EQ(failure.code, code) << failure.message;
    for (const std::string& words : {what, std::string("make it again"), std::string("RemoveIPC")})
      EXPECT_NE(failure.message.find(words), std::string::npos) << failure.message;
  }

  TemporaryRoot root;
  std::function<void()> remove;
};

TEST_F(RemovedFiles, PublishAndReceiveGoOn) {
  for (const Delivery delivery : {Delivery::latest, Delivery::lossless}) {
    each_removal({"publisher.", "subscriber."}, [&] {
      const Node node("test");
      Publisher<int> publisher(node, "topic", {.delivery = delivery});
      Subscriber<int> subscriber(node, "topic");
      ASSERT_EQ(publisher.subscribers(), 1U);
      publisher.publish(1);
      ASSERT_EQ(*subscriber.receive(), 1);
      remove();
      EXPECT_FALSE(subscriber.wait(250ms));  // looks on the way
      EXPECT_EQ(publisher.subscribers(), 1U);
      EXPECT_EQ(subscriber.publishers(), 1U);
      for (int i = 2; i < 100; ++i) {
        ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
        const auto sample = subscriber.wait(10s);
        ASSERT_TRUE(sample);
        EXPECT_EQ(*sample, i);
      }
      EXPECT_EQ(subscriber.lost(), 0U);
    });
  }
}

TEST_F(RemovedFiles, ThePortSaysSoOnceInWords) {
  const Node node("test");
  Publisher<int> publisher(node, "topic");
  Subscriber<int> subscriber(node, "topic");
  remove_files("publisher.");
  EXPECT_EQ(subscriber.publishers(), 1U);
  EXPECT_EQ(subscriber.last_failure().code, Errc::ok) << subscriber.last_failure().message;
  EXPECT_EQ(publisher.subscribers(), 1U);
  expect_loss(publisher.last_failure(), "publisher.0 was removed while this publisher lives");
  // Another failure takes its place, and it is not said again.
  std::vector<Loan<int>> loans;
  while (auto loan = publisher.loan()) loans.push_back(std::move(loan));
  EXPECT_EQ(publisher.last_failure().code, Errc::too_many_loans);
  EXPECT_EQ(publisher.subscribers(), 1U);
  EXPECT_EQ(publisher.last_failure().code, Errc::too_many_loans);
}

TEST_F(RemovedFiles, AWaitThatTimesOutSaysSo) {
  const Node node("test");
  Subscriber<int> subscriber(node, "topic");
  remove_root();
  EXPECT_EQ(subscriber.wait(250ms).error(), Errc::timed_out);
  expect_loss(subscriber.last_failure(), " is gone;", Errc::timed_out);
  std::filesystem::create_directories(root.path());
}

TEST_F(RemovedFiles, ThatTheServiceIsAnotherByNowIsSaid) {
  const Node node("test");
  Publisher<int> publisher(node, "topic");
  remove_services();
  const Publisher<int> newcomer(node, "topic");
  (void)publisher.subscribers();
  expect_loss(publisher.last_failure(), "is another service's by now");
}

TEST_F(RemovedFiles, ADirectoryThatWasMovedIsSaid) {
  const Node node("test");
  Publisher<int> publisher(node, "topic");
  Subscriber<int> subscriber(node, "topic");
  const std::string aside = root.path() + "/aside";
  for (const std::string& entry : root.entries()) {
    if (!entry.ends_with("/services")) continue;
    std::filesystem::rename(root.path() + "/" + entry, aside);
    break;
  }
  EXPECT_EQ(publisher.subscribers(), 1U);
  expect_loss(publisher.last_failure(), "meet elsewhere");
  publisher.publish(1);
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST_F(RemovedFiles, NoSlotIsReusedThatALivingSubscriberHolds) {
  const Node node("test");
  Publisher<int> publisher(node, "topic", {.depth = 2});
  Subscriber<int> subscriber(node, "topic");
  ASSERT_EQ(publisher.subscribers(), 1U);
  publisher.publish(4711);
  const auto held = subscriber.receive();
  ASSERT_TRUE(held);
  remove_files("subscriber.");
  for (int i = 0; i < 1000; ++i) {
    const Node other("other");  // whoever comes and goes makes it look
    const Subscriber<int> passing(other, "topic");
    ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
    ASSERT_EQ(*held, 4711) << i;
  }
}

TEST_F(RemovedFiles, WhoIsNotFoundDoesNotReadFromThoseWhoCameLater) {
  const Node node("test");
  Subscriber<int> subscriber(node, "topic");
  remove_files("subscriber.");
  Publisher<int> publisher(node, "topic", {.history = 4, .delivery = Delivery::lossless});
  publisher.publish(1);
  EXPECT_FALSE(subscriber.receive());
  EXPECT_EQ(subscriber.publishers(), 0U);
  EXPECT_EQ(publisher.subscribers(), 0U);
  expect_loss(subscriber.last_failure(), "subscriber.0");
  Subscriber<int> again(node, "topic", {.history = 4});
  EXPECT_EQ(publisher.subscribers(), 1U);
  EXPECT_EQ(*again.receive(), 1);
}

TEST_F(RemovedFiles, APublisherThatIsNotFoundDoesNotWaitForThoseWhoCameLater) {
  const Node node("test");
  Publisher<int> publisher(node, "topic", {.depth = 2, .delivery = Delivery::lossless});
  remove_files("publisher.");
  const Subscriber<int> subscriber(node, "topic");
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
  }
}

TEST_F(RemovedFiles, APortThatLeavesDoesNotRemoveTheFileOfTheNext) {
  const Node node("test");
  auto first = std::make_unique<Subscriber<int>>(node, "topic");
  remove_files("subscriber.");
  remove_files("board");  // it has the marks of the seats
  const Subscriber<int> second(node, "topic");
  first.reset();
  const std::vector<std::string> files = root.files();
  EXPECT_TRUE(std::any_of(files.begin(), files.end(),
                          [](const std::string& file) { return file.ends_with("/subscriber.0"); }));
}

TEST_F(RemovedFiles, RequestsGoOn) {
  each_removal({"client.", "server."}, [&] {
    const Node node("test");
    Server<int, int> server(node, "twice");
    Client<int, int> client(node, "twice");
    ASSERT_EQ(server.clients(), 1U);
    ASSERT_EQ(client.servers(), 1U);
    remove();
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(client.servers(), 1U);
      EXPECT_EQ(server.clients(), 1U);
      auto pending = client.send(i);
      auto request = server.wait(10s);
      ASSERT_TRUE(request) << server.last_failure().message;
      request.respond(2 * *request);
      request.reset();
      const auto response = pending.wait(10s);
      ASSERT_TRUE(response) << client.last_failure().message;
      EXPECT_EQ(*response, 2 * i);
    }
  });
}

TEST_F(RemovedFiles, AResponseThatDoesNotComeInTimeSaysSo) {
  const Node node("test");
  Client<int, int> client(node, "twice");
  remove_root();
  auto pending = client.send(1);
  EXPECT_EQ(pending.wait(250ms).error(), Errc::timed_out);
  EXPECT_NE(client.last_failure().message.find("RemoveIPC"), std::string::npos)
      << client.last_failure().message;
  std::filesystem::create_directories(root.path());
}

TEST_F(RemovedFiles, EventsGoOn) {
  each_removal({"notifier.", "listener."}, [&] {
    const Node node("test");
    Listener listener(node, "events");
    Notifier notifier(node, "events");
    ASSERT_EQ(notifier.listeners(), 1U);
    remove();
    EXPECT_FALSE(listener.wait(150ms));
    EXPECT_EQ(notifier.listeners(), 1U);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(notifier.notify(EventId{7}), 1U);
      EXPECT_TRUE(listener.wait(10s));
    }
  });
}

TEST_F(RemovedFiles, AListenerAndANotifierSaySo) {
  const Node node("test");
  Listener listener(node, "events");
  Notifier notifier(node, "events");
  remove_root();
  EXPECT_EQ(notifier.listeners(), 1U);
  expect_loss(notifier.last_failure(), "notifier.0 was removed");
  EXPECT_FALSE(listener.wait(150ms));
  expect_loss(listener.last_failure(), "listener.0 was removed");
  std::filesystem::create_directories(root.path());
}

TEST_F(RemovedFiles, JobsGoOn) {
  each_removal({"producer.", "worker."}, [&] {
    const Node node("test");
    Producer<int> producer(node, "jobs");
    Worker<int> worker(node, "jobs");
    producer.push(1);
    auto first = worker.receive();
    ASSERT_TRUE(first) << worker.last_failure().message;
    first.done();
    remove();
    for (int i = 0; i < 20; ++i) {
      (void)worker.producers();
      producer.push(i);
      auto job = worker.wait(10s);
      ASSERT_TRUE(job) << worker.last_failure().message;
      EXPECT_EQ(*job, i);
      job.done();
    }
    EXPECT_EQ(worker.producers(), 1U);
  });
}

}  // namespace
}  // namespace sluice
