// SPDX-License-Identifier: Apache-2.0
//
// A client is killed at every write to shared memory and at every system call. Its server finds the
// requests that it has taken abandoned and readable, gets all its memory back, and goes on with
// other clients and with a successor; nothing is left behind.
#include <gtest/gtest.h>

#include <chrono>
#include <crash/exchanges.hpp>
#include <crash/survivors.hpp>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

constexpr ClientOptions kClient{.max_pending = 2, .max_borrowed = 2};
constexpr ServerOptions kServer{.max_requests = 8, .max_loans = 2, .depth = 2};

struct ClientKilled : Survivors<> {
  void come() override {
    survivor.emplace(*node, kServer);
    witness.emplace(*node, kClient);
    ASSERT_EQ(survivor->port().clients(), 1U);
  }

  /// Everything that responses to `client` can use is used at once: every lane is full, every claim
  /// and every loan is held.
  void exchange(Asker& client) {
    for (int round = 0; round < 3; ++round) {
      std::vector<Asker::Question> questions;
      std::vector<Request<Message, Message>> taken;
      std::vector<Sample<Message>> held;
      std::vector<Loan<Message>> loans;
      for (std::uint32_t i = 0; i < kClient.max_pending; ++i) {
        questions.push_back(client.ask());
        ASSERT_TRUE(questions.back().pending) << client.port().last_failure().message;
        taken.push_back(survivor->receive());
        ASSERT_TRUE(taken.back());
      }
      for (std::uint32_t i = 0; i < kClient.max_borrowed; ++i) {
        ASSERT_TRUE(survivor->respond(taken[0])) << survivor->port().last_failure().message;
        held.push_back(client.receive(questions[0]));
        ASSERT_TRUE(held.back());
      }
      for (auto& request : taken) {
        while (survivor->respond(request)) continue;
        ASSERT_EQ(request.loan().error(), Errc::would_block)
            << survivor->port().last_failure().message;
      }
      held.erase(held.begin());
      for (std::uint32_t i = 0; i < kServer.depth; ++i) {
        ASSERT_TRUE(client.receive(questions[1]));
      }
      for (std::uint32_t i = 0; i < kServer.max_loans; ++i) {
        loans.push_back(taken[1].loan());
        ASSERT_TRUE(loans.back()) << survivor->port().last_failure().message;
      }
    }
  }

  /// The survivors go on, and another client takes the victim's place.
  void go_on() override {
    while (auto request = survivor->receive()) requests.push_back(std::move(request));
    EXPECT_EQ(survivor->port().clients(), 1U);
    for (auto& request : requests) {
      EXPECT_TRUE(request.abandoned());
      EXPECT_TRUE(request->is(request->words[0])) << "overwritten, or gone with its client";
      EXPECT_EQ(request.loan().error(), Errc::abandoned);
    }
    exchange(*witness);
    requests.clear();
    {
      const Node own("successor");
      Asker successor(own, kClient);
      EXPECT_EQ(survivor->port().clients(), 2U);
      exchange(successor);
      EXPECT_TRUE(successor.is_content());
    }
    EXPECT_EQ(survivor->port().clients(), 1U);
    exchange(*witness);
    EXPECT_TRUE(survivor->is_content() && witness->is_content());
    { const Node reaper("reaper"); }
    EXPECT_EQ(root.files(), files);
  }

  /// Takes the request that the victim has sent, and answers it with a full lane.
  void answer() {
    requests.push_back(survivor->wait(10s));
    ASSERT_TRUE(requests.back());
    while (survivor->respond(requests.back())) continue;
  }

  std::optional<Answerer> survivor;
  std::optional<Asker> witness;
  std::vector<Request<Message, Message>> requests;  // that the survivor has taken
};

INSTANTIATE_TEST_SUITE_P(AtEvery, ClientKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(ClientKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Asker> client;
    victim.in_danger([&] { client.emplace(own, kClient); });
  }});
  EXPECT_GE(points, 50U);
}

TEST_P(ClientKilled, WhileItSendsAndDrops) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Asker client(own, kClient);
                                  victim.line().say();
                                  victim.line().hear();
                                  Victim::require(client.port().servers() == 1);
                                  victim.in_danger([&] {
                                    auto first = client.ask();
                                    auto second = client.ask();
                                    Victim::require(first.pending && second.pending);
                                    first.pending.reset();
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  EXPECT_EQ(survivor->port().clients(), 2U);
                                  child.say();
                                }});
  // Payload, number, wanted and entry, twice; wanted.
  EXPECT_GE(points, at_writes() ? 2 * (12 / 4 + 3) + 1U : 1U);
}

TEST_P(ClientKilled, WhileItReceivesAndReleases) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Asker client(own, kClient);
                                  auto question = client.ask();
                                  victim.line().say();
                                  victim.line().hear();
                                  // The server is known from now on.
                                  Victim::require(client.port().servers() == 1);
                                  victim.in_danger([&] {
                                    auto first = client.receive(question);
                                    auto second = client.receive(question);
                                    Victim::require(first && second && client.is_content());
                                    first.reset();
                                    Victim::require(!client.receive(question));
                                    second.reset();
                                    question.pending.reset();
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  answer();
                                  child.say();
                                }});
  // Two claims, each before the head of the lane, and given back; wanted.
  EXPECT_GE(points, at_writes() ? 2 * 3 + 1U : 1U);
}

TEST_P(ClientKilled, WhileItUsesARequestAgain) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Asker client(own, kClient);
                                  auto question = client.ask();
                                  victim.line().say();
                                  victim.line().hear();
                                  Victim::require(client.port().servers() == 1);
                                  question.pending.reset();
                                  victim.in_danger([&] {
                                    for (int i = 0; i < 3; ++i) {
                                      question = client.ask();
                                      Victim::require(bool(question.pending) == (i < 2));
                                      // The server has ended the first; the lane is emptied.
                                    }
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  answer();
                                  requests.clear();
                                  child.say();
                                }});
  EXPECT_GE(points, at_writes() ? 2U * (12 / 4 + 3) + 2U : 1U);
}

TEST_P(ClientKilled, WhileItWaits) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    Asker client(own, kClient);
    auto question = client.ask();
    victim.in_danger([&] { Victim::require(!client.wait(question, 1ms)); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(ClientKilled, WhileItFindsAServer) {
  std::optional<Answerer> newcomer;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Asker client(own, kClient);
                                  victim.in_danger([&] {
                                    Victim::require(client.port().servers() == 2);
                                    auto question = client.ask();
                                    Victim::require(bool(question.pending));
                                  });
                                },
                            .meanwhile = [&] { newcomer.emplace(*node, kServer); },
                            .afterwards =
                                [&] {
                                  newcomer->answer_all();
                                  EXPECT_TRUE(newcomer->is_content());
                                  newcomer.reset();
                                  EXPECT_EQ(witness->port().servers(), 1U);
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 20U : 20U);
}

TEST_P(ClientKilled, WhileItLosesAServer) {
  std::optional<Answerer> leaver;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Asker client(own, kClient);
                                  victim.line().say();
                                  victim.line().hear();
                                  Victim::require(client.port().servers() == 2);
                                  auto question = client.ask();
                                  victim.in_danger([&] {
                                    Victim::require(client.port().servers() == 1);
                                    Victim::require(!client.receive(question));
                                  });
                                },
                            .rehearsal =
                                [&](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  leaver.emplace(*node, kServer);
                                  child.say();
                                },
                            .meanwhile = [&] { leaver.reset(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(ClientKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Asker> client(std::in_place, own, kClient);
    auto question = client->ask();
    question.pending.reset();
    victim.in_danger([&] { client.reset(); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

// The survivor was there, and has not looked since.
TEST_P(ClientKilled, WhileItLeavesWithARequestThatNobodyTook) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Asker> client(std::in_place, own, kClient);
                                  auto question = client->ask();
                                  Victim::require(bool(question.pending));
                                  victim.in_danger([&] {
                                    client.reset();
                                    question.pending.reset();
                                  });
                                },
                            .afterwards =
                                [this] {
                                  requests.push_back(survivor->receive());
                                  ASSERT_TRUE(requests.back()) << "the request is lost";
                                  EXPECT_TRUE(requests.back()->is(1));
                                  EXPECT_FALSE(survivor->receive());
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 3U : 10U);
}

TEST_P(ClientKilled, WhileItsLastHandlesEndAfterIt) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Asker> client(std::in_place, own, kClient);
                                  auto question = client->ask();
                                  victim.line().say();
                                  victim.line().hear();
                                  auto first = client->wait(question, 10s);
                                  Victim::require(bool(first));
                                  victim.in_danger([&] {
                                    client.reset();
                                    auto second = question.pending.receive();
                                    Victim::require(bool(second));
                                    question.pending.reset();
                                    first.reset();
                                    second.reset();
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  answer();
                                  child.say();
                                }});
  EXPECT_GE(points, at_writes() ? 5U : 10U);
}

}  // namespace
}  // namespace sluice
