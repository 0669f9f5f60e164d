// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <sluice/containers.hpp>
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

constexpr const char* kLong = "a text that is too long to be stored anywhere but in the heap";

struct Point {
  float x, y, z;
};

struct Query {
  explicit Query(Allocator<> a) : frame{a}, points{a}, filters{a} {}
  Query(const char* name, Allocator<> a) : frame{name, a}, points{a}, filters{a} {}

  String frame;
  Vector<Point> points;
  Map<String, Vector<std::int32_t>> filters;
};

struct Track {
  explicit Track(Allocator<> a) : name{a}, ids{a} {}

  String name;
  Vector<std::uint64_t> ids;
};

struct Answer {
  explicit Answer(Allocator<> a) : tracks{a} {}

  Vector<Track> tracks;
};

/// Counts its destructions, in the private memory of the process that destroys it.
struct Counted {
  explicit Counted(Allocator<> a) : bytes{a} {}
  ~Counted() { ++destroyed; }

  Vector<char> bytes;
  static inline int destroyed = 0;
};

/// Its words: allocator, data, size, capacity.
template <typename T>
std::uint64_t* words_of(const Vector<T>& vector) {
  return reinterpret_cast<std::uint64_t*>(const_cast<Vector<T>*>(&vector));
}
/// Lets the data of a container lead outside its owner's file, and back.
template <typename T>
void bend(const Vector<T>& vector) {
  words_of(vector)[1] ^= std::uint64_t{1} << 40;
}

/// Answers with a track for each filter and the points in between.
void answer(Request<Query, Answer>& request) {
  auto loan = request.loan();
  ASSERT_TRUE(loan) << static_cast<int>(loan.error());
  for (const auto& [name, ids] : request->filters) {
    Track& track = loan->tracks.emplace_back();
    track.name = name.view();
    track.ids.assign(ids.begin(), ids.end());
    track.ids.resize(ids.size() + request->points.size(), 7);
  }
  request.respond(std::move(loan));
}

struct RequestsWithContainers : testing::Test {
  ~RequestsWithContainers() override {
    node.reset();
    EXPECT_EQ(root.entries(), std::vector<std::string>());
  }

  TemporaryRoot root;
  std::optional<Node> node{std::in_place, "test"};
};

TEST_F(RequestsWithContainers, AreBuiltInPlaceAndReadInPlaceAsResponsesAre) {
  Client<Query, Answer> client(*node, "tracks");
  Server<Query, Answer> server(*node, "tracks");
  auto loan = client.loan(kLong);
  ASSERT_TRUE(loan) << client.last_failure().message;
  loan->points.resize(1000);
  loan->points.back() = {1, 2, 3};
  loan->filters["near"].assign({1, 2});
  loan->filters[kLong].push_back(3);
  auto pending = client.send(std::move(loan));
  {
    auto request = server.wait(10s);
    ASSERT_TRUE(request) << server.last_failure().message;
    EXPECT_EQ(request->frame, kLong);
    ASSERT_EQ(request->points.size(), 1000U);
    EXPECT_EQ(request->points.back().z, 3);
    answer(request);
    answer(request);
  }
  for (int i = 0; i < 2; ++i) {
    const auto response = pending.wait(10s);
    ASSERT_TRUE(response) << client.last_failure().message;
    ASSERT_EQ(response->tracks.size(), 2U);
    EXPECT_EQ(response->tracks[0].name, kLong);
    EXPECT_EQ(response->tracks[1].ids[1], 2U);
    EXPECT_EQ(response->tracks[1].ids.size(), 1002U);
  }
  EXPECT_FALSE(pending.wait(10s));
  EXPECT_TRUE(pending.finished());
}

TEST_F(RequestsWithContainers, GoBetweenProcessesWhileBothFilesGrow) {
  constexpr std::size_t kLast = 18;
  ChildProcess child([](const ChildProcess::Line& line) {
    const Node own("child");
    Server<Query, Answer> server(own, "tracks");
    line.say();
    for (std::size_t i = 0; i < kLast; ++i) {
      auto request = server.wait(10s);
      if (!request || request->frame != std::to_string(i)) return 1;
      if (request->points.size() != std::size_t{1} << i) return 2;
      if (request->points.back().x != static_cast<float>(i)) return 3;
      answer(request);
    }
    return 0;
  });
  ASSERT_TRUE(child.hear());
  Client<Query, Answer> client(*node, "tracks");
  for (std::size_t i = 0; i < kLast; ++i) {
    auto loan = client.loan(std::to_string(i).c_str());
    ASSERT_TRUE(loan) << client.last_failure().message;
    loan->points.resize(std::size_t{1} << i);
    loan->points.back().x = static_cast<float>(i);
    loan->filters[kLong].push_back(5);
    const auto response = client.call(std::move(loan), 10s);
    ASSERT_TRUE(response) << client.last_failure().message;
    ASSERT_EQ(response->tracks.size(), 1U);
    EXPECT_EQ(response->tracks[0].name, kLong);
    ASSERT_EQ(response->tracks[0].ids.size(), 1 + (std::size_t{1} << i));
    EXPECT_EQ(response->tracks[0].ids.back(), 7U);
  }
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(RequestsWithContainers, GoWithPlainResponsesAndSlicesAndTheOtherWayRound) {
  Client<Query, int> client(*node, "count");
  Server<Query, int> server(*node, "count");
  auto pending = client.send(client.loan("front"));
  server.wait(10s).respond(5);
  EXPECT_EQ(*pending.wait(10s), 5);

  Client<char[], Answer> words(*node, "words");
  Server<char[], Answer> split(*node, "words");
  auto spoken = words.send(std::string("text"));
  {
    auto request = split.wait(10s);
    ASSERT_EQ(request.size(), 4U);
    auto loan = request.loan_for(10s);
    ASSERT_TRUE(loan);
    loan->tracks.emplace_back().name = "text";
    request.respond(std::move(loan));
  }
  EXPECT_EQ(spoken.wait(10s)->tracks[0].name, "text");
}

TEST_F(RequestsWithContainers, OfChangingSizesNeedNoMoreThanTheHeapBytes) {
  constexpr std::uint64_t kHeap = std::uint64_t{64} << 10;
  constexpr std::size_t kMost = kHeap / 3;
  Client<Counted, Counted> client(*node, "bytes", {.heap_bytes = kHeap});
  Server<Counted, Counted> server(*node, "bytes", {.heap_bytes = kHeap});
  for (std::size_t i = 0; i < 100'000; ++i) {
    const std::size_t size = i * 7919 % kMost;
    auto loan = client.loan();
    ASSERT_TRUE(loan) << client.last_failure().message;
    loan->bytes.resize_for_overwrite(size);
    auto pending = client.send(std::move(loan));
    {
      auto request = server.receive();
      ASSERT_TRUE(request) << server.last_failure().message;
      ASSERT_EQ(request->bytes.size(), size);
      auto response = request.loan();
      ASSERT_TRUE(response) << server.last_failure().message;
      response->bytes.resize_for_overwrite(kMost - size);
      request.respond(std::move(response));
    }
    const auto response = pending.receive();
    ASSERT_TRUE(response) << client.last_failure().message;
    ASSERT_EQ(response->bytes.size(), kMost - size);
  }
}

TEST_F(RequestsWithContainers, AreDestroyedOnceEachWhenTheirSlotIsUsedAgain) {
  constexpr ClientOptions kFew{.max_pending = 2, .max_borrowed = 1};
  Client<Counted, Counted> client(*node, "counted", kFew);
  Server<Counted, Counted> server(*node, "counted", {.max_loans = 1, .depth = 1});
  const int specimens = Counted::destroyed;
  for (int i = 0; i < 100; ++i) {
    auto pending = client.send(client.loan());
    {
      auto request = server.receive();
      ASSERT_TRUE(request);
      request.respond(request.loan());
    }
    ASSERT_TRUE(pending.receive());
    { const auto dropped = client.loan(); }
  }
  // 300 were built; no more of them are there than there are slots.
  EXPECT_LT(Counted::destroyed - specimens, 300);
  EXPECT_GT(Counted::destroyed - specimens, 285);
}

TEST_F(RequestsWithContainers, OfASlotThatIsNotNeededNowHoldNothing) {
#if !defined(__cpp_exceptions)
  GTEST_SKIP() << "a container that cannot grow would end the test";
#endif
  constexpr std::uint64_t kHeap = std::uint64_t{1} << 20;
  constexpr ClientOptions kOne{.max_pending = 1, .heap_bytes = kHeap};
  Client<Counted, int> client(*node, "counted", kOne);
  Server<Counted, int> server(*node, "counted");
  Server<Counted, int> slow(*node, "counted");
  const auto send = [&] {
    auto loan = client.loan();
    EXPECT_TRUE(loan) << client.last_failure().message;
    loan->bytes.resize(kHeap * 3 / 10);
    return client.send(std::move(loan));
  };
  // One server keeps what the client has dropped, so that it takes another slot.
  auto pending = send();
  ASSERT_TRUE(server.wait(10s).respond(1));
  auto kept = slow.wait(10s);
  ASSERT_TRUE(kept);
  pending.reset();
  pending = send();
  ASSERT_TRUE(server.wait(10s).respond(1));
  pending.reset();
  kept.reset();
  while (slow.receive()) {
  }
  // Two slots with a request each are over, and one of them is enough.
  pending = client.send(client.loan());
  pending.reset();
  while (slow.receive() || server.receive()) {
  }
  auto loan = client.loan();
  ASSERT_TRUE(loan) << client.last_failure().message;
  loan->bytes.resize(kHeap * 9 / 10);
}

#if defined(__cpp_exceptions)
TEST_F(RequestsWithContainers, RunningOutSaysWhatWasNeededAndWhatThereIs) {
  constexpr std::uint64_t kHeap = std::uint64_t{1} << 20;
  Client<Query, Answer> client(*node, "tracks", {.heap_bytes = kHeap});
  Server<Query, Answer> server(*node, "tracks", {.heap_bytes = kHeap});
  auto loan = client.loan("front");
  ASSERT_TRUE(loan);
  try {
    loan->points.resize(kHeap / sizeof(Point) + 1);
    FAIL() << "there is no room for it";
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::no_address_space);
    EXPECT_NE(std::string(error.what()).find("raise heap_bytes"), std::string::npos)
        << error.what();
  }
  loan->points.resize(10);
  auto pending = client.send(std::move(loan));
  auto request = server.wait(10s);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->points.size(), 10U) << "it goes on";
  auto response = request.loan();
  ASSERT_TRUE(response);
  EXPECT_THROW(response->tracks.resize(kHeap), Error);
  response->tracks.resize(10);
  request.respond(std::move(response));
  EXPECT_EQ(pending.wait(10s)->tracks.size(), 10U);
}
#endif

#if defined(__cpp_exceptions)
TEST_F(RequestsWithContainers, MakeRoomOnThePortsThreadAlone) {
  constexpr std::uint64_t kHeap = std::uint64_t{1} << 20;
  Client<Counted, int> client(*node, "counted", {.heap_bytes = kHeap});
  Server<Counted, int> server(*node, "counted");
  auto loan = client.loan();
  loan->bytes.resize(kHeap * 6 / 10);
  client.send(std::move(loan)).reset();
  ASSERT_TRUE(server.wait(10s));
  ASSERT_EQ(client.servers(), 1U);
  loan = client.loan();
  ASSERT_TRUE(loan);
  std::thread([&] { EXPECT_THROW(loan->bytes.resize(kHeap * 6 / 10), Error); }).join();
  EXPECT_NO_THROW(loan->bytes.resize(kHeap * 6 / 10)) << "the first one is over";
}
#endif

TEST_F(RequestsWithContainers, OfAClientThatIsKilledAreReadAndOthersGoOn) {
  Server<Query, Answer> server(*node, "tracks");
  Request<Query, Answer> held;
  for (const bool is_sent : {true, false}) {
    ChildProcess child([is_sent](const ChildProcess::Line& line) {
      const Node own("child");
      Client<Query, Answer> client(own, "tracks");
      auto loan = client.loan(kLong);
      loan->points.resize(3000);
      loan->filters[kLong].push_back(1);
      if (is_sent) {
        const auto pending = client.send(std::move(loan));
        line.say();
        line.hear();
        return 0;
      }
      line.say();
      for (;;) loan->points.resize(loan->points.size() % 100'000 + 1000);
    });
    ASSERT_TRUE(child.hear());
    child.kill();
    if (is_sent) held = server.wait(10s);
    Client<Query, Answer> other(*node, "tracks");
    auto loan = other.loan("other");
    loan->filters["near"].push_back(1);
    auto pending = other.send(std::move(loan));
    {
      auto request = server.wait(10s);
      ASSERT_TRUE(request) << server.last_failure().message;
      EXPECT_EQ(request->frame, "other");
      answer(request);
    }
    EXPECT_EQ(pending.wait(10s)->tracks[0].name, "near");
    ASSERT_TRUE(held);
    EXPECT_EQ(held->frame, kLong);
    EXPECT_EQ(held->points.size(), 3000U);
    EXPECT_EQ(held->filters.at(kLong)[0], 1);
  }
}

TEST_F(RequestsWithContainers, OutliveTheirPorts) {
  Loan<Query> loan;
  Loan<Answer> response;
  Request<Query, Answer> request;
  Pending<Answer> pending;
  {
    Client<Query, Answer> client(*node, "tracks");
    Server<Query, Answer> server(*node, "tracks");
    loan = client.loan(kLong);
    pending = client.send(client.loan(kLong));
    request = server.wait(10s);
    ASSERT_TRUE(request);
  }
  EXPECT_EQ(request->frame, kLong);
  loan->points.resize(2000);
  response = request.loan();
  ASSERT_TRUE(response);
  response->tracks.resize(100);
  request.respond(std::move(response));
  EXPECT_EQ(pending.wait(10s)->tracks.size(), 100U);
}

TEST_F(RequestsWithContainers, ThatLeadOutsideTheClientsFileAreRefusedBeforeTheyAreSeen) {
  Client<Query, Answer> client(*node, "tracks");
  Server<Query, Answer> server(*node, "tracks");
  auto loan = client.loan();
  ASSERT_TRUE(loan);
  loan->points.resize(4);
  const Vector<Point>& points = loan->points;
  bend(points);
  const auto pending = client.send(std::move(loan));
  EXPECT_EQ(server.receive().error(), Errc::corrupted);
  EXPECT_NE(server.last_failure().message.find("container"), std::string::npos)
      << server.last_failure().message;
  bend(points);  // so that its client can destroy it
}

TEST_F(RequestsWithContainers, AreNotAnsweredByAResponseThatLeadsOutsideTheServersFile) {
  Client<Query, Answer> client(*node, "tracks");
  Server<Query, Answer> server(*node, "tracks");
  auto pending = client.send(client.loan());
  auto request = server.receive();
  ASSERT_TRUE(request);
  auto loan = request.loan();
  loan->tracks.emplace_back().ids.resize(4);
  const Vector<std::uint64_t>& nested = loan->tracks[0].ids;
  bend(nested);
  request.respond(std::move(loan));
  EXPECT_EQ(pending.receive().error(), Errc::corrupted);
  EXPECT_EQ(pending.error(), Errc::corrupted);
  EXPECT_NE(client.last_failure().message.find("container"), std::string::npos)
      << client.last_failure().message;
  bend(nested);
}

TEST_F(RequestsWithContainers, OfOtherClassesAreRefused) {
  const Client<Query, Answer> client(*node, "tracks");
  const auto other_request = Server<Answer, Answer>::create(*node, "tracks");
  EXPECT_EQ(other_request.error(), Errc::type_mismatch);
  EXPECT_NE(other_request.failure().message.find("Query"), std::string::npos)
      << other_request.failure().message;
  const auto other_response = Server<Query, Counted>::create(*node, "tracks");
  EXPECT_EQ(other_response.error(), Errc::type_mismatch);
  EXPECT_NE(other_response.failure().message.find("Answer"), std::string::npos)
      << other_response.failure().message;
}

}  // namespace
}  // namespace sluice
