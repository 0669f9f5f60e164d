// SPDX-License-Identifier: Apache-2.0
//
// Times to wait: any duration, however long, and what a call says when the time is over.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <sluice/platform/clock.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <thread>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration;
using std::chrono::nanoseconds;
using Seconds = duration<double>;
using Clock = std::chrono::steady_clock;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

TEST(Timeout, IsTheSameTimeInNanoseconds) {
  static_assert(to_timeout(5ns) == 5ns);
  static_assert(to_timeout(100ms) == 100ms);
  static_assert(to_timeout(std::chrono::hours(24 * 365)) == 24h * 365);
  static_assert(to_timeout(Seconds(0.25)) == 250ms);
  static_assert(to_timeout(duration<float, std::milli>(1.5F)) == 1500us);
  static_assert(to_timeout(duration<std::uint8_t, std::ratio<1, 50>>(255)) == 5100ms);
  static_assert(to_timeout(duration<std::int64_t, std::pico>(1999)) == 1ns);
  // More digits than a double has.
  static_assert(to_timeout(std::chrono::microseconds(9'007'199'254'740'993)) ==
                nanoseconds(9'007'199'254'740'993'000));
  SUCCEED();
}

TEST(Timeout, IsAtMostTheLongestThereIs) {
  static_assert(to_timeout(nanoseconds::max()) == nanoseconds::max());
  static_assert(to_timeout(std::chrono::seconds::max()) == nanoseconds::max());
  static_assert(to_timeout(std::chrono::hours::max()) == nanoseconds::max());
  static_assert(to_timeout(duration<std::uint64_t>(UINT64_MAX)) == nanoseconds::max());
  static_assert(to_timeout(Seconds(1e300)) == nanoseconds::max());
  static_assert(to_timeout(Seconds(kInfinity)) == nanoseconds::max());
  static_assert(to_timeout(Seconds::max()) == nanoseconds::max());
  SUCCEED();
}

TEST(Timeout, IsNothingWhereItIsNegativeOrNoNumber) {
  static_assert(to_timeout(-1ns) == 0ns);
  static_assert(to_timeout(nanoseconds::min()) == 0ns);
  static_assert(to_timeout(std::chrono::hours::min()) == 0ns);
  static_assert(to_timeout(Seconds(-0.5)) == 0ns);
  static_assert(to_timeout(Seconds(-kInfinity)) == 0ns);
  static_assert(to_timeout(Seconds(1e-12)) == 0ns);
  EXPECT_EQ(to_timeout(Seconds(kNotANumber)), 0ns);
}

struct Timeouts : testing::Test {
  /// What `call` takes, while another thread does `meanwhile` after 30 ms.
  template <typename Call, typename Meanwhile>
  static Clock::duration time_of(Call&& call, Meanwhile&& meanwhile) {
    std::thread other([&] {
      std::this_thread::sleep_for(30ms);
      meanwhile();
    });
    const auto start = Clock::now();
    call();
    const auto took = Clock::now() - start;
    other.join();
    return took;
  }

  TemporaryRoot root;
  Node node{"test"};
};

TEST_F(Timeouts, APortWaitsForAnyDuration) {
  Publisher<int> publisher{node, "values"};
  Subscriber<int> subscriber{node, "values"};
  const auto publish = [&] { publisher.publish(1); };
  EXPECT_GE(time_of([&] { EXPECT_TRUE(subscriber.wait(std::chrono::seconds::max())); }, publish),
            25ms);
  EXPECT_GE(time_of([&] { EXPECT_TRUE(subscriber.wait(std::chrono::hours::max())); }, publish),
            25ms);
  EXPECT_GE(time_of([&] { EXPECT_TRUE(subscriber.wait(Seconds(1e300))); }, publish), 25ms);
  const auto start = Clock::now();
  EXPECT_EQ(subscriber.wait(Seconds(0.02)).error(), Errc::timed_out);
  EXPECT_GE(Clock::now() - start, 20ms);
  EXPECT_EQ(subscriber.wait(-1h).error(), Errc::timed_out);
  EXPECT_EQ(subscriber.wait(nanoseconds::min()).error(), Errc::timed_out);
  EXPECT_EQ(subscriber.wait(Seconds(-1)).error(), Errc::timed_out);
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST_F(Timeouts, EveryCallThatWaitsTakesADouble) {
  const Seconds time{0.001};
  Publisher<int> publisher{node, "values"};
  Publisher<int[]> slices{node, "slices"};
  Reader<int> reader{node, "values"};
  EXPECT_TRUE(publisher.loan_for(time));
  EXPECT_EQ(*publisher.loan_for(time, 5), 5);
  EXPECT_TRUE(slices.loan_for(time, 5));
  EXPECT_EQ(reader.wait(time).error(), Errc::timed_out);

  Client<int, int[]> client{node, "requests"};
  Server<int, int[]> server{node, "requests"};
  EXPECT_EQ(server.wait(time).error(), Errc::timed_out);
  auto pending = client.send(1);
  EXPECT_EQ(pending.wait(time).error(), Errc::timed_out);
  EXPECT_EQ(client.call(1, time).error(), Errc::timed_out);
  auto request = server.wait(time);
  ASSERT_TRUE(request);
  EXPECT_TRUE(request.loan_for(time, 3));

  Listener listener{node, "events"};
  EXPECT_TRUE(listener.wait(time).empty());

  Producer<int> producer{node, "jobs"};
  Worker<int> worker{node, "jobs"};
  EXPECT_EQ(worker.wait(time).error(), Errc::timed_out);
  EXPECT_TRUE(producer.push_for(time, 1));
  EXPECT_TRUE(producer.push_for(time, producer.loan(2)));
  EXPECT_FALSE(producer.wait_until_done(time));

  WaitSet set;
  EXPECT_EQ(set.wait(time), 0U);
  EXPECT_TRUE(set.attach_deadline(reader, time, [] {}));
  EXPECT_TRUE(set.attach_interval(time, [] {}));
  EXPECT_GT(set.wait(std::chrono::hours::max()), 0U);
  EXPECT_EQ(set.attach_interval(Seconds(-1), [] {}).error(), Errc::invalid_options);
  EXPECT_EQ(set.attach_interval(Seconds(1e-12), [] {}).error(), Errc::invalid_options);
}

TEST_F(Timeouts, TheFailureSaysHowLongNothingCame) {
  Subscriber<int> subscriber{node, "values", {.max_borrowed = 1}};
  Publisher<int> publisher{node, "values"};
  publisher.publish(1);
  {
    const auto held = subscriber.receive();
    EXPECT_EQ(subscriber.wait(1ms).error(), Errc::too_many_borrowed);
  }
  EXPECT_EQ(subscriber.wait(2ms).error(), Errc::timed_out);
  EXPECT_EQ(subscriber.last_failure().code, Errc::timed_out);
  EXPECT_EQ(subscriber.last_failure().message,
            "service 'values': no sample for 2 ms; 1 publishers are there");

  Worker<int> worker{node, "jobs", {.max_jobs = 1}};
  Producer<int> producer{node, "jobs"};
  ASSERT_TRUE(producer.push(1));
  {
    const auto held = worker.wait(1s);
    EXPECT_EQ(worker.wait(1ms).error(), Errc::too_many_borrowed);
  }
  EXPECT_EQ(worker.wait(3ms).error(), Errc::timed_out);
  EXPECT_EQ(worker.last_failure().code, Errc::timed_out);
  EXPECT_EQ(worker.last_failure().message,
            "service 'jobs': no job for 3 ms; 1 producers are there");
}

}  // namespace
}  // namespace sluice
