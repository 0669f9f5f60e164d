// SPDX-License-Identifier: Apache-2.0
//
// A server that does not take its requests, or does not end them, keeps nobody else from being
// served.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

using Asking = Client<int, int>;
using Answering = Server<int, int>;

constexpr std::uint32_t kPending = 4;
constexpr ClientOptions kClient{.max_pending = kPending, .max_borrowed = 2};

struct Backlog : testing::Test {
  /// Answers what is there; returns how many requests there were.
  static std::uint32_t answer_all(Answering& server) {
    std::uint32_t count = 0;
    while (auto request = server.receive()) {
      EXPECT_TRUE(request.abandoned() || request.respond(*request + 1));
      ++count;
    }
    return count;
  }
  /// So many calls, one after the other, of which `healthy` has to answer each.
  void call(int calls) {
    for (int i = 0; i < calls; ++i) {
      auto pending = client->send(i);
      ASSERT_TRUE(pending) << "call " << i << ": " << client->last_failure().message;
      ASSERT_EQ(answer_all(*healthy), 1U) << "call " << i;
      const auto response = pending.receive();
      ASSERT_TRUE(response) << "call " << i << ": " << client->last_failure().message;
      ASSERT_EQ(*response, i + 1);
    }
  }
  /// Takes what is there and does not end it.
  std::uint32_t take_all(Answering& server) {
    std::uint32_t count = 0;
    while (auto request = server.receive()) {
      hung.push_back(std::move(request));
      ++count;
    }
    return count;
  }

  TemporaryRoot root;
  Node node{"test"};
  std::optional<Answering> healthy{std::in_place, node, "add"};
  std::optional<Asking> client{std::in_place, node, "add", kClient};
  std::vector<Request<int, int>> hung;
};

TEST_F(Backlog, OfAServerThatDoesNotTakeStopsNobody) {
  Answering stopped(node, "add");
  ASSERT_EQ(client->servers(), 2U);
  ASSERT_EQ(stopped.clients(), 1U);
  call(100);
}

TEST_F(Backlog, OfAServerThatHasNeverLookedStopsNobody) {
  Answering stopped(node, "add");
  ASSERT_EQ(client->servers(), 2U);
  call(100);
}

TEST_F(Backlog, OfAServerThatTakesAndNeverEndsStopsNobody) {
  Answering hanging(node, "add", {.max_requests = 256});
  ASSERT_EQ(client->servers(), 2U);
  for (int round = 0; round < 100; ++round) {
    call(1);
    take_all(hanging);
  }
  EXPECT_EQ(hung.size(), kPending);
}

TEST_F(Backlog, OfSeveralServersThatStopOneAfterAnotherStopsNobody) {
  std::vector<std::unique_ptr<Answering>> stopped;
  for (int i = 0; i < 3; ++i) {
    stopped.push_back(std::make_unique<Answering>(node, "add"));
    ASSERT_EQ(client->servers(), stopped.size() + 1);
    ASSERT_EQ(stopped.back()->clients(), 1U);
    call(20);
  }
  for (auto& server : stopped) EXPECT_EQ(take_all(*server), kPending);
}

TEST_F(Backlog, AServerThatWasPassedOverGetsRequestsAgainWhenItGoesOn) {
  Answering other(node, "add", {.max_requests = 256});
  ASSERT_EQ(client->servers(), 2U);
  ASSERT_EQ(other.clients(), 1U);
  for (int round = 0; round < 20; ++round) {
    call(10);
    if (round % 2 == 0) {
      ASSERT_EQ(answer_all(other), kPending);
    } else {
      ASSERT_EQ(take_all(other), kPending);
      hung.clear();
    }
    // All that it could have now, and each of it once.
    auto pending = client->send(1000);
    ASSERT_TRUE(pending);
    {
      auto request = other.receive();
      ASSERT_TRUE(request);
      EXPECT_EQ(*request, 1000);
      EXPECT_FALSE(other.receive());
    }
    ASSERT_EQ(answer_all(*healthy), 1U);
  }
}

TEST_F(Backlog, OneThatEndsASingleRequestGetsASingleOne) {
  Answering other(node, "add", {.max_requests = 256});
  ASSERT_EQ(client->servers(), 2U);
  call(10);
  ASSERT_EQ(take_all(other), kPending);
  call(10);
  EXPECT_EQ(take_all(other), 0U);
  hung.pop_back();
  call(10);
  EXPECT_EQ(take_all(other), 1U);
}

TEST_F(Backlog, MoreThanAgreedArePendingNever) {
  Answering stopped(node, "add");
  ASSERT_EQ(client->servers(), 2U);
  ASSERT_EQ(stopped.clients(), 1U);
  for (int round = 0; round < 3; ++round) {
    call(10);
    std::vector<Pending<int>> pending;
    for (std::uint32_t i = 0; i < kPending; ++i) {
      pending.push_back(client->send(1));
      ASSERT_TRUE(pending.back()) << client->last_failure().message;
    }
    EXPECT_EQ(client->loan().error(), Errc::too_many_loans);
    // What comes back from the other one does not count either.
    answer_all(stopped);
    EXPECT_EQ(client->loan().error(), Errc::too_many_loans);
    EXPECT_EQ(answer_all(*healthy), kPending);
    for (auto& one : pending) EXPECT_TRUE(one.receive());
  }
}

// Where nobody could get what is sent, it is refused, so that a client does not run ahead.
TEST_F(Backlog, OfTheOnlyServerHoldsItsClientUp) {
  for (std::uint32_t i = 0; i < kPending; ++i) ASSERT_TRUE(client->send(1));
  EXPECT_EQ(client->send(1).error(), Errc::too_many_loans);
  EXPECT_EQ(answer_all(*healthy), kPending);
  call(10);
  Answering stopped(node, "add");
  ASSERT_EQ(client->servers(), 2U);
  ASSERT_EQ(stopped.clients(), 1U);
  call(10);
  for (std::uint32_t i = 0; i < kPending; ++i) ASSERT_TRUE(client->send(1));
  EXPECT_EQ(client->send(1).error(), Errc::too_many_loans);
}

TEST_F(Backlog, ARequestThatFoundNoRoomGoesToTheFirstThatHasSome) {
  Answering slow(node, "add", {.max_requests = 256});
  ASSERT_EQ(client->servers(), 2U);
  call(10);
  ASSERT_EQ(take_all(slow), kPending);
  auto first = client->send(1);
  ASSERT_TRUE(first);
  auto second = client->send(2);
  ASSERT_TRUE(second);
  healthy.reset();
  EXPECT_FALSE(first.receive());
  EXPECT_FALSE(second.receive());
  EXPECT_FALSE(first.delivered());
  EXPECT_FALSE(slow.receive());
  hung.clear();
  std::thread server([&] {
    for (int left = 2; left > 0;) {
      auto request = slow.wait(10s);
      ASSERT_TRUE(request);
      if (request.respond(*request + 1)) --left;
    }
  });
  const auto response = first.wait(10s);
  ASSERT_TRUE(response) << client->last_failure().message;
  EXPECT_EQ(*response, 2);
  const auto another = second.wait(10s);
  ASSERT_TRUE(another) << client->last_failure().message;
  EXPECT_EQ(*another, 3);
  server.join();
}

TEST_F(Backlog, RequestsThatWaitedForAServerComeInTheOrderInWhichTheyWereSent) {
  healthy.reset();
  auto dropped = client->send(0);
  std::vector<Pending<int>> pending;
  for (int i = 1; i < static_cast<int>(kPending); ++i) pending.push_back(client->send(i));
  dropped.reset();
  pending.push_back(client->send(kPending));  // in the memory of the first
  Answering server(node, "add");
  ASSERT_EQ(client->servers(), 1U);
  for (int i = 1; i <= static_cast<int>(kPending); ++i) {
    const auto request = server.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(*request, i);
  }
}

TEST_F(Backlog, ResponsesOfAPassedOverServerStillArrive) {
  Answering slow(node, "add", {.max_requests = 256, .depth = 1});
  ASSERT_EQ(client->servers(), 2U);
  call(10);
  ASSERT_EQ(answer_all(slow), kPending);
  auto pending = client->send(5);
  ASSERT_TRUE(pending);
  ASSERT_EQ(take_all(slow), 1U);
  for (int i = 0; i < 3 * static_cast<int>(kPending); ++i) {
    auto other = client->send(i);
    ASSERT_TRUE(other) << client->last_failure().message;
    take_all(slow);
    ASSERT_GE(answer_all(*healthy), 1U);
  }
  ASSERT_TRUE(hung.front().respond(7));
  std::vector<int> responses;
  while (const auto response = pending.receive()) responses.push_back(*response);
  EXPECT_EQ(responses.size(), 2U);
}

/// A server without room, and a healthy one that a request goes to, and that is killed then.
struct BacklogAndDeath : Backlog {
  enum Order : std::uint64_t { answer, take };

  BacklogAndDeath() {
    healthy.reset();
    client.reset();
    mortal.emplace([](const ChildProcess::Line& line) {
      const Node own("mortal");
      Answering server(own, "add");
      Request<int, int> taken;
      line.say();
      for (std::uint64_t order = 0; line.hear(&order); line.say()) {
        if (order == answer) answer_all(server);
        if (order == take) taken = server.receive();
      }
      return 0;
    });
    EXPECT_TRUE(mortal->hear());
    client.emplace(node, "add", kClient);
    EXPECT_TRUE(client->wait_for_servers(2, 10s));
    for (std::uint32_t i = 0; i < kPending; ++i) EXPECT_TRUE(client->send(0));
    EXPECT_EQ(take_all(*full), kPending);
    EXPECT_TRUE(tell(answer));
  }
  bool tell(Order order) {
    mortal->say(order);
    return mortal->hear();
  }
  /// The server without room ends what it has, and then answers one request.
  void go_on(Pending<int>& pending) {
    hung.clear();
    EXPECT_FALSE(pending.receive());
    EXPECT_EQ(answer_all(*full), 1U);
    const auto response = pending.wait(10s);
    ASSERT_TRUE(response) << client->last_failure().message;
    EXPECT_EQ(*response, 8);
    EXPECT_FALSE(pending.receive());
    EXPECT_TRUE(pending.finished());
  }

  std::optional<Answering> full{std::in_place, node, "add", ServerOptions{.max_requests = 256}};
  std::optional<ChildProcess> mortal;
};

TEST_F(BacklogAndDeath, ARequestThatTheDeadOneHadNotTakenWaitsForRoom) {
  auto pending = client->send(7);
  EXPECT_TRUE(pending.delivered());
  mortal->kill();
  EXPECT_EQ(pending.wait(300ms).error(), Errc::timed_out) << client->last_failure().message;
  EXPECT_FALSE(pending.delivered());
  EXPECT_EQ(pending.error(), Errc::ok);
  EXPECT_FALSE(full->receive());
  go_on(pending);
}

TEST_F(BacklogAndDeath, ARequestThatTheDeadOneHadTakenHasDiedWithIt) {
  auto pending = client->send(7);
  ASSERT_TRUE(tell(take));
  mortal->kill();
  EXPECT_EQ(pending.wait(10s).error(), Errc::peer_died) << client->last_failure().message;
  EXPECT_EQ(pending.error(), Errc::peer_died);
}

TEST_F(BacklogAndDeath, ARequestOutlivesBothAndGoesToTheNextServer) {
  auto pending = client->send(7);
  mortal->kill();
  EXPECT_EQ(pending.wait(300ms).error(), Errc::timed_out) << client->last_failure().message;
  hung.clear();
  full.reset();
  EXPECT_EQ(pending.wait(300ms).error(), Errc::timed_out) << client->last_failure().message;
  EXPECT_FALSE(pending.delivered());
  full.emplace(node, "add");
  go_on(pending);
}

TEST_F(Backlog, OfAStoppedProcessStopsNobody) {
  healthy.reset();
  client.reset();
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("stopped");
    Answering server(own, "add");
    line.say();
    for (;;) {
      if (auto request = server.wait(1s)) (void)request.respond(*request + 1);
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  std::atomic<bool> is_over{false};
  std::thread server([&] {
    Answering answering(node, "add");
    while (!is_over) {
      if (auto request = answering.wait(10ms)) (void)request.respond(*request + 1);
    }
  });
  client.emplace(node, "add");
  while (client->servers() < 2) std::this_thread::yield();
  for (int i = 0; i < 100; ++i) {
    const auto response = client->call(i, 10s);
    ASSERT_TRUE(response) << "call " << i << ": " << client->last_failure().message;
    ASSERT_EQ(*response, i + 1);
  }
  is_over = true;
  server.join();
  ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
  const auto response = client->call(1, 10s);
  EXPECT_TRUE(response) << client->last_failure().message;
  child.kill();
}

}  // namespace
}  // namespace sluice
