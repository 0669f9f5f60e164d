// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Add {
  std::int64_t a, b;
};
struct Sum {
  std::int64_t value;
};

/// Takes one request and answers it.
bool answer_one(Server<Add, Sum>& server) {
  auto request = server.receive();
  if (!request) return false;
  auto sum = request.loan();
  if (!sum) return false;
  sum->value = request->a + request->b;
  request.respond(std::move(sum));
  return true;
}

/// Polls until `condition` holds; false if it never does.
template <typename Condition>
bool comes_true(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

struct RequestResponse : testing::Test {
  ~RequestResponse() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(RequestResponse, ARequestIsAnswered) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  auto loan = client.loan();
  ASSERT_TRUE(loan);
  *loan = {20, 22};
  auto pending = client.send(std::move(loan));
  ASSERT_TRUE(pending);
  EXPECT_EQ(pending.number(), 1U);
  EXPECT_FALSE(pending.receive());
  {
    auto request = server.receive();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->a, 20);
    EXPECT_EQ(request->b, 22);
    EXPECT_EQ(request.number(), 1U);
    auto sum = request.loan();
    ASSERT_TRUE(sum);
    sum->value = request->a + request->b;
    request.respond(std::move(sum));
    EXPECT_FALSE(pending.finished());
  }
  auto sum = pending.receive();
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->value, 42);
  EXPECT_EQ(sum.sequence(), 0U);
  EXPECT_EQ(sum.publisher(), server.id());
  EXPECT_FALSE(pending.receive());
  EXPECT_TRUE(pending.finished());
  EXPECT_EQ(pending.error(), Errc::ok);
}

TEST_F(RequestResponse, ACallToAnotherProcess) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    for (int i = 0; i < 1000; ++i) {
      auto request = server.wait(10s);
      if (!request || !request.respond(Sum{request->a + request->b})) return 1;
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  for (int i = 0; i < 1000; ++i) {
    const auto sum = client.call(Add{i, 2 * i}, 10s);
    ASSERT_TRUE(sum) << client.last_failure().message;
    ASSERT_EQ(sum->value, 3 * i);
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestResponse, LoansAreConstructedFromTheirArguments) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(client.loan(1, 2));
  auto request = server.receive();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->b, 2);
  request.respond(request.loan(7));
  EXPECT_EQ(pending.receive()->value, 7);
}

TEST_F(RequestResponse, CopiesAreSentAndAnswered) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{3, 4});
  ASSERT_TRUE(answer_one(server));
  EXPECT_EQ(pending.wait(10s)->value, 7);
  pending = client.send(Add{5, 6});
  server.receive().respond(Sum{11});
  EXPECT_EQ(pending.wait(10s)->value, 11);
}

TEST_F(RequestResponse, NothingThereIsNoError) {
  Server<Add, Sum> server(*node, "add");
  EXPECT_FALSE(server.receive());
  EXPECT_EQ(server.receive().error(), Errc::ok);
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(server.receive().error(), Errc::ok);
  auto pending = client.send(Add{1, 1});
  EXPECT_EQ(pending.receive().error(), Errc::ok);
  EXPECT_FALSE(pending.finished());
  EXPECT_EQ(pending.error(), Errc::ok);
}

TEST_F(RequestResponse, WaitingEndsWithItsTime) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(server.wait(20ms).error(), Errc::timed_out);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 20ms);
  EXPECT_EQ(server.wait(-1ms).error(), Errc::timed_out);
  auto pending = client.send(Add{1, 1});
  EXPECT_EQ(pending.wait(20ms).error(), Errc::timed_out);
  EXPECT_EQ(pending.wait(0ms).error(), Errc::timed_out);
  EXPECT_EQ(client.call(Add{1, 1}, 20ms).error(), Errc::timed_out);
  EXPECT_NE(client.last_failure().message.find("service 'add': no response for 20 ms"),
            std::string::npos);
  EXPECT_TRUE(pending) << "it can go on waiting";
}

TEST_F(RequestResponse, AStreamOfResponsesComesInOrderAndEnds) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{0, 0});
  auto request = server.receive();
  ASSERT_TRUE(request);
  for (int i = 0; i < 1000; i += 8) {
    for (int k = i; k < i + 8; ++k) ASSERT_TRUE(request.respond(Sum{k}));
    for (int k = i; k < i + 8; ++k) {
      const auto sum = pending.receive();
      ASSERT_TRUE(sum);
      EXPECT_EQ(sum->value, k);
      EXPECT_EQ(sum.sequence(), static_cast<std::uint64_t>(k));
    }
    EXPECT_FALSE(pending.receive());
    EXPECT_FALSE(pending.finished());
  }
  ASSERT_TRUE(request.respond(Sum{-1}));
  request.reset();
  EXPECT_FALSE(pending.finished()) << "there is one more";
  EXPECT_EQ(pending.wait(10s)->value, -1);
  EXPECT_TRUE(pending.finished());
  EXPECT_EQ(pending.wait(10s).error(), Errc::ok) << "at once, since nothing more will come";
}

TEST_F(RequestResponse, AResponseToADroppedRequestDoesNotComeToTheNext) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add", {.max_pending = 1});
  for (int i = 0; i < 100; ++i) {
    auto pending = client.send(Add{i, 0});
    ASSERT_TRUE(pending) << client.last_failure().message;
    auto request = server.receive();
    ASSERT_TRUE(request);
    ASSERT_EQ(request->a, i);
    for (int k = 0; k < 5; ++k) ASSERT_TRUE(request.respond(Sum{10 * i + k}));
    ASSERT_EQ(pending.receive()->value, 10 * i);
    // Four are left in the lane.
  }
}

TEST_F(RequestResponse, ARequestIsNotUsedAgainWhileAServerReadsIt) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add", {.max_pending = 2});
  auto kept = client.send(Add{1, 1});
  auto dropped = client.send(Add{2, 2});
  auto first = server.receive();
  auto second = server.receive();
  ASSERT_TRUE(first && second);
  dropped.reset();
  EXPECT_EQ(client.loan().error(), Errc::too_many_loans);
  EXPECT_EQ(client.last_failure().message,
            "service 'add': all 2 requests are in use, 1 of them loaned or pending and 1 dropped "
            "but still with a server; drop some, or raise ClientOptions::max_pending");
  EXPECT_EQ(client.send(Add{3, 3}).error(), Errc::too_many_loans);
  EXPECT_EQ(client.call(Add{3, 3}, 1s).error(), Errc::too_many_loans);
  EXPECT_EQ(second->a, 2) << "still readable";
  second.reset();
  EXPECT_TRUE(client.loan()) << "dropped at once, and to be had again";
  auto again = client.send(Add{4, 4});
  ASSERT_TRUE(again);
  EXPECT_EQ(server.receive()->a, 4);
}

TEST_F(RequestResponse, ASlowClientHoldsUpItsOwnStreamAlone) {
  Server<Add, Sum> server(*node, "add", {.depth = 4});
  Client<Add, Sum> client(*node, "add");
  auto slow = client.send(Add{1, 0});
  auto fast = client.send(Add{2, 0});
  auto to_slow = server.receive();
  auto to_fast = server.receive();
  ASSERT_TRUE(to_slow && to_fast);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(to_slow.respond(Sum{i}));
  EXPECT_EQ(to_slow.loan().error(), Errc::would_block);
  EXPECT_EQ(to_slow.respond(Sum{4}).error(), Errc::would_block);
  EXPECT_EQ(to_slow.loan_for(1ms).error(), Errc::timed_out);
  EXPECT_NE(server.last_failure().message.find("does not read on"), std::string::npos);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(to_fast.respond(Sum{i}));
    ASSERT_EQ(fast.receive()->value, i);
  }
  EXPECT_EQ(slow.receive()->value, 0);
  EXPECT_TRUE(to_slow.respond(Sum{4})) << "there is room again";
  EXPECT_EQ(to_slow.loan().error(), Errc::would_block);
}

TEST_F(RequestResponse, LoansCountAsRoomSoThatRespondNeverFails) {
  Server<Add, Sum> server(*node, "add", {.max_loans = 4, .depth = 4});
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 0});
  auto request = server.receive();
  ASSERT_TRUE(request.respond(Sum{0}));
  std::vector<Loan<Sum>> loans;
  for (int i = 1; i < 4; ++i) {
    loans.push_back(request.loan(i));
    ASSERT_TRUE(loans.back());
  }
  EXPECT_EQ(request.loan().error(), Errc::would_block);
  loans.pop_back();
  loans.push_back(request.loan(3));
  EXPECT_TRUE(loans.back()) << "a dropped loan makes room";
  for (auto& loan : loans) request.respond(std::move(loan));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pending.receive()->value, i);
}

TEST_F(RequestResponse, AServerThatWaitsForRoomIsWoken) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add", {.depth = 2});
    line.say();
    auto request = server.wait(10s);
    for (int i = 0; request && i < 2000; ++i) {
      auto loan = request.loan_for(10s, i);
      if (!loan) return 1;
      request.respond(std::move(loan));
    }
    return request ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{0, 0});
  for (int i = 0; i < 2000; ++i) {
    const auto sum = pending.wait(10s);
    ASSERT_TRUE(sum) << client.last_failure().message;
    ASSERT_EQ(sum->value, i);
  }
  EXPECT_EQ(pending.wait(10s).error(), Errc::ok);
  EXPECT_TRUE(pending.finished());
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestResponse, RequestsAreAnsweredInAnyOrder) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  std::vector<Pending<Sum>> pending;
  std::vector<Request<Add, Sum>> requests;
  for (int i = 0; i < 8; ++i) {
    pending.push_back(client.send(Add{i, i}));
    requests.push_back(server.receive());
    ASSERT_TRUE(requests.back());
  }
  for (const std::size_t i : {5U, 0U, 7U, 2U, 6U, 1U, 3U, 4U}) {
    ASSERT_TRUE(requests[i].respond(Sum{requests[i]->a}));
    requests[i].reset();
    ASSERT_EQ(pending[i].receive()->value, static_cast<std::int64_t>(i));
    EXPECT_TRUE(pending[i].finished());
  }
}

TEST_F(RequestResponse, ClientsAreServedInTurn) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> a(*node, "add");
  Client<Add, Sum> b(*node, "add");
  std::vector<Pending<Sum>> pending;
  for (int i = 0; i < 3; ++i) pending.push_back(a.send(Add{i, 0}));
  for (int i = 0; i < 3; ++i) pending.push_back(b.send(Add{i, 1}));
  std::vector<std::int64_t> order;
  while (auto request = server.receive()) order.push_back(2 * request->a + request->b);
  std::vector<std::int64_t> expected{0, 1, 2, 3, 4, 5};
  if (order.size() > 1 && order[0] == 1) expected = {1, 0, 3, 2, 5, 4};
  EXPECT_EQ(order, expected);
}

TEST_F(RequestResponse, EachServerGetsEachRequest) {
  Server<Add, Sum> a(*node, "add");
  Server<Add, Sum> b(*node, "add");
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(client.servers(), 2U);
  auto pending = client.send(Add{1, 0});
  auto to_a = a.receive();
  auto to_b = b.receive();
  ASSERT_TRUE(to_a && to_b);
  EXPECT_EQ(to_b.client(), to_a.client());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(to_a.respond(Sum{i}));
    ASSERT_TRUE(to_b.respond(Sum{10 + i}));
  }
  to_a.reset();
  std::vector<std::int64_t> from_a;
  std::vector<std::int64_t> from_b;
  while (auto sum = pending.receive()) {
    (sum.publisher() == a.id() ? from_a : from_b).push_back(sum->value);
    EXPECT_EQ(sum.sequence(), static_cast<std::uint64_t>(sum->value % 10));
  }
  EXPECT_EQ(from_a, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(from_b, (std::vector<std::int64_t>{10, 11, 12}));
  EXPECT_FALSE(pending.finished()) << "the other one has not ended it";
  to_b.reset();
  EXPECT_FALSE(pending.receive());
  EXPECT_TRUE(pending.finished());
}

TEST_F(RequestResponse, ACallTakesTheFirstAnswer) {
  Server<Add, Sum> silent(*node, "add");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    auto request = server.wait(10s);
    if (!request || !request.respond(Sum{5})) return 1;
    line.hear();
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(client.servers(), 2U);
  EXPECT_EQ(client.call(Add{2, 3}, 10s)->value, 5);
  auto request = silent.receive();
  ASSERT_TRUE(request) << "the other one got it, too";
  EXPECT_TRUE(request.abandoned());
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestResponse, ACallThatNobodyAnswers) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  std::thread other([&] { (void)server.wait(10s); });
  EXPECT_EQ(client.call(Add{2, 3}, 10s).error(), Errc::unanswered);
  EXPECT_NE(client.last_failure().message.find("without a response"), std::string::npos);
  other.join();
}

TEST_F(RequestResponse, RequestsWaitForAServer) {
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(client.servers(), 0U);
  std::vector<Pending<Sum>> pending;
  for (int i = 0; i < 3; ++i) pending.push_back(client.send(Add{i, 1}));
  EXPECT_FALSE(pending[0].delivered());
  pending[1].reset();
  Server<Add, Sum> server(*node, "add");
  EXPECT_FALSE(server.receive()) << "the client has not looked yet";
  EXPECT_FALSE(pending[0].receive());
  EXPECT_TRUE(pending[0].delivered());
  EXPECT_TRUE(answer_one(server));
  EXPECT_TRUE(answer_one(server));
  EXPECT_FALSE(server.receive()) << "what was dropped meanwhile does not come";
  EXPECT_EQ(pending[0].receive()->value, 1);
  EXPECT_EQ(pending[2].receive()->value, 3);
}

TEST_F(RequestResponse, ACallWaitsForAServerToCome) {
  Client<Add, Sum> client(*node, "add");
  ChildProcess child([](const ChildProcess::Line& line) {
    line.hear();
    Node own("server");
    Server<Add, Sum> server(own, "add");
    auto request = server.wait(10s);
    return request && request.respond(Sum{request->a + request->b}) ? 0 : 1;
  });
  child.say();
  const auto sum = client.call(Add{2, 3}, 10s);
  ASSERT_TRUE(sum) << client.last_failure().message;
  EXPECT_EQ(sum->value, 5);
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestResponse, ARequestThatAServerHasDoesNotGoToALaterOne) {
  Client<Add, Sum> client(*node, "add");
  Server<Add, Sum> first(*node, "add");
  auto pending = client.send(Add{1, 1});
  Server<Add, Sum> later(*node, "add");
  EXPECT_EQ(client.servers(), 2U);
  EXPECT_FALSE(later.receive());
  EXPECT_TRUE(answer_one(first));
  auto both = client.send(Add{1, 1});
  EXPECT_TRUE(later.receive());
  EXPECT_TRUE(first.receive());
}

TEST_F(RequestResponse, AServerThatLeavesPassesOnWhatItDidNotTake) {
  Client<Add, Sum> client(*node, "add");
  std::optional<Server<Add, Sum>> leaver(std::in_place, *node, "add");
  auto taken = client.send(Add{1, 1});
  auto waiting = client.send(Add{2, 2});
  ASSERT_TRUE(answer_one(*leaver));
  leaver.reset();
  EXPECT_EQ(taken.receive()->value, 2) << "what it sent is readable";
  EXPECT_FALSE(taken.receive());
  EXPECT_TRUE(taken.finished());
  EXPECT_FALSE(waiting.delivered());
  EXPECT_EQ(client.servers(), 0U);
  Server<Add, Sum> successor(*node, "add");
  EXPECT_EQ(client.servers(), 1U);
  EXPECT_TRUE(answer_one(successor));
  EXPECT_EQ(waiting.receive()->value, 4);
  EXPECT_TRUE(waiting.finished());
}

TEST_F(RequestResponse, ARequestThatItsServerDidNotTakeGoesToOneThatIsThere) {
  Client<Add, Sum> client(*node, "add");
  std::optional<Server<Add, Sum>> leaver(std::in_place, *node, "add");
  auto pending = client.send(Add{1, 1});
  Server<Add, Sum> other(*node, "add");
  EXPECT_EQ(client.servers(), 2U);
  EXPECT_FALSE(other.receive()) << "the first one may still take it";
  leaver.reset();
  EXPECT_EQ(client.servers(), 1U);
  EXPECT_TRUE(pending.delivered());
  EXPECT_TRUE(answer_one(other));
  EXPECT_EQ(pending.receive()->value, 2);
  EXPECT_TRUE(pending.finished());
}

TEST_F(RequestResponse, AServerThatLeavesAnswersWhatItHolds) {
  Client<Add, Sum> client(*node, "add");
  std::optional<Server<Add, Sum>> leaver(std::in_place, *node, "add");
  auto taken = client.send(Add{1, 1});
  auto waiting = client.send(Add{2, 2});
  auto request = leaver->receive();
  ASSERT_TRUE(request);
  leaver.reset();
  EXPECT_FALSE(waiting.delivered()) << "it takes no more";
  EXPECT_EQ(client.servers(), 0U);
  EXPECT_EQ(client.send(Add{3, 3}).error(), Errc::ok);
  Server<Add, Sum> successor(*node, "add");
  EXPECT_FALSE(waiting.receive());
  EXPECT_TRUE(answer_one(successor));
  EXPECT_EQ(waiting.receive()->value, 4);
  EXPECT_EQ(request->a, 1);
  for (int i = 0; i < 100; ++i) {
    auto loan = request.loan(i);
    ASSERT_TRUE(loan);
    request.respond(std::move(loan));
    ASSERT_EQ(taken.receive()->value, i);
  }
  EXPECT_FALSE(taken.finished());
  request.reset();
  EXPECT_TRUE(taken.finished());
  EXPECT_EQ(root.files().size(), 5U) << "node, service, board, client, successor";
}

/// A server in a process of its own that takes one request, says so, and never ends it.
ChildProcess server_that_keeps_a_request(int responses) {
  ChildProcess child([responses](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    auto request = server.wait(10s);
    if (!request) return 1;
    for (int i = 0; i < responses; ++i) request.respond(Sum{i});
    line.say();
    line.hear();
    return 2;
  });
  EXPECT_TRUE(child.hear());
  return child;
}

TEST_F(RequestResponse, ASleepingClientIsToldThatItsServerDied) {
  auto child = server_that_keeps_a_request(2);
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  ASSERT_TRUE(child.hear());
  child.kill();
  EXPECT_EQ(pending.wait(10s)->value, 0) << "what it sent is readable";
  EXPECT_EQ(pending.error(), Errc::ok);
  EXPECT_EQ(pending.wait(10s)->value, 1);
  EXPECT_EQ(pending.wait(10s).error(), Errc::peer_died);
  EXPECT_NE(client.last_failure().message.find("service 'add': the server died"),
            std::string::npos);
  EXPECT_FALSE(pending.finished());
  EXPECT_EQ(pending.error(), Errc::peer_died);
  EXPECT_EQ(client.servers(), 0U);
}

TEST_F(RequestResponse, APollingClientIsToldThatItsServerDied) {
  auto child = server_that_keeps_a_request(0);
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  ASSERT_TRUE(child.hear());
  EXPECT_FALSE(pending.receive()) << "and it has looked who is there";
  child.kill();
  EXPECT_TRUE(comes_true([&] {
    EXPECT_FALSE(pending.receive());
    return pending.error() == Errc::peer_died;
  }));
}

TEST_F(RequestResponse, WhoAsksOnlyWhetherItIsFinishedIsToldThatItsServerDied) {
  auto child = server_that_keeps_a_request(0);
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  ASSERT_TRUE(child.hear());
  EXPECT_FALSE(pending.receive()) << "and it has looked who is there";
  child.kill();
  EXPECT_TRUE(comes_true([&] {
    EXPECT_FALSE(pending.finished());
    return pending.error() == Errc::peer_died;
  }));
}

TEST_F(RequestResponse, ACallIsToldThatItsServerDied) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    auto request = server.wait(10s);
    if (!request) return 1;
    ::raise(SIGKILL);
    return 2;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(client.call(Add{1, 1}, 10s).error(), Errc::peer_died);
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
}

TEST_F(RequestResponse, OtherServersGoOnWhenOneDies) {
  auto child = server_that_keeps_a_request(0);
  Server<Add, Sum> survivor(*node, "add");
  Client<Add, Sum> client(*node, "add", {.max_pending = 2});
  EXPECT_EQ(client.servers(), 2U);
  auto pending = client.send(Add{1, 1});
  ASSERT_TRUE(child.hear());
  auto request = survivor.receive();
  ASSERT_TRUE(request);
  child.kill();
  EXPECT_TRUE(comes_true([&] { return client.servers() == 1; }));
  EXPECT_EQ(pending.error(), Errc::ok);
  ASSERT_TRUE(request.respond(Sum{1}));
  EXPECT_EQ(pending.wait(10s)->value, 1);
  EXPECT_FALSE(pending.finished());
  request.reset();
  EXPECT_EQ(pending.wait(10s).error(), Errc::ok);
  EXPECT_TRUE(pending.finished()) << "one has ended it";
  EXPECT_EQ(pending.error(), Errc::ok);
  for (int i = 0; i < 10; ++i) {
    auto next = client.send(Add{i, i});
    ASSERT_TRUE(next) << client.last_failure().message;
    ASSERT_TRUE(answer_one(survivor));
    ASSERT_EQ(next.receive()->value, 2 * i);
  }
}

TEST_F(RequestResponse, ARequestThatADeadServerDidNotTakeGoesToTheNext) {
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    line.hear();
    return 1;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  EXPECT_TRUE(pending.delivered());
  child.kill();
  EXPECT_EQ(pending.wait(150ms).error(), Errc::timed_out);
  EXPECT_FALSE(pending.delivered());
  Server<Add, Sum> successor(*node, "add");
  EXPECT_FALSE(pending.receive());
  EXPECT_TRUE(answer_one(successor));
  EXPECT_EQ(pending.receive()->value, 2);
}

TEST_F(RequestResponse, AServerSeesThatARequestWasDropped) {
  Server<Add, Sum> server(*node, "add", {.depth = 2});
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  auto request = server.receive();
  ASSERT_TRUE(request);
  EXPECT_FALSE(request.abandoned());
  ASSERT_TRUE(request.respond(Sum{0}));
  EXPECT_TRUE(pending.receive());
  EXPECT_FALSE(request.abandoned()) << "there may be more";
  pending.reset();
  EXPECT_TRUE(request.abandoned());
  EXPECT_EQ(request.respond(Sum{1}).error(), Errc::abandoned) << "although there is room";
  EXPECT_EQ(request.loan().error(), Errc::abandoned) << "nobody will read on";
  EXPECT_EQ(request.loan_for(10s).error(), Errc::abandoned);
  EXPECT_NE(server.last_failure().message.find("dropped the request"), std::string::npos);
}

TEST_F(RequestResponse, AServerThatWaitsForRoomIsToldThatARequestWasDropped) {
  Server<Add, Sum> server(*node, "add", {.depth = 1});
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  auto request = server.receive();
  ASSERT_TRUE(request.respond(Sum{0}));
  std::thread other([&] { pending.reset(); });
  EXPECT_EQ(request.loan_for(10s).error(), Errc::abandoned);
  other.join();
}

/// A client in a process of its own that sends `requests` requests and is then killed.
void send_and_die(Server<Add, Sum>& server, int requests, std::vector<Request<Add, Sum>>& taken) {
  ChildProcess child([requests](const ChildProcess::Line& line) {
    Node own("client");
    Client<Add, Sum> client(own, "add");
    std::vector<Pending<Sum>> pending;
    for (int i = 0; i < requests; ++i) pending.push_back(client.send(Add{i, 0}));
    line.say();
    line.hear();
    std::vector<Sample<Sum>> held;
    for (auto& one : pending) held.push_back(one.wait(10s));
    line.say();
    line.hear();
    return 1;
  });
  ASSERT_TRUE(child.hear());
  for (int i = 0; i < requests; ++i) {
    taken.push_back(server.wait(10s));
    ASSERT_TRUE(taken.back());
    ASSERT_TRUE(taken.back().respond(Sum{1}));
    ASSERT_TRUE(taken.back().respond(Sum{2}));
  }
  child.say();
  ASSERT_TRUE(child.hear());
  child.kill();
}

TEST_F(RequestResponse, ADeadClientsRequestsAreAbandonedAndItsResponsesComeBack) {
  struct Large {
    std::array<std::uint64_t, 100'000> words;
  };
  Server<Add, Sum> server(*node, "add", {.max_requests = 4, .max_loans = 1, .depth = 2});
  for (int round = 0; round < 20; ++round) {
    std::vector<Request<Add, Sum>> taken;
    send_and_die(server, 4, taken);
    EXPECT_TRUE(comes_true([&] { return taken[0].abandoned(); })) << "without a look of the port";
    EXPECT_EQ(server.clients(), 0U);
    EXPECT_TRUE(taken[1].abandoned());
    EXPECT_EQ(taken[1]->a, 1) << "still readable";
    EXPECT_EQ(taken[1].loan().error(), Errc::abandoned);
    EXPECT_EQ(taken[1].loan_for(10s).error(), Errc::abandoned);
  }
  { const Node reaper("reaper"); }
  EXPECT_EQ(root.files().size(), 4U) << "node, service, board, server";
  Client<Add, Sum> client(*node, "add");
  EXPECT_EQ(server.clients(), 1U);
  auto pending = client.send(Add{2, 3});
  EXPECT_TRUE(answer_one(server));
  EXPECT_EQ(pending.receive()->value, 5);
}

TEST_F(RequestResponse, MoreHandlesThanAgreedAreRefused) {
  Server<Add, Sum> server(*node, "add", {.max_requests = 2, .max_loans = 1});
  Client<Add, Sum> client(*node, "add", {.max_borrowed = 1});
  std::vector<Pending<Sum>> pending;
  for (int i = 0; i < 3; ++i) pending.push_back(client.send(Add{i, 0}));
  auto first = server.receive();
  auto second = server.receive();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(server.receive().error(), Errc::too_many_borrowed);
  EXPECT_NE(server.last_failure().message.find("ServerOptions::max_requests"), std::string::npos);
  auto loan = first.loan();
  EXPECT_EQ(second.loan().error(), Errc::too_many_loans);
  EXPECT_NE(server.last_failure().message.find("ServerOptions::max_loans"), std::string::npos);
  first.respond(std::move(loan));
  ASSERT_TRUE(second.respond(Sum{2}));
  auto held = pending[0].receive();
  ASSERT_TRUE(held);
  EXPECT_EQ(pending[1].receive().error(), Errc::too_many_borrowed);
  EXPECT_NE(client.last_failure().message.find("ClientOptions::max_borrowed"), std::string::npos);
  held.reset();
  EXPECT_EQ(pending[1].receive()->value, 2);
  first.reset();
  EXPECT_EQ(server.receive()->a, 2) << "it waited";
}

TEST_F(RequestResponse, ResponsesHeldAreNotOverwritten) {
  Server<Add, Sum> server(*node, "add", {.max_loans = 1, .depth = 1});
  Client<Add, Sum> client(*node, "add", {.max_pending = 1, .max_borrowed = 3});
  std::vector<Sample<Sum>> held;
  for (int i = 0; i < 3; ++i) {
    auto pending = client.send(Add{i, 0});
    ASSERT_TRUE(answer_one(server));
    held.push_back(pending.receive());
    ASSERT_TRUE(held.back());
  }
  for (int i = 3; i < 1000; ++i) {
    if (i % 3 == 0) held[1].reset();
    auto pending = client.send(Add{i, 0});
    ASSERT_TRUE(answer_one(server)) << server.last_failure().message;
    if (i % 3 != 0) continue;
    held[1] = pending.receive();
    ASSERT_EQ(held[1]->value, i);
  }
  EXPECT_EQ(held[0]->value, 0);
  EXPECT_EQ(held[2]->value, 2);
}

TEST_F(RequestResponse, AnotherTypeUnderTheSameNameNamesTheField) {
  struct Product {
    std::int64_t value;
    std::int64_t carry;
  };
  Server<Add, Sum> server(*node, "add");
  const auto response = Client<Add, Product>::create(*node, "add");
  EXPECT_EQ(response.error(), Errc::type_mismatch);
  EXPECT_NE(response.failure().message.find("another response type"), std::string::npos);
  EXPECT_NE(response.failure().message.find("carry"), std::string::npos);
  const auto request = Client<Sum, Sum>::create(*node, "add");
  EXPECT_EQ(request.error(), Errc::type_mismatch);
  EXPECT_NE(request.failure().message.find("another request type"), std::string::npos);
  const auto slices = Server<Add[], Sum>::create(*node, "add");
  EXPECT_EQ(slices.error(), Errc::type_mismatch);
  EXPECT_TRUE(Publisher<Add>::create(*node, "add")) << "another pattern is another service";
}

TEST_F(RequestResponse, OptionsOutsideTheirLimits) {
  const auto client = [&](const ClientOptions& options) {
    const auto created = Client<Add, Sum>::create(*node, "add", options);
    return created ? std::string() : created.failure().message;
  };
  const auto server = [&](const ServerOptions& options) {
    const auto created = Server<Add, Sum>::create(*node, "add", options);
    return created ? std::string() : created.failure().message;
  };
  EXPECT_EQ(client({.max_pending = 0}),
            "service 'add': ClientOptions::max_pending is 0, it must be 1 to 256");
  EXPECT_NE(client({.max_pending = 257}), "");
  EXPECT_NE(client({.max_borrowed = 0}), "");
  EXPECT_NE(client({.heap_bytes = kMaxHeapBytes + 1}), "");
  EXPECT_NE(server({.max_requests = 0}), "");
  EXPECT_NE(server({.max_loans = 257}), "");
  EXPECT_NE(server({.depth = 0}), "");
  EXPECT_EQ(server({.depth = 1025}),
            "service 'add': ServerOptions::depth is 1025, it must be 1 to 1024");
  EXPECT_EQ(client({.max_pending = 256, .max_borrowed = 256}), "");
  EXPECT_EQ(server({.max_requests = 256, .max_loans = 256, .depth = 1000}), "");
}

TEST_F(RequestResponse, HandlesOutliveTheirPorts) {
  std::optional<Server<Add, Sum>> server(std::in_place, *node, "add");
  std::optional<Client<Add, Sum>> client(std::in_place, *node, "add", ClientOptions{});
  auto unused = client->loan();
  auto pending = client->send(Add{1, 2});
  client.reset();
  auto request = server->receive();
  ASSERT_TRUE(request);
  auto loan = request.loan(1);
  server.reset();
  request.respond(std::move(loan));
  auto first = pending.receive();
  ASSERT_TRUE(first);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(request.respond(Sum{i}));
    ASSERT_EQ(pending.wait(10s)->value, i);
  }
  auto last = request.loan(9);
  request.reset();
  EXPECT_TRUE(pending.finished());
  pending.reset();
  EXPECT_EQ(first->value, 1);
  std::thread other(
      [first = std::move(first), last = std::move(last), unused = std::move(unused)]() mutable {
        first.reset();
        last.reset();
        unused.reset();
      });
  other.join();
  EXPECT_EQ(root.files().size(), 1U) << "the node";
}

TEST_F(RequestResponse, HandlesAreReleasedOnAnotherThread) {
  Server<Add, Sum> server(*node, "add", {.max_requests = 1, .max_loans = 1, .depth = 2});
  Client<Add, Sum> client(*node, "add", {.max_pending = 1, .max_borrowed = 1});
  for (int i = 0; i < 200; ++i) {
    auto pending = client.send(Add{i, 0});
    ASSERT_TRUE(pending) << client.last_failure().message;
    auto request = server.receive();
    ASSERT_TRUE(request) << server.last_failure().message;
    ASSERT_TRUE(request.respond(Sum{i}));
    auto sum = pending.receive();
    auto loan = request.loan();
    ASSERT_TRUE(sum && loan);
    std::thread([pending = std::move(pending), request = std::move(request), sum = std::move(sum),
                 loan = std::move(loan)]() mutable {
      pending.reset();
      loan.reset();
      request.reset();
      sum.reset();
    }).join();
  }
}

TEST_F(RequestResponse, PortsAndHandlesCanBeMoved) {
  Server<Add, Sum> made(*node, "add");
  Client<Add, Sum> also_made(*node, "add");
  Server<Add, Sum> server = std::move(made);
  Client<Add, Sum> client = std::move(also_made);
  auto sent = client.send(Add{1, 2});
  auto pending = std::move(sent);
  EXPECT_FALSE(sent);                                 // NOLINT: moved from
  EXPECT_EQ(sent.error(), Errc::closed);              // NOLINT
  EXPECT_EQ(sent.receive().error(), Errc::closed);    // NOLINT
  EXPECT_EQ(sent.wait(1s).error(), Errc::closed);     // NOLINT
  EXPECT_FALSE(sent.finished() || sent.delivered());  // NOLINT
  auto received = server.receive();
  auto request = std::move(received);
  EXPECT_FALSE(received);                     // NOLINT
  EXPECT_EQ(received.error(), Errc::closed);  // NOLINT
  ASSERT_TRUE(request.respond(Sum{3}));
  EXPECT_EQ(pending.receive()->value, 3);
  request = server.receive();
  EXPECT_FALSE(request);
  EXPECT_TRUE(pending.finished()) << "assignment ends what was there";
}

TEST_F(RequestResponse, AForkedChildIsRefusedAndItsParentUnharmed) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 2});
  auto request = server.receive();
  auto loan = client.loan();
  {
    ChildProcess child([&](const ChildProcess::Line&) {
      if (client.loan().error() != Errc::forked) return 1;
      if (client.call(Add{1, 1}, 1s).error() != Errc::forked) return 2;
      if (server.receive().error() != Errc::forked) return 3;
      if (server.wait(1s).error() != Errc::forked) return 4;
      if (pending.receive().error() != Errc::forked) return 5;
      if (request.loan().error() != Errc::forked) return 6;
      if (pending.error() != Errc::forked || pending.finished()) return 7;
      if (client.servers() != 0 || server.clients() != 0) return 8;
      if (!request.abandoned() || request.number() != 1) return 9;
      pending.reset();
      request.reset();
      loan.reset();
      const auto gone = std::move(client);
      return 0;
    });
    EXPECT_EQ(child.wait(), 0);
  }
  ASSERT_TRUE(request.respond(Sum{3}));
  request.reset();
  EXPECT_EQ(pending.receive()->value, 3);
  EXPECT_TRUE(pending.finished());
}

TEST_F(RequestResponse, SlicesGoBothWays) {
  Server<float[], std::uint8_t[]> server(*node, "quantise");
  Client<float[], std::uint8_t[]> client(*node, "quantise");
  for (std::size_t size : {0U, 1U, 100U, 100'000U, 7U}) {
    auto loan = client.loan(size);
    ASSERT_TRUE(loan) << client.last_failure().message;
    ASSERT_EQ(loan.size(), size);
    for (std::size_t i = 0; i < size; ++i) loan[i] = static_cast<float>(i % 200);
    auto pending = client.send(std::move(loan));
    auto request = server.receive();
    ASSERT_TRUE(request) << server.last_failure().message;
    ASSERT_EQ(request.size(), size);
    auto out = request.loan(request.size());
    ASSERT_TRUE(out) << server.last_failure().message;
    std::transform(request.begin(), request.end(), out.begin(),
                   [](float value) { return static_cast<std::uint8_t>(value); });
    request.respond(std::move(out));
    const std::array<std::uint8_t, 3> more{1, 2, 3};
    ASSERT_TRUE(request.respond(more));
    const auto response = pending.receive();
    ASSERT_TRUE(response);
    ASSERT_EQ(response.size(), size);
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(response[i], i % 200);
    const auto second = pending.receive();
    EXPECT_TRUE(std::equal(second.begin(), second.end(), more.begin(), more.end()));
  }
  EXPECT_EQ(client.loan(std::size_t{1} << 40).error(), Errc::no_address_space);
  EXPECT_NE(client.last_failure().message.find("heap_bytes"), std::string::npos);
  const std::array<float, 2> values{1, 2};
  auto pending = client.send(values);
  EXPECT_EQ(server.receive().span()[1], 2.0F);
}

TEST_F(RequestResponse, PayloadsOfAnySizeAndAlignmentAreShared) {
  struct alignas(256) Aligned {
    std::array<std::uint64_t, 100> words;
  };
  struct Image {
    std::array<std::uint8_t, 3'000'000> pixels;
  };
  Server<Aligned, Image> server(*node, "render", {.max_loans = 1, .depth = 8});
  Client<Aligned, Image> client(*node, "render", {.max_pending = 2, .max_borrowed = 1});
  auto pending = client.send(client.loan());
  auto request = server.receive();
  ASSERT_TRUE(request);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(request.get()) % 256, 0U);
  for (std::uint8_t i = 0; i < 8; ++i) {  // more than are there from the beginning
    auto image = request.loan();
    ASSERT_TRUE(image) << server.last_failure().message;
    image->pixels.front() = image->pixels.back() = i;
    request.respond(std::move(image));
  }
  EXPECT_EQ(request.loan().error(), Errc::would_block);
  for (std::uint8_t i = 0; i < 8; ++i) {
    const auto image = pending.receive();
    ASSERT_TRUE(image);
    EXPECT_EQ(image->pixels.front(), i);
    EXPECT_EQ(image->pixels.back(), i);
  }
}

TEST_F(RequestResponse, BothSidesCanBeWaitedForTogetherWithOthers) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  EXPECT_FALSE(server.waitable().is_ready());
  auto pending = client.send(Add{1, 2});
  Waitable& waitable = pending.waitable();
  EXPECT_TRUE(server.waitable().is_ready());
  EXPECT_FALSE(waitable.is_ready());
  auto moved = std::move(pending);
  EXPECT_EQ(&moved.waitable(), &waitable) << "it stays where it is";
  ASSERT_TRUE(answer_one(server));
  EXPECT_FALSE(server.waitable().is_ready());
  EXPECT_TRUE(waitable.is_ready());
  EXPECT_TRUE(moved.receive());
  EXPECT_TRUE(waitable.is_ready()) << "nothing more will come";
  auto waiting = client.send(Add{1, 2});
  EXPECT_FALSE(waiting.waitable().is_ready());
  struct Watcher final : Waitable::Watcher {
    void on_closed() noexcept override { is_told = true; }
    bool is_told = false;
  } watcher;
  waiting.waitable().add_watcher(watcher);
  EXPECT_FALSE(watcher.is_told);
  waiting.reset();
  EXPECT_TRUE(watcher.is_told);
}

TEST_F(RequestResponse, AWaitableTellsOfADeadServer) {
  auto child = server_that_keeps_a_request(0);
  Client<Add, Sum> client(*node, "add");
  auto pending = client.send(Add{1, 1});
  ASSERT_TRUE(child.hear());
  EXPECT_FALSE(pending.receive());
  child.kill();
  EXPECT_FALSE(pending.waitable().is_ready());
  pending.waitable().look();
  EXPECT_TRUE(pending.waitable().is_ready());
  EXPECT_EQ(pending.error(), Errc::peer_died);
}

TEST_F(RequestResponse, ToolsSeeBothTypesAndThePorts) {
  Server<Add, Sum> server(*node, "add");
  Client<Add, Sum> client(*node, "add");
  const auto found = services();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].pattern, "request-response");
  EXPECT_NE(found[0].schema.type_name.find("Add"), std::string::npos);
  ASSERT_TRUE(found[0].response_schema);
  EXPECT_NE(found[0].response_schema->type_name.find("Sum"), std::string::npos);
  ASSERT_EQ(found[0].ports.size(), 2U);
  EXPECT_EQ(found[0].ports[0].kind, "client");
  EXPECT_EQ(found[0].ports[1].kind, "server");
  EXPECT_EQ(found[0].ports[1].incarnation, server.id());
  EXPECT_TRUE(found[0].ports[0].alive && found[0].ports[1].alive);
}

/// Bytes of all files whose names end in `name`.
std::uintmax_t bytes_of(const TemporaryRoot& root, const std::string& name) {
  std::uintmax_t bytes = 0;
  for (const std::string& file : root.files()) {
    if (file.ends_with(name)) bytes += std::filesystem::file_size(root.path() + "/" + file);
  }
  return bytes;
}

TEST_F(RequestResponse, ClientsComeAndGoWhileAServerRuns) {
  Server<Add, Sum> server(*node, "add", {.max_loans = 1, .depth = 1});
  std::uintmax_t bytes = 0;
  for (int i = 0; i < 100; ++i) {
    if (i == 40) bytes = bytes_of(root, "/server.0");
    Client<Add, Sum> a(*node, "add");
    Client<Add, Sum> b(*node, "add", {.max_pending = 3, .max_borrowed = 2});
    auto to_a = a.send(Add{i, 1});
    auto to_b = b.send(Add{i, 2});
    ASSERT_TRUE(answer_one(server)) << server.last_failure().message;
    ASSERT_TRUE(answer_one(server)) << server.last_failure().message;
    ASSERT_EQ(to_a.receive()->value, i + 1);
    if (i % 2 == 0) {
      ASSERT_EQ(to_b.receive()->value, i + 2);
    }
  }
  EXPECT_EQ(server.clients(), 0U);
  EXPECT_EQ(bytes_of(root, "/server.0"), bytes) << "memory is used again";
}

TEST_F(RequestResponse, ANewClientOnTheSeatOfAnotherIsConnectedAfresh) {
  Server<Add, Sum> server(*node, "add");
  std::optional<Client<Add, Sum>> old(std::in_place, *node, "add", ClientOptions{.max_pending = 1});
  EXPECT_EQ(server.clients(), 1U);
  Client<Add, Sum> other(*node, "add");
  EXPECT_EQ(server.clients(), 2U);
  old.reset();
  Client<Add, Sum> client(*node, "add", {.max_pending = 8});
  EXPECT_EQ(client.servers(), 1U);
  auto pending = client.send(Add{1, 1});
  EXPECT_FALSE(pending.receive()) << "the server has not looked since";
  EXPECT_TRUE(answer_one(server));
  EXPECT_EQ(pending.receive()->value, 2);
}

TEST_F(RequestResponse, ServersComeAndGoWhileAClientRuns) {
  Client<Add, Sum> client(*node, "add", {.max_pending = 2});
  std::uintmax_t bytes = 0;
  for (int i = 0; i < 100; ++i) {
    if (i == 3) bytes = bytes_of(root, "/client.0");
    Server<Add, Sum> a(*node, "add");
    Server<Add, Sum> b(*node, "add", {.depth = 2});
    auto pending = client.send(Add{i, 1});
    ASSERT_TRUE(pending) << client.last_failure().message;
    ASSERT_TRUE(answer_one(a));
    ASSERT_TRUE(answer_one(b));
    ASSERT_EQ(pending.receive()->value, i + 1);
    if (i % 2 == 0) {
      ASSERT_EQ(pending.receive()->value, i + 1);
    }
  }
  EXPECT_EQ(client.servers(), 0U);
  EXPECT_EQ(bytes_of(root, "/client.0"), bytes) << "memory is used again";
}

TEST_F(RequestResponse, AResponseIsNotOverlookedThatComesRightBeforeTheEnd) {
  constexpr int kCalls = 50'000;
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add");
    line.say();
    for (int i = 0; i < kCalls;) {
      auto request = server.receive();
      if (!request) continue;
      request.respond(Sum{i});
      ++i;
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add");
  for (int i = 0; i < kCalls; ++i) {
    auto pending = client.send(Add{i, 0});
    auto sum = pending.receive();
    while (!sum && !pending.finished()) sum = pending.receive();
    ASSERT_TRUE(sum) << "it ended without the response " << i;
    ASSERT_EQ(sum->value, i);
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestResponse, ManyRequestsInFlightBetweenProcesses) {
  constexpr int kRequests = 20'000;
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("server");
    Server<Add, Sum> server(own, "add", {.max_requests = 5, .max_loans = 2, .depth = 2});
    line.say();
    std::vector<Request<Add, Sum>> held;
    for (int i = 0; i < kRequests; ++i) {
      auto request = server.wait(10s);
      if (!request) return 1;
      for (std::int64_t k = 0; k < request->b; ++k) {
        auto sum = request.loan_for(10s, request->a + k);
        if (!sum) {
          std::fprintf(stderr, "%s\n", server.last_failure().message.c_str());
          return 2;
        }
        request.respond(std::move(sum));
      }
      held.push_back(std::move(request));
      if (held.size() == 5) held.erase(held.begin() + i % 5);
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Client<Add, Sum> client(*node, "add", {.max_pending = 8, .max_borrowed = 3});
  struct Sent {
    Pending<Sum> pending;
    std::int64_t next;
    std::int64_t end;
  };
  std::vector<Sent> sent;
  std::vector<Sample<Sum>> held;
  for (int i = 0; i < kRequests || !sent.empty();) {
    if (i < kRequests && sent.size() < 8) {
      if (auto loan = client.loan(100 * i, i % 4)) {
        sent.push_back({client.send(std::move(loan)), 100 * i, 100 * i + i % 4});
        ++i;
        continue;
      }
    }
    Sent& oldest = sent.front();
    while (oldest.next < oldest.end) {
      auto sum = oldest.pending.wait(10s);
      ASSERT_TRUE(sum) << client.last_failure().message;
      ASSERT_EQ(sum->value, oldest.next++);
      held.push_back(std::move(sum));
      if (held.size() == 3) held.erase(held.begin() + i % 3);
    }
    sent.erase(sent.begin());
  }
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace sluice
