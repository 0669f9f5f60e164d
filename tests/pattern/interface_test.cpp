// SPDX-License-Identifier: Apache-2.0
//
// What users type, as the documents show it: programs of all patterns, side by side in one process.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <sluice/containers.hpp>
#include <sluice/memory/segment.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <vector>

// No `using namespace sluice`: names as in a user's program, a `Job` of its own among them.
namespace {

using namespace std::chrono_literals;

struct Pose {
  double x, y, heading;
};
struct Point {
  float x, y, z;
};
struct Cloud {
  explicit Cloud(sluice::Allocator<> a) : frame{a}, points{a} {}
  sluice::String frame;
  sluice::Vector<Point> points;
};
struct Add {
  std::int64_t a, b;
};
struct Sum {
  std::int64_t value;
};
struct State {
  int battery_percent;
};
struct Job {
  int number;
};
struct Cell {
  std::uint8_t occupied;
};
struct Grid {
  int width, height;
};

struct Interface : testing::Test {
  sluice::TemporaryRoot root;
  sluice::Node node{"interface"};
};

TEST_F(Interface, PublishAndSubscribe) {
  sluice::Publisher<Pose> publisher{node, "robot/pose", {.history = 1, .depth = 16}};
  sluice::Subscriber<Pose> subscriber{node, "robot/pose", {.depth = 8, .max_borrowed = 4}};
  if (auto pose = publisher.loan()) {
    pose->x = 1.0;
    publisher.publish(std::move(pose));
  }
  publisher.publish(Pose{1, 2, 3});
  EXPECT_EQ(publisher.subscribers(), 1U);

  int received = 0;
  while (auto pose = subscriber.receive()) {
    EXPECT_EQ(pose->x, 1.0);
    EXPECT_EQ(pose.sequence(), static_cast<std::uint64_t>(received++));
    EXPECT_EQ(pose.publisher(), publisher.id());
  }
  EXPECT_EQ(received, 2);
  auto pose = subscriber.wait(1ms);
  EXPECT_EQ(pose.error(), sluice::Errc::timed_out);
  publisher.publish(Pose{4, 5, 6});
  publisher.publish(Pose{7, 8, 9});
  auto newest = subscriber.latest();
  EXPECT_EQ(newest->x, 7);
  EXPECT_EQ(subscriber.lost(), 0U);
  EXPECT_EQ(subscriber.publishers(), 1U);
}

TEST_F(Interface, SlicesAndContainers) {
  sluice::Publisher<float[]> ranges{node, "scan/ranges"};
  sluice::Subscriber<float[]> in{node, "scan/ranges"};
  auto loan = ranges.loan(361);
  EXPECT_EQ(loan.size(), 361U);
  EXPECT_EQ(loan.span().size(), 361U);
  loan[360] = 1.5F;
  ranges.publish(std::move(loan));
  const sluice::Sample<float[]> scan = in.receive();
  EXPECT_EQ(scan[360], 1.5F);
  EXPECT_EQ(scan.end() - scan.begin(), 361);

  sluice::Publisher<Cloud> clouds{node, "cloud", {.heap_bytes = std::size_t{1} << 30}};
  sluice::Subscriber<Cloud> viewer{node, "cloud"};
  auto cloud = clouds.loan();
  cloud->frame = "lidar_front";
  cloud->points.resize(30'000);
  clouds.publish(std::move(cloud));
  EXPECT_EQ(viewer.receive()->points.size(), 30'000U);
}

TEST_F(Interface, RequestAndResponse) {
  sluice::Server<Add, Sum> server{node, "add"};
  sluice::Client<Add, Sum> client{node, "add"};
  EXPECT_EQ(client.servers(), 1U);
  auto request = client.loan();
  *request = {20, 22};
  auto pending = client.send(std::move(request));
  auto copied = client.send(Add{1, 2});
  while (auto got = server.wait(10ms)) {
    auto sum = got.loan();
    sum->value = got->a + got->b;
    got.respond(std::move(sum));
    got.respond(Sum{0});
  }
  int sums = 0;
  while (auto sum = pending.wait(1s)) {
    EXPECT_EQ(sum->value, sums++ == 0 ? 42 : 0);
  }
  EXPECT_EQ(sums, 2);
  EXPECT_TRUE(pending.finished());
  EXPECT_EQ(pending.error(), sluice::Errc::ok);
  EXPECT_EQ(copied.wait(1s)->value, 3);
  auto sum = client.call(Add{20, 22}, 1ms);
  EXPECT_EQ(sum.error(), sluice::Errc::timed_out) << "nobody serves it meanwhile";
}

TEST_F(Interface, EventsLatestValueAndWorkQueue) {
  sluice::Listener listener{node, "door"};
  sluice::Notifier notifier{node, "door"};
  notifier.notify(sluice::EventId{3});
  notifier.notify(sluice::EventId{255});
  std::vector<int> ids;
  for (sluice::EventId id : listener.wait(1s)) ids.push_back(id.value);
  EXPECT_EQ(ids, (std::vector<int>{3, 255}));
  for (sluice::EventId id : listener.wait(1ms)) ids.push_back(id.value);
  EXPECT_EQ(ids.size(), 2U);

  sluice::Writer<State> writer{node, "robot/state"};
  writer.write(State{80});
  sluice::Reader<State> reader{node, "robot/state"};
  EXPECT_TRUE(reader.updated());
  auto state = reader.read();
  EXPECT_EQ(state->battery_percent, 80);
  auto value = writer.loan();
  value->battery_percent = 79;
  writer.write(std::move(value));
  EXPECT_TRUE(reader.updated());

  sluice::Producer<Job> producer{node, "jobs"};
  EXPECT_TRUE(producer.push(Job{1}));
  auto loan = producer.loan();
  loan->number = 2;
  EXPECT_TRUE(producer.push(std::move(loan)));
  sluice::Worker<Job> worker{node, "jobs"};
  int done = 0;
  while (auto job = worker.wait(10ms)) {
    EXPECT_EQ(job->number, ++done);
    EXPECT_EQ(job.attempt(), 1U);
    job.done();
  }
  EXPECT_EQ(done, 2);
}

TEST_F(Interface, WaitingForManyThings) {
  sluice::Publisher<Pose> publisher{node, "robot/pose"};
  sluice::Subscriber<Pose> subscriber{node, "robot/pose"};
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
  const int socket = sockets[0];

  sluice::WaitSet wait_set;
  int samples = 0;
  int bytes = 0;
  int ticks = 0;
  int late = 0;
  wait_set.attach(subscriber, [&] {
    while (auto pose = subscriber.receive()) ++samples;
  });
  wait_set.attach_fd(socket, [&] {
    char byte = 0;
    while (::read(socket, &byte, 1) == 1) ++bytes;
  });
  wait_set.attach_interval(1ms, [&] {
    if (++ticks == 5) wait_set.stop();
  });
  wait_set.attach_deadline(subscriber, 1ms, [&] { ++late; });
  publisher.publish(Pose{1, 2, 3});
  ASSERT_EQ(::write(sockets[1], "x", 1), 1);
  wait_set.run();
  EXPECT_EQ(samples, 1);
  EXPECT_EQ(bytes, 1);
  EXPECT_EQ(ticks, 5);
  EXPECT_GT(late, 0);
  EXPECT_GT(wait_set.wait(50ms), 0U);
  const int fd = subscriber.fd();
  EXPECT_GE(fd, 0);
  ::close(sockets[0]);
  ::close(sockets[1]);
}

TEST_F(Interface, ASegmentOfOnesOwn) {
  auto segment =
      sluice::Segment::create("maps/floor1", {.reserve_bytes = std::size_t{1} << 30}).value();
  sluice::offset_ptr<Grid> grid = segment.construct<Grid>("grid", 400, 400);
  auto cells = segment.construct_array<Cell>(160'000);
  EXPECT_TRUE(cells);
  auto other = sluice::Segment::open("maps/floor1").value();
  const Grid* seen = other.find<Grid>("grid");
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->width, 400);
  segment.destroy(grid);
}

TEST_F(Interface, WhoIsThere) {
  sluice::Publisher<Pose> publisher{node, "robot/pose"};
  sluice::Server<Add, Sum> server{node, "add"};
  std::vector<std::string> patterns;
  for (const auto& service : sluice::services()) patterns.push_back(service.pattern);
  EXPECT_EQ(patterns, (std::vector<std::string>{"request-response", "publish-subscribe"}));
  int nodes = 0;
  for (const auto& one : sluice::nodes()) nodes += one.alive ? 1 : 0;
  EXPECT_EQ(nodes, 1);
  EXPECT_EQ(node.reap(), 0U);
}

}  // namespace
