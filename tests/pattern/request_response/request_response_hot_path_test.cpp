// SPDX-License-Identifier: Apache-2.0
//
// A request, its responses, and the end of both make no system call and allocate nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <sluice/sluice.hpp>
#include <support/child_process.hpp>
#include <support/hot_path.hpp>
#include <support/shared_page.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kRequests = 20'000;
constexpr std::uint64_t kResponses = 3;  // to each
constexpr std::uint64_t kWarmUp = 300;   // until every slot has had a slice

struct Numbers {
  std::uint64_t first, second;
};

/// How far both sides have come, so that the client looks for a response only where there is one:
/// one that waits for long would look whether its server lives.
struct Steps {
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<bool> both_are_ready{false};
};

/// What a client and a server of `Q` and `R` do for request `i`.
template <typename Q, typename R>
struct Exchange {
  Pending<R> (*send)(Client<Q, R>& client, std::uint64_t i);
  bool (*respond)(Request<Q, R>& request, std::uint64_t i, std::uint64_t k);
  bool (*is_response)(const Sample<R>& response, std::uint64_t i, std::uint64_t k);
};

template <typename Q, typename R>
bool answer(Server<Q, R>& server, const Exchange<Q, R>& exchange, std::uint64_t i) {
  auto request = server.receive();
  while (!request && request.error() == Errc::ok) request = server.receive();
  for (std::uint64_t k = 0; k < kResponses; ++k) {
    if (!request || request.abandoned() || !exchange.respond(request, i, k)) return false;
  }
  return true;
}

template <typename Q, typename R>
bool take(Pending<R>& pending, const Exchange<Q, R>& exchange, std::uint64_t i) {
  for (std::uint64_t k = 0; k < kResponses; ++k) {
    const auto response = pending.receive();
    if (!response || !exchange.is_response(response, i, k)) return false;
  }
  return pending.finished();
}

template <typename Q, typename R>
void expect_no_system_call(const Exchange<Q, R>& exchange) {
  TemporaryRoot root;
  SharedPage<Steps> steps;
  {
    ChildProcess answerer([&](const ChildProcess::Line&) -> int {
      Node node("server");
      Server<Q, R> server(node, "numbers");
      for (std::uint64_t i = 0; i <= kRequests; ++i) {
        while (steps->sent.load(std::memory_order_acquire) <= i) {
          if (i == 0) (void)server.clients();
        }
        if (!answer(server, exchange, i)) leave(1);
        steps->answered.store(i + 1, std::memory_order_release);
        if (i == kWarmUp) {
          while (!steps->both_are_ready.load(std::memory_order_acquire)) (void)server.clients();
          forbid_system_calls();
        }
      }
      leave(0);
    });
    ChildProcess asker([&](const ChildProcess::Line&) -> int {
      Node node("client");
      Client<Q, R> client(node, "numbers");
      while (client.servers() == 0) {
      }
      for (std::uint64_t i = 0; i <= kRequests; ++i) {
        auto pending = exchange.send(client, i);
        if (!pending) leave(2);
        steps->sent.store(i + 1, std::memory_order_release);
        while (steps->answered.load(std::memory_order_acquire) <= i) {
        }
        if (!take(pending, exchange, i)) leave(3);
        if (i == kWarmUp) {
          (void)client.servers();
          steps->both_are_ready.store(true, std::memory_order_release);
          forbid_system_calls();
        }
      }
      leave(0);
    });
    EXPECT_EQ(asker.wait(), 0);
    EXPECT_EQ(answerer.wait(), 0);
  }
  { Node node("reaper"); }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

Exchange<Numbers, Numbers> loans() {
  return {
      .send = [](Client<Numbers, Numbers>& client,
                 std::uint64_t i) { return client.send(client.loan(i, ~i)); },
      .respond =
          [](Request<Numbers, Numbers>& request, std::uint64_t i, std::uint64_t k) {
            if (request->first != i || request->second != ~i) return false;
            auto loan = request.loan(i, k);
            if (!loan) return false;
            request.respond(std::move(loan));
            return true;
          },
      .is_response = [](const Sample<Numbers>& response, std::uint64_t i,
                        std::uint64_t k) { return response->first == i && response->second == k; },
  };
}

Exchange<Numbers, Numbers> copies() {
  Exchange<Numbers, Numbers> exchange = loans();
  exchange.send = [](Client<Numbers, Numbers>& client, std::uint64_t i) {
    return client.send(Numbers{i, ~i});
  };
  exchange.respond = [](Request<Numbers, Numbers>& request, std::uint64_t i, std::uint64_t k) {
    return static_cast<bool>(request.respond(Numbers{i, k}));
  };
  return exchange;
}

Exchange<std::uint64_t[], std::uint64_t[]> slices() {
  return {
      .send =
          [](Client<std::uint64_t[], std::uint64_t[]>& client, std::uint64_t i) {
            auto loan = client.loan(100);
            std::fill(loan.begin(), loan.end(), i);
            return client.send(std::move(loan));
          },
      .respond =
          [](Request<std::uint64_t[], std::uint64_t[]>& request, std::uint64_t i, std::uint64_t k) {
            if (request.size() != 100 || request[99] != i) return false;
            auto loan = request.loan(50);
            if (!loan) return false;
            std::fill(loan.begin(), loan.end(), i + k);
            request.respond(std::move(loan));
            return true;
          },
      .is_response = [](const Sample<std::uint64_t[]>& response, std::uint64_t i,
                        std::uint64_t k) { return response.size() == 50 && response[49] == i + k; },
  };
}

TEST(HotPath, RequestsAndResponsesMakeNoSystemCall) { expect_no_system_call(loans()); }

TEST(HotPath, CopiesOfRequestsAndResponsesMakeNoSystemCall) { expect_no_system_call(copies()); }

TEST(HotPath, SlicesOfRequestsAndResponsesMakeNoSystemCallOnceTheirMemoryIsThere) {
  expect_no_system_call(slices());
}

TEST(HotPath, RequestsAndResponsesAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Server<Numbers, Numbers> server(node, "numbers");
  Client<Numbers, Numbers> client(node, "numbers");
  (void)server.clients();
  (void)client.servers();
  const auto exchange = loans();
  const std::uint64_t before = allocations;
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    auto pending = exchange.send(client, i);
    ASSERT_TRUE(answer(server, exchange, i));
    ASSERT_TRUE(take(pending, exchange, i));
  }
  expect_no_allocation_since(before);
}

TEST(HotPath, SlicesOfRequestsAndResponsesAllocateNothingOnceTheirMemoryIsThere) {
  TemporaryRoot root;
  Node node("test");
  Server<std::uint64_t[], std::uint64_t[]> server(node, "numbers");
  Client<std::uint64_t[], std::uint64_t[]> client(node, "numbers");
  const auto exchange = slices();
  std::uint64_t before = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    if (i == kWarmUp) before = allocations;
    auto pending = exchange.send(client, i);
    ASSERT_TRUE(answer(server, exchange, i));
    ASSERT_TRUE(take(pending, exchange, i));
  }
  expect_no_allocation_since(before);
}

TEST(HotPath, RefusedRequestsAndResponsesAllocateNothing) {
  TemporaryRoot root;
  Node node("test");
  Server<Numbers, Numbers> server(node, "numbers", {.max_loans = 1, .depth = 1});
  Client<Numbers, Numbers> client(node, "numbers", {.max_pending = 1});
  (void)server.clients();
  (void)client.servers();
  auto pending = client.send(Numbers{0, 0});
  auto request = server.receive();
  ASSERT_TRUE(pending && request);
  const auto expect_refused = [&](Errc of_response) {
    EXPECT_EQ(client.send(Numbers{1, 1}).error(), Errc::too_many_loans);
    EXPECT_EQ(request.respond(Numbers{1, 1}).error(), of_response);
  };
  const auto expect_no_allocation = [&](Errc of_response) {
    // What is said once is said in the same words again.
    expect_refused(of_response);
    // Where a request is refused, the client looks at its servers, at most every 100 ms.
    int that_allocated = 0;
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t before = allocations;
      expect_refused(of_response);
      that_allocated += allocations != before ? 1 : 0;
    }
    EXPECT_LT(that_allocated, 100);
    EXPECT_FALSE(server.last_failure().message.empty());
  };
  {
    const auto loan = request.loan();
    expect_no_allocation(Errc::too_many_loans);
  }
  ASSERT_TRUE(request.respond(Numbers{1, 1}));
  expect_no_allocation(Errc::would_block);
}

}  // namespace
}  // namespace sluice
