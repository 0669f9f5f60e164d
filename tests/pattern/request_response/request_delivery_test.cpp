// SPDX-License-Identifier: Apache-2.0
//
// In which calls a request that waits is delivered, and what a server is told of one that nobody
// wants any more.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

using Asking = Client<int, int>;
using Answering = Server<int, int>;

struct RequestDelivery : testing::Test {
  TemporaryRoot root;
  Node node{"test"};
};

TEST_F(RequestDelivery, WhatWaitsIsDeliveredByAnyOfTheseCalls) {
  using Call = std::function<void(Asking&, Pending<int>&)>;
  const std::vector<std::pair<std::string, Call>> calls{
      {"send", [](Asking& client, Pending<int>&) { (void)client.send(2); }},
      {"call", [](Asking& client, Pending<int>&) { (void)client.call(2, 1ms); }},
      {"receive", [](Asking&, Pending<int>& other) { (void)other.receive(); }},
      {"wait", [](Asking&, Pending<int>& other) { (void)other.wait(1ms); }},
      {"finished", [](Asking&, Pending<int>& other) { (void)other.finished(); }},
      {"delivered", [](Asking&, Pending<int>& other) { (void)other.delivered(); }},
      {"error", [](Asking&, Pending<int>& other) { (void)other.error(); }},
      {"servers", [](Asking& client, Pending<int>&) { (void)client.servers(); }},
      {"a wait set",
       [](Asking&, Pending<int>& other) {
         WaitSet waits;
         EXPECT_TRUE(waits.attach(other, [] {}));
         (void)waits.wait(1ms);
       }},
  };
  for (const auto& [name, call] : calls) {
    SCOPED_TRACE(name);
    Asking client(node, "add");
    auto waits = client.send(1);
    auto other = client.send(2);
    Answering server(node, "add");
    EXPECT_FALSE(server.receive());
    call(client, other);
    const auto request = server.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(*request, 1);
  }
}

TEST_F(RequestDelivery, WhoWaitsForAResponseDeliversToAServerThatComesMeanwhile) {
  Asking client(node, "add");
  auto pending = client.send(1);
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    Answering server(node, "add");
    auto request = server.wait(10s);
    ASSERT_TRUE(request);
    EXPECT_TRUE(request.respond(*request + 1));
  });
  const auto response = pending.wait(10s);
  later.join();
  ASSERT_TRUE(response) << client.last_failure().message;
  EXPECT_EQ(*response, 2);
}

TEST_F(RequestDelivery, NothingIsLoanedForARequestThatNobodyWants) {
  Answering server(node, "add", {.depth = 4});
  Asking client(node, "add");
  auto pending = client.send(1);
  auto request = server.receive();
  ASSERT_TRUE(request);
  auto before = request.loan(1);
  ASSERT_TRUE(before);
  pending.reset();
  const auto expect_abandoned = [&](Errc error) {
    EXPECT_EQ(error, Errc::abandoned);
    EXPECT_EQ(server.last_failure().code, Errc::abandoned);
    EXPECT_EQ(server.last_failure().message,
              "service 'add': the client has dropped the request, or is gone; end the request");
    EXPECT_EQ(server.wait(0ns).error(), Errc::timed_out);  // another failure in between
  };
  expect_abandoned(request.loan().error());
  expect_abandoned(request.loan_for(10s).error());
  expect_abandoned(request.respond(2).error());
  EXPECT_TRUE(request.abandoned());
  request.respond(std::move(before));  // which never fails
}

TEST_F(RequestDelivery, ALoanThatTimedOutAndOneThatWasAbandonedTellTheirOwnReasons) {
  Answering server(node, "add", {.depth = 1});
  Asking client(node, "add");
  auto pending = client.send(1);
  auto request = server.receive();
  ASSERT_TRUE(request.respond(1));
  EXPECT_EQ(request.loan_for(1ms).error(), Errc::timed_out);
  EXPECT_NE(server.last_failure().message.find("no room for 1 ms"), std::string::npos);
  pending.reset();
  EXPECT_EQ(request.loan_for(10s).error(), Errc::abandoned);
  EXPECT_EQ(server.last_failure().code, Errc::abandoned);
  request.reset();
  auto next = client.send(2);
  auto other = server.receive();
  ASSERT_TRUE(other.respond(1));
  EXPECT_EQ(other.loan().error(), Errc::would_block);
  EXPECT_EQ(server.last_failure().code, Errc::would_block);
}

TEST_F(RequestDelivery, AWaitThatTimedOutSaysSo) {
  Answering server(node, "add", {.max_requests = 1});
  {
    Asking client(node, "add");
    auto pending = client.send(1);
    auto request = server.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(server.receive().error(), Errc::too_many_borrowed);
    EXPECT_EQ(server.last_failure().code, Errc::too_many_borrowed);
  }
  EXPECT_EQ(server.wait(1ms).error(), Errc::timed_out);
  EXPECT_EQ(server.last_failure().code, Errc::timed_out);
  EXPECT_EQ(server.last_failure().message,
            "service 'add': no request for 1 ms; 0 clients are connected");
}

}  // namespace
}  // namespace sluice
