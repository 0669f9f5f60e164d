// SPDX-License-Identifier: Apache-2.0
//
// A server is killed at every write to shared memory and at every system call. Its client gets what
// it had sent, is told what became of each request, and goes on with another server and with a
// successor; nothing is left behind.
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

constexpr ClientOptions kClient{.max_pending = 3, .max_borrowed = 2};
constexpr ServerOptions kServer{.max_requests = 2, .max_loans = 1, .depth = 2};

struct ServerKilled : Survivors<> {
  void come() override { survivor.emplace(*node, kClient); }

  /// The survivor makes itself known to the victim, which waits for that.
  void meet(const ChildProcess& child) {
    ASSERT_TRUE(child.hear());
    ASSERT_EQ(survivor->port().servers(), witness ? 2U : 1U);
    child.say();
  }

  /// A request for the victim.
  void ask() {
    ASSERT_GE(survivor->port().servers(), 1U);
    question.emplace(survivor->ask());
    ASSERT_TRUE(question->pending) << survivor->port().last_failure().message;
  }

  /// What the victim had sent is taken, and something becomes of the request: if the victim did not
  /// take it, `successor` answers it.
  void find_out(Answerer& successor) {
    if (!question) return;
    while (!question->pending.finished() && question->pending.error() == Errc::ok) {
      successor.answer_all();
      (void)survivor->wait(*question, 1ms);
    }
    question.reset();
  }

  /// Every request can be used at once, and is answered; again and again.
  void exchange(Answerer& server) {
    for (int round = 0; round < 5; ++round) {
      std::vector<Asker::Question> questions;
      for (std::uint32_t i = 0; i < kClient.max_pending; ++i) {
        questions.push_back(survivor->ask());
        ASSERT_TRUE(questions.back().pending) << survivor->port().last_failure().message;
      }
      ASSERT_EQ(server.answer_all(2), questions.size());
      for (auto& one : questions) {
        ASSERT_EQ(survivor->drain(one), 2U);
        ASSERT_TRUE(one.pending.finished());
      }
    }
  }

  /// The survivor goes on, and another server takes the victim's place.
  void go_on() override {
    ASSERT_EQ(survivor->port().servers(), witness ? 1U : 0U);
    {
      const Node own("successor");
      Answerer successor(own, kServer);
      ASSERT_EQ(survivor->port().servers(), witness ? 2U : 1U);
      find_out(successor);
      if (witness) witness->answer_all();
      if (!witness) exchange(successor);
      EXPECT_TRUE(successor.is_content());
    }
    if (witness) {
      ASSERT_EQ(survivor->port().servers(), 1U);
      exchange(*witness);
      EXPECT_TRUE(witness->is_content());
    }
    ASSERT_EQ(survivor->port().servers(), witness ? 1U : 0U);
    EXPECT_TRUE(survivor->is_content());
    { const Node reaper("reaper"); }
    EXPECT_EQ(root.files(), files);
  }

  void begin_with_witness() {
    witness.emplace(*node, kServer);
    ASSERT_EQ(survivor->port().servers(), 1U);
    files = root.files();
  }

  std::optional<Asker> survivor;
  std::optional<Answerer> witness;
  std::optional<Asker::Question> question;
  Sample<Message> held;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, ServerKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(ServerKilled, WhileItIsCreated) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Answerer> server;
                                  victim.in_danger([&] { server.emplace(own, kServer); });
                                },
                            .meanwhile = [this] { question.emplace(survivor->ask()); }});
  EXPECT_GE(points, at_writes() ? 50U : 50U);
}

/// Takes a request, answers it with all that goes into a lane, and ends it.
void serve(const Victim& victim) {
  const Node own("victim");
  Answerer server(own, kServer);
  victim.line().say();
  victim.line().hear();
  Victim::require(server.port().clients() == 1);
  victim.in_danger([&] {
    auto request = server.wait(10s);
    Victim::require(request && server.respond(request) && server.respond(request));
    Victim::require(!server.respond(request));
    request.reset();
    Victim::require(server.is_content());
  });
}

TEST_P(ServerKilled, WhileItAnswers) {
  const auto points = kill({.victim = serve,
                            .rehearsal = [this](const ChildProcess& child) { meet(child); },
                            .meanwhile = [this] { ask(); }});
  // The head, two responses with their header and payload, the end.
  EXPECT_GE(points, at_writes() ? 1 + 2 * (12 / 4 + 2) + 1U : 1U);
}

TEST_P(ServerKilled, WhileAnotherServerAnswersToo) {
  begin_with_witness();
  const auto points = kill({.victim = serve,
                            .rehearsal = [this](const ChildProcess& child) { meet(child); },
                            .meanwhile = [this] { ask(); },
                            .afterwards =
                                [this] {
                                  // The other one has the request as well: it ends well, whatever
                                  // becomes of it.
                                  EXPECT_EQ(witness->answer_all(2), 1U);
                                  EXPECT_EQ(survivor->port().servers(), 1U);
                                  std::size_t from_witness = 0;
                                  while (const auto sample = survivor->wait(*question, 10s)) {
                                    from_witness +=
                                        sample.publisher() == witness->port().id() ? 1 : 0;
                                  }
                                  EXPECT_EQ(from_witness, 2U);
                                  EXPECT_TRUE(question->pending.finished());
                                  EXPECT_EQ(question->pending.error(), Errc::ok);
                                  question.reset();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 1 + 2 * (12 / 4 + 2) + 1U : 1U);
}

TEST_P(ServerKilled, WhileItsResponsesAreHeld) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Answerer server(own, kServer);
                                  victim.line().say();
                                  auto request = server.wait(10s);
                                  Victim::require(request && server.respond(request));
                                  victim.line().say();
                                  victim.line().hear();
                                  victim.in_danger([&] {
                                    Victim::require(server.respond(request));
                                    Victim::require(server.respond(request));
                                    request.reset();
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  ask();
                                  ASSERT_TRUE(child.hear());
                                  held = survivor->wait(*question, 10s);
                                  ASSERT_TRUE(held);
                                  child.say();
                                },
                            .afterwards =
                                [this] {
                                  survivor->drain(*question);
                                  EXPECT_TRUE(held->is(response_to(question->value, 0)))
                                      << "overwritten, or gone with its server";
                                  held.reset();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 2 * (12 / 4 + 2) + 1U : 1U);
}

TEST_P(ServerKilled, WhileItFindsAClient) {
  std::optional<Asker> newcomer;
  std::optional<Asker::Question> its;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Answerer server(own, kServer);
                                  while (server.receive()) continue;
                                  victim.in_danger([&] {
                                    auto request = server.receive();
                                    Victim::require(request && server.respond(request));
                                    // The survivor has not looked yet.
                                    Victim::require(server.port().clients() == 1);
                                  });
                                },
                            .meanwhile =
                                [&] {
                                  newcomer.emplace(*node, kClient);
                                  its.emplace(newcomer->ask());
                                },
                            .afterwards =
                                [&] {
                                  newcomer->drain(*its);
                                  EXPECT_TRUE(newcomer->is_content());
                                  its.reset();
                                  newcomer.reset();
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 50U : 20U);
}

TEST_P(ServerKilled, WhileItLosesAClient) {
  std::optional<Asker> leaver;
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Answerer server(own, kServer);
                                  victim.line().say();
                                  victim.line().hear();
                                  Victim::require(server.port().clients() == 1);
                                  victim.in_danger([&] {
                                    Victim::require(!server.receive());
                                    Victim::require(server.port().clients() == 0);
                                  });
                                },
                            .rehearsal =
                                [&](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  leaver.emplace(*node, kClient);
                                  child.say();
                                },
                            .meanwhile = [&] { leaver.reset(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(ServerKilled, WhileItWaits) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    Answerer server(own, kServer);
    while (server.receive()) continue;
    victim.in_danger([&] { Victim::require(!server.wait(1ms)); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(ServerKilled, WhileItWaitsForRoom) {
  const auto points =
      kill({.victim =
                [](const Victim& victim) {
                  const Node own("victim");
                  Answerer server(own, kServer);
                  victim.line().say();
                  auto request = server.wait(10s);
                  Victim::require(request && server.respond(request) && server.respond(request));
                  victim.in_danger([&] { Victim::require(!request.loan_for(1ms)); });
                },
            .rehearsal =
                [this](const ChildProcess& child) {
                  ASSERT_TRUE(child.hear());
                  ask();
                }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

// The witness was there as well, and is to find it whatever becomes of the victim.
TEST_P(ServerKilled, WhileItFindsWhatAClientLeft) {
  begin_with_witness();
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Answerer> server(std::in_place, own, kServer);
                                  while (server->receive()) continue;
                                  victim.in_danger([&] {
                                    auto first = server->receive();
                                    auto second = server->receive();
                                    Victim::require(first && second && server->is_content());
                                    first.reset();
                                    second.reset();
                                    Victim::require(!server->receive());
                                    server.reset();
                                  });
                                },
                            .meanwhile =
                                [this] {
                                  Asker leaver(*node, kClient);
                                  ASSERT_EQ(leaver.port().servers(), 2U);
                                  ASSERT_TRUE(leaver.ask().pending && leaver.ask().pending);
                                },
                            .afterwards =
                                [this] {
                                  for (std::uint64_t value = 1; value <= 2; ++value) {
                                    auto request = witness->receive();
                                    ASSERT_TRUE(request) << "the request is lost";
                                    EXPECT_TRUE(request->is(value) && request.abandoned());
                                  }
                                  EXPECT_FALSE(witness->receive());
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 10U : 20U);
}

TEST_P(ServerKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Answerer> server(std::in_place, own, kServer);
                                  while (server->receive()) continue;
                                  victim.in_danger([&] { server.reset(); });
                                },
                            .meanwhile = [this] { ask(); }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

TEST_P(ServerKilled, WhileItsLastRequestEndsAfterIt) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  std::optional<Answerer> server(std::in_place, own, kServer);
                                  victim.line().say();
                                  auto request = server->wait(10s);
                                  Victim::require(bool(request));
                                  victim.in_danger([&] {
                                    server.reset();
                                    Victim::require(bool(request.respond(*request)));
                                    request.reset();
                                  });
                                },
                            .rehearsal =
                                [this](const ChildProcess& child) {
                                  ASSERT_TRUE(child.hear());
                                  ask();
                                },
                            .afterwards =
                                [this] {
                                  while (question->pending.receive()) continue;
                                  go_on();
                                }});
  EXPECT_GE(points, at_writes() ? 4U : 10U);
}

}  // namespace
}  // namespace sluice
