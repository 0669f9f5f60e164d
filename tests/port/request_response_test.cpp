// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
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
[[maybe_unused]] bool answer_one(Server<Add, Sum>& server) {
  auto request = server.receive();
  if (!request) return false;
  auto sum = request.loan();
  if (!sum) return false;
  sum->value = request->a + request->b;
  request.respond(std::move(sum));
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

}  // namespace
}  // namespace sluice
