// SPDX-License-Identifier: Apache-2.0
//
// A request to a server that was there arrives, whatever became of its client.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sluice/service/departure.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

using Asking = Client<int, int>;
using Answering = Server<int, int>;

struct ClientDeparture : testing::Test {
  /// What a client that came and went has sent; its pending requests end with it.
  void send(int first, int requests) {
    Asking client(node, "add");
    EXPECT_EQ(client.servers(), servers);
    std::vector<Pending<int>> pending;
    for (int i = 0; i < requests; ++i) {
      pending.push_back(client.send(first + i));
      EXPECT_TRUE(pending.back());
    }
  }
  [[nodiscard]] std::size_t files_of(const std::string& kind) const {
    std::size_t count = 0;
    for (const std::string& name : root.files()) count += name.find(kind) != std::string::npos;
    return count;
  }
  /// Takes every request that is there; nobody is to want an answer.
  std::vector<int> drain(Answering& server) {
    std::vector<int> values;
    for (;;) {
      auto request = server.receive();
      EXPECT_EQ(request.error(), Errc::ok);
      if (!request) return values;
      EXPECT_TRUE(request.abandoned());
      EXPECT_EQ(request.loan().error(), Errc::abandoned);
      values.push_back(*request);
    }
  }

  TemporaryRoot root;
  Node node{"test"};
  std::uint32_t servers = 1;
};

TEST_F(ClientDeparture, ARequestOfOneThatCameAndWentIsReceived) {
  Answering server(node, "add");
  send(1, 3);
  EXPECT_EQ(drain(server), (std::vector{1, 2, 3}));
  EXPECT_EQ(server.clients(), 0U);
}

TEST_F(ClientDeparture, AServerThatWaitsIsWokenByWhatWasLeft) {
  Answering server(node, "add");
  send(7, 1);
  const auto request = server.wait(10s);
  ASSERT_TRUE(request);
  EXPECT_EQ(*request, 7);
}

TEST_F(ClientDeparture, ARequestOfOneThatWasKnownIsReceived) {
  Answering server(node, "add");
  std::optional<Asking> client(std::in_place, node, "add");
  EXPECT_EQ(server.clients(), 1U);
  auto pending = client->send(1);
  pending.reset();
  pending = client->send(2);
  client.reset();
  pending.reset();
  EXPECT_EQ(drain(server), (std::vector{1, 2}));
  EXPECT_EQ(files_of("/client."), 0U);
}

// The server knows its file, and has not looked since the client found it.
TEST_F(ClientDeparture, ARequestOfOneThatWasNotConnectedYetIsReceived) {
  std::optional<Asking> client(std::in_place, node, "add");
  Answering server(node, "add");
  EXPECT_EQ(client->servers(), 1U);
  auto pending = client->send(1);
  client.reset();
  pending.reset();
  EXPECT_EQ(drain(server), std::vector{1});
}

TEST_F(ClientDeparture, EachOfManyShortLivedOnesIsReceived) {
  Answering server(node, "add");
  for (int i = 0; i < 50; ++i) send(i, 1);
  std::vector<int> values = drain(server);
  std::sort(values.begin(), values.end());
  ASSERT_EQ(values.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(files_of("/client."), 0U);
}

TEST_F(ClientDeparture, ARequestOfOneThatWasKilledIsReceived) {
  Answering server(node, "add");
  {
    ChildProcess child([](const ChildProcess::Line& line) {
      const Node own("short-lived");
      Asking client(own, "add");
      const auto pending = client.send(5);
      line.say();
      ::pause();
      return 0;
    });
    ASSERT_TRUE(child.hear());
    child.kill();
  }
  // Somebody else comes by first, and leaves the file alone.
  Answering late(node, "add");
  EXPECT_EQ(late.clients(), 0U);
  EXPECT_EQ(drain(server), std::vector{5});
  EXPECT_TRUE(drain(late).empty());
}

TEST_F(ClientDeparture, EveryServerThatWasThereGetsIt) {
  Answering first(node, "add");
  Answering second(node, "add");
  servers = 2;
  send(1, 2);
  EXPECT_EQ(drain(first), (std::vector{1, 2}));
  EXPECT_EQ(files_of("/client."), 1U);
  EXPECT_EQ(drain(second), (std::vector{1, 2}));
  EXPECT_EQ(files_of("/client."), 0U);
  EXPECT_TRUE(drain(first).empty());
}

TEST_F(ClientDeparture, WhoComesLaterGetsNothingOfIt) {
  Answering early(node, "add");
  send(1, 2);
  Answering late(node, "add");
  EXPECT_TRUE(drain(late).empty());
  EXPECT_EQ(drain(early), (std::vector{1, 2}));
}

TEST_F(ClientDeparture, ItsFileGoesAtOnceWhereNobodyWaitsForIt) {
  {
    Answering server(node, "add");
    std::optional<Asking> client(std::in_place, node, "add");
    EXPECT_EQ(server.clients(), 1U);
    (void)client->send(1);
    client.reset();
    EXPECT_EQ(files_of("/client."), 0U);
    EXPECT_EQ(drain(server), std::vector{1});
  }
  servers = 0;
  send(1, 1);
  EXPECT_EQ(files_of("/client."), 0U);
}

TEST_F(ClientDeparture, ItsFileGoesWithTheLastServerThatWaitedForIt) {
  const Asking stays(node, "add");
  {
    const Answering server(node, "add");
    send(1, 1);
    EXPECT_EQ(files_of("/client."), 2U);
  }
  EXPECT_EQ(files_of("/client."), 1U);
}

TEST_F(ClientDeparture, AServerThatTakesNoMoreKeepsNoFile) {
  const Asking stays(node, "add");
  std::optional<Answering> server(std::in_place, node, "add");
  auto pending = Asking(node, "add").send(1);
  auto request = server->receive();
  ASSERT_TRUE(request);
  pending.reset();
  send(2, 1);
  EXPECT_EQ(files_of("/client."), 2U);
  server.reset();
  EXPECT_EQ(files_of("/client."), 1U);
  servers = 0;
  send(3, 1);
  EXPECT_EQ(files_of("/client."), 1U);
  EXPECT_TRUE(request.abandoned());
  EXPECT_EQ(request.loan().error(), Errc::abandoned);
}

TEST_F(ClientDeparture, WhatWasTakenStaysReadable) {
  Answering server(node, "add");
  send(3, 2);
  auto first = server.receive();
  auto second = server.receive();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(server.receive());
  send(9, 1);  // on the same seat
  auto third = server.receive();
  ASSERT_TRUE(third);
  EXPECT_EQ(*first + *second + *third, 3 + 4 + 9);
  EXPECT_TRUE(first.abandoned() && third.abandoned());
}

TEST_F(ClientDeparture, ResponsesThatWereLoanedBeforeItLeftGiveTheirMemoryBack) {
  Answering server(node, "add", {.max_loans = 2, .depth = 2});
  for (int round = 0; round < 100; ++round) {
    std::optional<Asking> client(std::in_place, node, "add");
    auto pending = client->send(round);
    auto request = server.receive();
    ASSERT_TRUE(request);
    auto loan = request.loan(1);
    ASSERT_TRUE(loan) << server.last_failure().message;
    client.reset();
    pending.reset();
    ASSERT_EQ(server.clients(), 0U);
    request.respond(std::move(loan));
  }
}

TEST_F(ClientDeparture, MoreRequestsThanCanBeHeldStayUntilThereIsRoom) {
  Answering server(node, "add", {.max_requests = 2});
  send(0, 5);
  std::vector<int> values;
  {
    auto first = server.receive();
    auto second = server.receive();
    ASSERT_TRUE(first && second);
    EXPECT_EQ(server.receive().error(), Errc::too_many_borrowed);
    EXPECT_EQ(*first + *second, 1);
  }
  EXPECT_EQ(drain(server), (std::vector{2, 3, 4}));
}

TEST_F(ClientDeparture, ItIsNotShownAsDead) {
  const Answering server(node, "add");
  send(1, 1);
  ASSERT_EQ(services().size(), 1U);
  const std::vector<ServiceInfo> found = services();
  for (const PortInfo& port : found[0].ports) EXPECT_TRUE(port.alive) << port.kind;
  EXPECT_EQ(services()[0].ports.size(), 1U);
}

TEST_F(ClientDeparture, NoMoreThanAgreedAreKept) {
  Answering server(node, "add");
  constexpr int kMore = 10;
  for (int i = 0; i < static_cast<int>(kMaxDeparted) + kMore; ++i) send(i, 1);
  EXPECT_LE(files_of("/client."), kMaxDeparted);
  EXPECT_EQ(drain(server).size(), kMaxDeparted);
}

TEST_F(ClientDeparture, SlicesOfOneThatLeftAreReceived) {
  Server<int[], int> server(node, "slices");
  {
    Client<int[], int> client(node, "slices");
    auto loan = client.loan(100'000);
    ASSERT_TRUE(loan);
    for (std::size_t i = 0; i < loan.size(); ++i) loan[i] = static_cast<int>(i);
    (void)client.send(std::move(loan));
  }
  const auto request = server.receive();
  ASSERT_TRUE(request) << server.last_failure().message;
  ASSERT_EQ(request.size(), 100'000U);
  for (std::size_t i = 0; i < request.size(); ++i) ASSERT_EQ(request[i], static_cast<int>(i));
}

}  // namespace
}  // namespace sluice
