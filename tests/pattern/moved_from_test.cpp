// SPDX-License-Identifier: Apache-2.0
//
// Ports and nodes that were moved from: every call of each is refused with closed, and does
// nothing.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Value {
  std::int64_t number;
};

/// What a call came to: the error that its result has, and what else it should be.
struct Call {
  const char* name;
  std::function<Errc()> make;
};

Errc error_of(const Published& published) { return published.error(); }
/// Calls that return no error are to return nothing, and the failure says why.
template <typename Port>
Errc error_of(const Port& port, bool returned_nothing) {
  return returned_nothing ? port.last_failure().code : Errc::ok;
}

struct MovedFrom : testing::Test {
  /// Twice: the first call must not change what the second says.
  template <typename Port>
  void expect_closed(const Port& port, const char* kind, const std::vector<Call>& calls) {
    for (int i = 0; i < 2; ++i) {
      for (const Call& call : calls) {
        EXPECT_EQ(call.make(), Errc::closed) << kind << ": " << call.name;
        EXPECT_EQ(port.last_failure().code, Errc::closed) << kind << ": " << call.name;
        EXPECT_EQ(port.last_failure().message, "this " + std::string(kind) + " was moved from");
      }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s) << "nothing of it waits";
  }
  template <typename Port>
  std::vector<Call> calls_of_wait_sets(Port& port) {
    return {{"fd", [&] { return error_of(port, port.fd() == -1); }},
            {"attach", [&] { return set.attach(port, [] {}).error(); }},
            {"attach_deadline", [&] { return set.attach_deadline(port, 1s, [] {}).error(); }},
            {"wait of a set", [&] { return set.wait(0ms) == 0 ? Errc::closed : Errc::ok; }}};
  }
  static std::vector<Call> both(std::vector<Call> calls, const std::vector<Call>& more) {
    calls.insert(calls.end(), more.begin(), more.end());
    return calls;
  }

  const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  TemporaryRoot root;
  Node node{"test"};
  WaitSet set;
};

TEST_F(MovedFrom, APublisherIsClosed) {
  Publisher<Value> gone{node, "values"};
  Publisher<Value> port = std::move(gone);
  expect_closed(gone, "publisher",
                {{"loan", [&] { return gone.loan().error(); }},
                 {"loan with arguments", [&] { return gone.loan(1).error(); }},
                 {"loan_for", [&] { return gone.loan_for(1h).error(); }},
                 {"publish", [&] { return error_of(gone.publish(Value{1})); }},
                 {"wait_for_subscribers", [&] { return gone.wait_for_subscribers(1, 1h).error(); }},
                 {"subscribers", [&] { return error_of(gone, gone.subscribers() == 0); }},
                 {"id", [&] { return error_of(gone, gone.id() == 0); }}});
  EXPECT_TRUE(port.publish(Value{1}));
}

TEST_F(MovedFrom, APublisherOfSlicesIsClosed) {
  Publisher<char[]> gone{node, "slices"};
  Publisher<char[]> port = std::move(gone);
  expect_closed(gone, "publisher",
                {{"loan", [&] { return gone.loan(1).error(); }},
                 {"loan_for", [&] { return gone.loan_for(1h, 1).error(); }},
                 {"publish", [&] { return error_of(gone.publish(std::span("abc"))); }}});
}

TEST_F(MovedFrom, ASubscriberIsClosed) {
  Publisher<Value> publisher{node, "values", {.history = 1}};
  publisher.publish(Value{1});
  Subscriber<Value> gone{node, "values"};
  Subscriber<Value> port = std::move(gone);
  expect_closed(
      gone, "subscriber",
      both({{"receive", [&] { return gone.receive().error(); }},
            {"latest", [&] { return gone.latest().error(); }},
            {"wait", [&] { return gone.wait(1h).error(); }},
            {"lost", [&] { return error_of(gone, gone.lost() == 0); }},
            {"wait_for_publishers", [&] { return gone.wait_for_publishers(1, 1h).error(); }},
            {"publishers", [&] { return error_of(gone, gone.publishers() == 0); }}},
           calls_of_wait_sets(gone)));
  EXPECT_TRUE(port.receive());
}

TEST_F(MovedFrom, AWriterAndAReaderAreClosed) {
  Writer<Value> writer{node, "state"};
  Reader<Value> reader{node, "state"};
  Writer<Value> other_writer = std::move(writer);
  Reader<Value> other_reader = std::move(reader);
  expect_closed(writer, "publisher",
                {{"loan", [&] { return writer.loan().error(); }},
                 {"write", [&] { return error_of(writer.write(Value{1})); }},
                 {"wait_for_readers", [&] { return writer.wait_for_readers(1, 1h).error(); }},
                 {"readers", [&] { return error_of(writer, writer.readers() == 0); }},
                 {"id", [&] { return error_of(writer, writer.id() == 0); }}});
  expect_closed(reader, "subscriber",
                both({{"read", [&] { return reader.read().error(); }},
                      {"wait", [&] { return reader.wait(1h).error(); }},
                      {"updated", [&] { return error_of(reader, !reader.updated()); }},
                      {"wait_for_writers", [&] { return reader.wait_for_writers(1, 1h).error(); }},
                      {"writers", [&] { return error_of(reader, reader.writers() == 0); }}},
                     calls_of_wait_sets(reader)));
}

TEST_F(MovedFrom, AClientIsClosed) {
  Client<Value, Value> gone{node, "requests"};
  Client<Value, Value> port = std::move(gone);
  expect_closed(gone, "client",
                {{"loan", [&] { return gone.loan().error(); }},
                 {"send", [&] { return gone.send(Value{1}).error(); }},
                 {"send, and wait", [&] { return gone.send(Value{1}).wait(1h).error(); }},
                 {"call", [&] { return gone.call(Value{1}, 1h).error(); }},
                 {"wait_for_servers", [&] { return gone.wait_for_servers(1, 1h).error(); }},
                 {"servers", [&] { return error_of(gone, gone.servers() == 0); }}});
  Client<char[], char[]> slices{node, "requests/slices"};
  Client<char[], char[]> other = std::move(slices);
  EXPECT_EQ(slices.loan(1).error(), Errc::closed);
  EXPECT_EQ(slices.send(std::span("abc")).error(), Errc::closed);
}

TEST_F(MovedFrom, AServerIsClosed) {
  Server<Value, Value> gone{node, "requests"};
  Server<Value, Value> port = std::move(gone);
  expect_closed(gone, "server",
                both({{"receive", [&] { return gone.receive().error(); }},
                      {"wait", [&] { return gone.wait(1h).error(); }},
                      {"wait_for_clients", [&] { return gone.wait_for_clients(1, 1h).error(); }},
                      {"clients", [&] { return error_of(gone, gone.clients() == 0); }},
                      {"id", [&] { return error_of(gone, gone.id() == 0); }}},
                     calls_of_wait_sets(gone)));
}

TEST_F(MovedFrom, ANotifierAndAListenerAreClosed) {
  Notifier notifier{node, "events"};
  Listener listener{node, "events"};
  Notifier other_notifier = std::move(notifier);
  Listener other_listener = std::move(listener);
  expect_closed(notifier, "notifier",
                {{"notify", [&] { return error_of(notifier, notifier.notify(EventId{1}) == 0); }},
                 {"wait_for_listeners", [&] { return notifier.wait_for_listeners(1, 1h).error(); }},
                 {"listeners", [&] { return error_of(notifier, notifier.listeners() == 0); }},
                 {"id", [&] { return error_of(notifier, notifier.id() == 0); }}});
  expect_closed(
      listener, "listener",
      both({{"receive", [&] { return error_of(listener, listener.receive().empty()); }},
            {"wait", [&] { return error_of(listener, listener.wait(1h).empty()); }},
            {"wait_for_notifiers", [&] { return listener.wait_for_notifiers(1, 1h).error(); }},
            {"notifiers", [&] { return error_of(listener, listener.notifiers() == 0); }}},
           calls_of_wait_sets(listener)));
  EXPECT_EQ(other_notifier.notify(EventId{1}), 1U);
}

TEST_F(MovedFrom, AProducerAndAWorkerAreClosed) {
  Producer<Value> producer{node, "jobs"};
  Worker<Value> worker{node, "jobs"};
  Producer<Value> other_producer = std::move(producer);
  Worker<Value> other_worker = std::move(worker);
  expect_closed(
      producer, "producer",
      {{"loan", [&] { return producer.loan().error(); }},
       {"push", [&] { return producer.push(Value{1}).error(); }},
       {"push_for", [&] { return producer.push_for(1h, Value{1}).error(); }},
       {"pending", [&] { return error_of(producer, producer.pending() == 0); }},
       {"wait_until_done", [&] { return error_of(producer, !producer.wait_until_done(1h)); }},
       {"wait_for_workers", [&] { return producer.wait_for_workers(1, 1h).error(); }},
       {"workers", [&] { return error_of(producer, producer.workers() == 0); }}});
  expect_closed(
      worker, "worker",
      both({{"receive", [&] { return worker.receive().error(); }},
            {"wait", [&] { return worker.wait(1h).error(); }},
            {"wait_for_producers", [&] { return worker.wait_for_producers(1, 1h).error(); }},
            {"producers", [&] { return error_of(worker, worker.producers() == 0); }}},
           calls_of_wait_sets(worker)));
  Producer<char[]> slices{node, "jobs/slices"};
  Producer<char[]> other = std::move(slices);
  EXPECT_EQ(slices.loan(1).error(), Errc::closed);
  EXPECT_EQ(slices.push(std::span("abc")).error(), Errc::closed);
}

TEST_F(MovedFrom, ANodeHasNothingAndMakesNoPort) {
  Node other = std::move(node);
  EXPECT_EQ(node.name(), "");
  EXPECT_EQ(node.id(), 0U);
  EXPECT_EQ(node.options().domain, NodeOptions().domain);
  EXPECT_EQ(node.reap(), 0U);
  const auto expect_refused = [](const auto& made) {
    EXPECT_EQ(made.error(), Errc::closed);
    EXPECT_NE(made.failure().message.find("the node was moved from"), std::string::npos);
  };
  expect_refused(Publisher<Value>::create(node, "a"));
  expect_refused(Subscriber<Value>::create(node, "a"));
  expect_refused(Writer<Value>::create(node, "a"));
  expect_refused(Reader<Value>::create(node, "a"));
  expect_refused(Client<Value, Value>::create(node, "b"));
  expect_refused(Server<Value, Value>::create(node, "b"));
  expect_refused(Notifier::create(node, "c"));
  expect_refused(Listener::create(node, "c"));
  expect_refused(Producer<Value>::create(node, "d"));
  expect_refused(Worker<Value>::create(node, "d"));
  node = std::move(other);
  EXPECT_EQ(node.name(), "test");
}

TEST_F(MovedFrom, APortCanBeAssignedAgain) {
  Subscriber<Value> a{node, "values"};
  Subscriber<Value> b = std::move(a);
  a = std::move(b);
  EXPECT_EQ(a.receive().error(), Errc::ok);
  Subscriber<Value>& same = b;
  b = std::move(same);  // NOLINT: nothing happens
  EXPECT_EQ(b.receive().error(), Errc::closed);
  b = Subscriber<Value>{node, "other"};
  EXPECT_EQ(b.receive().error(), Errc::ok);
}

TEST_F(MovedFrom, WhatItHandedOutGoesOn) {
  Publisher<Value> publisher{node, "values"};
  Subscriber<Value> subscriber{node, "values"};
  auto loan = publisher.loan(7);
  Publisher<Value> other = std::move(publisher);
  other.publish(std::move(loan));
  auto sample = subscriber.receive();
  Subscriber<Value> other_subscriber = std::move(subscriber);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->number, 7);
}

TEST_F(MovedFrom, PortsAreUsedBySeveralThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int turn = 0; turn < 50; ++turn) {
        Listener listener{node, "events"};
        const Listener other = std::move(listener);
        for (int call = 0; call < 100; ++call) {
          EXPECT_EQ(listener.fd(), -1);
          EXPECT_TRUE(listener.wait(1h).empty());
          EXPECT_EQ(listener.last_failure().code, Errc::closed);
        }
        Listener again = std::move(listener);
        listener = std::move(again);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace sluice
