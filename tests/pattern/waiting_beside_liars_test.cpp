// SPDX-License-Identifier: Apache-2.0
//
// Whatever words a peer writes, who waits beside it sleeps: what makes a wait look again is what a
// take would find. Each liar here says that there is something, and has nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/pattern/work_queue/layout.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Number = std::uint64_t;

std::chrono::microseconds used_by_this_thread() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/// `wait(time)` waits for the whole time, and sleeps meanwhile. Errors come first: a peer is given
/// up once.
void expect_to_sleep(const std::function<Errc(std::chrono::milliseconds)>& wait) {
  constexpr std::chrono::milliseconds kTime{1000};
  while (true) {
    const auto begin = Clock::now();
    const auto used_before = used_by_this_thread();
    if (wait(kTime) == Errc::corrupted) continue;
    EXPECT_GE(Clock::now() - begin, kTime);
    EXPECT_LT(used_by_this_thread() - used_before, kTime / 10);
    return;
  }
}

struct Liars : testing::Test {
  /// Writes a word into the only file that ends in `name`, as one does who may write it.
  void set(const std::string& name, std::uint64_t offset, std::uint64_t value) {
    for (const std::string& file : root.files()) {
      if (!file.ends_with("/" + name)) continue;
      const int fd = ::open((root.path() + "/" + file).c_str(), O_RDWR | O_CLOEXEC);
      EXPECT_EQ(::pwrite(fd, &value, sizeof value, static_cast<off_t>(offset)), 8) << name;
      ::close(fd);
      return;
    }
    ADD_FAILURE() << "no " << name;
  }
  std::uint64_t word(const std::string& name, std::uint64_t offset) {
    std::uint64_t value = 0;
    for (const std::string& file : root.files()) {
      if (!file.ends_with("/" + name)) continue;
      const int fd = ::open((root.path() + "/" + file).c_str(), O_RDONLY | O_CLOEXEC);
      EXPECT_EQ(::pread(fd, &value, sizeof value, static_cast<off_t>(offset)), 8) << name;
      ::close(fd);
    }
    return value;
  }

  TemporaryRoot root;
  Node node{"test"};
};

struct LyingPublishers : Liars {
  /// One more sample than there is.
  void lie() {
    constexpr auto kHead = offsetof(PublisherFile, words) + offsetof(BroadcastHead, head);
    set("publisher.1", kHead, word("publisher.1", kHead) + 1);
  }

  Publisher<Number> honest{node, "values"};
  Publisher<Number> liar{node, "values"};
};

TEST_F(LyingPublishers, ASubscriberSleeps) {
  Subscriber<Number> subscriber(node, "values");
  liar.publish(1);
  EXPECT_EQ(*subscriber.receive(), 1U);
  lie();
  expect_to_sleep([&](auto time) { return subscriber.wait(time).error(); });
  honest.publish(2);
  EXPECT_EQ(*subscriber.wait(10s), 2U);
  liar.publish(3);
  EXPECT_EQ(*subscriber.wait(10s), 3U) << "where it says the truth it is heard";
}

TEST_F(LyingPublishers, ASubscriberInAWaitSetSleeps) {
  Subscriber<Number> subscriber(node, "values");
  EXPECT_EQ(subscriber.publishers(), 2U);
  lie();
  WaitSet set;
  int calls = 0;
  set.attach(subscriber, [&] {
    ++calls;
    EXPECT_FALSE(subscriber.receive());
  });
  expect_to_sleep([&](auto time) { return set.wait(time) == 0 ? Errc::timed_out : Errc::ok; });
  EXPECT_EQ(calls, 0);
}

TEST_F(LyingPublishers, WhoWantsTheLatestSleeps) {
  Reader<Number> reader(node, "values");
  lie();
  expect_to_sleep([&](auto time) { return reader.wait(time).error(); });
  EXPECT_FALSE(reader.updated());
}

TEST_F(LyingPublishers, OneThatIsGoneIsForgotten) {
  Subscriber<Number> subscriber(node, "values");
  EXPECT_EQ(subscriber.publishers(), 2U);
  lie();
  { const Publisher<Number> ends = std::move(liar); }
  expect_to_sleep([&](auto time) { return subscriber.wait(time).error(); });
  EXPECT_EQ(subscriber.publishers(), 1U);
}

TEST_F(Liars, APublisherThatWaitsForRoomSleeps) {
  Publisher<Number> publisher(node, "values", {.depth = 2, .delivery = Delivery::lossless});
  Subscriber<Number> subscriber(node, "values", {.max_borrowed = 1});
  EXPECT_EQ(publisher.subscribers(), 1U);
  constexpr auto kCursor = SubscriberFile::kRowsOffset + offsetof(BroadcastRow, cursor);
  for (const std::uint64_t cursor : {UINT64_MAX, UINT64_MAX - 1, std::uint64_t{0}}) {
    set("subscriber.0", kCursor, cursor);
    while (publisher.publish(1)) {
    }
    expect_to_sleep([&](auto time) { return publisher.loan_for(time).error(); });
  }
}

struct LyingExchanges : Liars {
  /// Offset of the row for the only peer.
  std::uint64_t row_in(const std::string& name) {
    const std::uint64_t row = word(name, offsetof(ClientFile, rows));
    EXPECT_NE(row, 0U);
    return row;
  }

  Server<Number, Number> server{node, "numbers"};
  Client<Number, Number> client{node, "numbers"};
};

TEST_F(LyingExchanges, AServerSleeps) {
  EXPECT_EQ(client.servers(), 1U);
  EXPECT_EQ(server.clients(), 1U);
  set("client.0", row_in("client.0") + ClientRow::kRequestsOffset, 0x1234567812345678);
  expect_to_sleep([&](auto time) { return server.wait(time).error(); });
}

TEST_F(LyingExchanges, WhoWaitsForAResponseSleeps) {
  EXPECT_EQ(client.servers(), 1U);
  EXPECT_EQ(server.clients(), 1U);
  EXPECT_EQ(client.servers(), 1U);
  auto pending = client.send(1);
  const ServerRow row{.slots = 1, .depth = ServerOptions{}.depth};
  for (std::uint64_t slot = 0; slot < ClientOptions{}.max_pending; ++slot) {
    set("server.0", row_in("server.0") + row.lane_offset(slot), 0x1234567812345678);
  }
  // Then it is answered by nobody.
  const auto begin = used_by_this_thread();
  EXPECT_EQ(pending.wait(1s).error(), Errc::corrupted);
  EXPECT_LT(used_by_this_thread() - begin, 500ms);
}

struct LyingQueues : Liars {
  void set_queue(std::uint64_t offset, std::uint64_t value) {
    set("work_queue", WorkQueueFile::kWordsOffset + offset, value);
  }

  Producer<Number> producer{node, "jobs", {.depth = 4}};
  Worker<Number> worker{node, "jobs"};
};

TEST_F(LyingQueues, AWorkerSleeps) {
  for (const std::uint64_t offset :
       {offsetof(WorkEnds, tail), offsetof(WorkEnds, head), offsetof(WorkEnds, returned)}) {
    set_queue(offset, 0x1234567812345678);
  }
  expect_to_sleep([&](auto time) { return worker.wait(time).error(); });
}

TEST_F(LyingQueues, AProducerThatWaitsForRoomSleeps) {
  for (std::uint64_t cell = 0; cell < 4; ++cell) {
    set_queue(sizeof(WorkEnds) + 8 * cell, 0x1234567812345678);
  }
  expect_to_sleep([&](auto time) { return producer.push_for(time, 1).error(); });
}

}  // namespace
}  // namespace sluice
