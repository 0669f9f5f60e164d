// SPDX-License-Identifier: Apache-2.0
//
// A client or a server that writes nonsense into its own file is given up, in words that say why;
// it wastes what it holds, and others go on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <random>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/queue/tagged_entry.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;
using Number = std::uint64_t;

constexpr std::uint32_t kPending = 2;
constexpr std::uint32_t kBorrowed = 2;
constexpr std::uint32_t kDepth = 4;
constexpr ClientOptions kClient{.max_pending = kPending, .max_borrowed = kBorrowed};
constexpr ServerOptions kServer{.max_requests = 4, .max_loans = 2, .depth = kDepth};
constexpr ClientRow kClientRow{.max_pending = kPending, .max_borrowed = kBorrowed};
constexpr ServerRow kServerRow{.slots = kClientRow.slots(), .depth = kDepth};

/// The words of a port's file, as its owner may change them at any time.
class PortFile {
 public:
  PortFile(const TemporaryRoot& root, const std::string& name) {
    for (const std::string& file : root.files()) {
      if (!file.ends_with("/" + name)) continue;
      fd_ = ::open((root.path() + "/" + file).c_str(), O_RDWR | O_CLOEXEC);
    }
    EXPECT_GE(fd_, 0) << name;
  }
  ~PortFile() { ::close(fd_); }
  PortFile(const PortFile&) = delete;
  PortFile& operator=(const PortFile&) = delete;

  [[nodiscard]] std::uint64_t word(std::uint64_t offset) const {
    std::uint64_t value = 0;
    EXPECT_EQ(::pread(fd_, &value, sizeof value, static_cast<off_t>(offset)), 8);
    return value;
  }
  void set(std::uint64_t offset, std::uint64_t value) const {
    EXPECT_EQ(::pwrite(fd_, &value, sizeof value, static_cast<off_t>(offset)), 8);
  }
  /// Offset of the row for the peer on `seat`.
  [[nodiscard]] std::uint64_t row(std::uint32_t seat) const {
    const std::uint64_t row = word(offsetof(ClientFile, rows) + 8 * seat);
    EXPECT_NE(row, 0U) << "not connected";
    return row;
  }
  [[nodiscard]] std::uint64_t bytes() const {
    return static_cast<std::uint64_t>(::lseek(fd_, 0, SEEK_END));
  }

 private:
  int fd_ = -1;
};

/// Server 0 is honest, server 1 writes nonsense.
struct RefusalOfServers : testing::Test {
  RefusalOfServers() {
    EXPECT_EQ(client.servers(), 2U);
    EXPECT_EQ(honest.clients(), 1U);
    EXPECT_EQ(liar.clients(), 1U);
    EXPECT_EQ(client.servers(), 2U);
    file.emplace(root, "server.1");
    row = file->row(0);
  }

  /// The honest server answers what it has, and the client gets that, whatever the other one does.
  void go_on(Pending<Number>& pending) {
    while (auto request = honest.receive()) EXPECT_TRUE(request.respond(*request + 1));
    const auto response = pending.receive();
    ASSERT_TRUE(response) << client.last_failure().message;
    EXPECT_EQ(response.publisher(), honest.id());
    EXPECT_EQ(*response, 8U);
  }
  /// The client has given up the liar, and says why.
  void expect_given_up(Pending<Number>& pending, const std::string& why) {
    EXPECT_EQ(pending.receive().error(), Errc::corrupted);
    EXPECT_NE(client.last_failure().message.find("server.1 " + why), std::string::npos)
        << client.last_failure().message;
    EXPECT_EQ(client.servers(), 1U);
    go_on(pending);
    EXPECT_FALSE(pending.receive());
    EXPECT_TRUE(pending.finished());
    EXPECT_EQ(pending.error(), Errc::ok) << "the honest one ended it";
  }

  TemporaryRoot root;
  Node node{"test"};
  Server<Number, Number> honest{node, "numbers", kServer};
  Server<Number, Number> liar{node, "numbers", kServer};
  Client<Number, Number> client{node, "numbers", kClient};
  std::optional<PortFile> file;  // the liar's
  std::uint64_t row = 0;         // for the client, in it
};

TEST_F(RefusalOfServers, WhoseLaneHoldsWhatCannotBe) {
  auto pending = client.send(7);
  file->set(row + kServerRow.lane_offset(1), 0x1234567812345678);
  file->set(row + kServerRow.lane_offset(0), 0x1234567812345678);
  expect_given_up(pending, "has a queue of responses with an entry of an impossible position");
}

TEST_F(RefusalOfServers, WhoAnswersWithASlotThatItDoesNotHave) {
  auto pending = client.send(7);
  for (std::uint32_t i = 0; i < kPending; ++i) {
    file->set(row + kServerRow.lane_offset(i), TaggedEntry::pack(0, 100'000));
  }
  expect_given_up(pending, "hands out a slot that it does not have");
}

TEST_F(RefusalOfServers, WhoAnswersAnotherRequest) {
  auto pending = client.send(7);
  for (std::uint32_t i = 0; i < kPending; ++i) {
    file->set(row + kServerRow.lane_offset(i), TaggedEntry::pack(0, 0));
  }
  expect_given_up(pending, "answers a request that it was not sent");
}

TEST_F(RefusalOfServers, WhoEndsRequestsThatItHasNotTaken) {
  for (Number number = 1; number <= kClientRow.queue_capacity(); ++number) {
    auto pending = client.send(7);
    ASSERT_TRUE(pending) << client.last_failure().message;
    go_on(pending);
    for (std::uint32_t i = 0; i < kPending; ++i) {
      file->set(row + kServerRow.done_offset(i), number);
    }
  }
  auto pending = client.send(7);
  expect_given_up(pending, "ends requests that it has not taken");
}

TEST_F(RefusalOfServers, WhoIsAloneEndsTheRequestWithAnError) {
  Server<Number, Number>(std::move(honest));
  EXPECT_EQ(client.servers(), 1U);
  auto pending = client.send(7);
  for (std::uint32_t i = 0; i < kPending; ++i) {
    file->set(row + kServerRow.lane_offset(i), TaggedEntry::pack(0, 100'000));
  }
  EXPECT_EQ(pending.wait(10s).error(), Errc::corrupted);
  EXPECT_EQ(pending.wait(10s).error(), Errc::corrupted) << "and it stays so";
  EXPECT_EQ(pending.error(), Errc::corrupted);
  EXPECT_FALSE(pending.finished());
}

TEST_F(RefusalOfServers, WhoseRowLiesOutsideItsFile) {
  for (const std::uint64_t offset :
       {file->bytes() - 64, std::uint64_t{1} << 60, std::uint64_t{8}, ~std::uint64_t{0}}) {
    file->set(offsetof(ServerFile, rows) + 8, offset);
    Client<Number, Number> other(node, "numbers", kClient);  // its seat is 1
    auto pending = other.send(7);
    EXPECT_EQ(other.servers(), 1U);
    EXPECT_EQ(pending.receive().error(), Errc::corrupted);
    EXPECT_NE(other.last_failure().message.find("server.1 has a row outside the file"),
              std::string::npos);
    EXPECT_EQ(other.servers(), 1U);
    while (auto request = honest.receive()) EXPECT_TRUE(request.respond(*request + 1));
    EXPECT_TRUE(pending.receive());
    EXPECT_TRUE(liar.receive()) << "now nobody needs the client's file any more";
  }
}

TEST_F(RefusalOfServers, WhoseFileSaysWhatCannotBe) {
  file->set(offsetof(ServerFile, shape), 3);
  Client<Number, Number> other(node, "numbers", kClient);
  auto pending = other.send(7);
  EXPECT_EQ(pending.receive().error(), Errc::corrupted);
  EXPECT_NE(other.last_failure().message.find("server.1 has queues of 3 responses"),
            std::string::npos);
  EXPECT_EQ(other.servers(), 1U);
  EXPECT_EQ(pending.receive().error(), Errc::ok) << "it is said once";
}

/// Client 0 is honest, client 1 writes nonsense.
struct RefusalOfClients : testing::Test {
  RefusalOfClients() {
    EXPECT_EQ(server.clients(), 2U);
    file.emplace(root, "client.1");
    row = file->row(0);
  }

  void go_on() {
    for (int i = 0; i < 20; ++i) {
      auto pending = honest.send(7);
      ASSERT_TRUE(pending) << honest.last_failure().message;
      auto request = server.receive();
      while (!request && request.error() == Errc::corrupted) request = server.receive();
      ASSERT_TRUE(request) << server.last_failure().message;
      for (std::uint32_t k = 0; k < kDepth; ++k) {
        ASSERT_TRUE(request.respond(k)) << server.last_failure().message;
      }
      request.reset();
      for (std::uint32_t k = 0; k < kDepth; ++k) ASSERT_EQ(*pending.receive(), k);
    }
  }
  void expect_given_up(const std::string& why) {
    EXPECT_EQ(server.receive().error(), Errc::corrupted);
    EXPECT_NE(server.last_failure().message.find("client.1 " + why), std::string::npos)
        << server.last_failure().message;
    EXPECT_EQ(server.clients(), 1U);
    go_on();
  }

  TemporaryRoot root;
  Node node{"test"};
  Server<Number, Number> server{node, "numbers", kServer};
  Client<Number, Number> honest{node, "numbers", kClient};
  Client<Number, Number> liar{node, "numbers", kClient};
  std::optional<PortFile> file;  // the liar's
  std::uint64_t row = 0;         // for the server, in it
};

TEST_F(RefusalOfClients, WhoseQueueHoldsWhatCannotBe) {
  file->set(row + ClientRow::kRequestsOffset, 0x1234567812345678);
  expect_given_up("has a queue of requests with an entry of an impossible position");
}

TEST_F(RefusalOfClients, WhoSendsASlotThatItDoesNotHave) {
  file->set(row + ClientRow::kRequestsOffset, TaggedEntry::pack(0, kClientRow.slots()));
  expect_given_up("sends request slot 8");
}

TEST_F(RefusalOfClients, WhoSendsASlotOfASurplusThatItHasNotMade) {
  file->set(row + ClientRow::kRequestsOffset, TaggedEntry::pack(0, kPending));
  expect_given_up("hands out a slot that it does not have");
}

TEST_F(RefusalOfClients, WhoSendsARequestAgainBeforeItsEnd) {
  auto pending = liar.send(7);
  auto request = server.receive();
  ASSERT_TRUE(request);
  const std::uint64_t entry = file->word(row + ClientRow::kRequestsOffset);
  file->set(row + ClientRow::kRequestsOffset + 8, TaggedEntry::pack(1, TaggedEntry::index(entry)));
  expect_given_up("sends a request again before its end");
  EXPECT_EQ(*request, 7U) << "what was taken goes on";
  EXPECT_TRUE(request.respond(1));
  request.reset();
  EXPECT_EQ(*pending.receive(), 1U);
}

TEST_F(RefusalOfClients, WhoClaimsAndReadsWhatItDoesNotHaveWastesItsOwn) {
  auto pending = liar.send(7);
  auto request = server.receive();
  ASSERT_TRUE(request);
  for (std::uint32_t i = 0; i < kPending; ++i) {
    file->set(row + kClientRow.heads_offset() + 8 * i, 1'000'000);
  }
  for (std::uint32_t slot = 0; slot < 50; ++slot) {
    for (std::uint32_t i = 0; i < kBorrowed; ++i) {
      file->set(row + kClientRow.claims_offset() + 8 * i, slot + i);
    }
    while (request.respond(1)) continue;
    go_on();
  }
  EXPECT_EQ(request.respond(1).error(), Errc::would_block);
}

TEST_F(RefusalOfClients, WhoseFileSaysWhatCannotBe) {
  for (const std::uint64_t limits :
       {std::uint64_t{0}, std::uint64_t{1'000'000} << 32 | 1, std::uint64_t{1} << 32 | 1'000'000}) {
    Client<Number, Number> other(node, "numbers", kClient);
    const PortFile its(root, "client.2");
    its.set(offsetof(ClientFile, shape), limits);
    EXPECT_EQ(server.receive().error(), Errc::corrupted);
    EXPECT_NE(server.last_failure().message.find("client.2 has"), std::string::npos);
    EXPECT_EQ(server.receive().error(), Errc::ok) << "it is said once";
    go_on();
  }
}

TEST_F(RefusalOfClients, WhoseRowLiesOutsideItsFile) {
  for (const std::uint64_t offset : {std::uint64_t{1} << 60, std::uint64_t{8}, ~std::uint64_t{0}}) {
    Client<Number, Number> other(node, "numbers", kClient);
    const PortFile its(root, "client.2");
    its.set(offsetof(ClientFile, rows), offset);
    EXPECT_EQ(server.receive().error(), Errc::corrupted);
    EXPECT_NE(server.last_failure().message.find("client.2 has a row outside the file"),
              std::string::npos);
    go_on();
  }
}

/// Overwrites words of `file` from `begin` up to `end` at random, with numbers that may mean
/// something.
void scribble(const PortFile& file, std::uint64_t begin, std::uint64_t end, std::mt19937& random) {
  for (int i = 0; i < 8; ++i) {
    const std::uint64_t offset = begin + random() % ((end - begin) / 8) * 8;
    const std::uint64_t small = random() % 8;
    const std::uint64_t value = random() % 4 == 0   ? random()
                                : random() % 2 == 0 ? small
                                                    : TaggedEntry::pack(random() % 8, random() % 8);
    file.set(offset, value);
  }
}

/// A process that is connected, and does nothing more; its file is the parent's to write.
template <typename Port, typename Options>
ChildProcess idle_peer(const Options& options) {
  return ChildProcess([options](const ChildProcess::Line& line) -> int {
    Node own("liar");
    Port port(own, "numbers", options);
    line.say();
    line.hear();
    if constexpr (std::is_same_v<Port, Server<Number, Number>>) {
      (void)port.clients();
    } else {
      (void)port.servers();
    }
    line.say();
    line.hear();
    ::_exit(0);
  });
}

TEST(RefusalOfScribbles, OfAServerHarmNobodyElse) {
  TemporaryRoot root;
  Node node("test");
  Server<Number, Number> honest(node, "numbers", kServer);
  std::mt19937 random(5);  // NOLINT: the same on every run
  for (int round = 0; round < 60; ++round) {
    Client<Number, Number> client(node, "numbers", kClient);
    auto child = idle_peer<Server<Number, Number>>(kServer);
    ASSERT_TRUE(child.hear());
    ASSERT_EQ(client.servers(), 2U);
    child.say();
    ASSERT_TRUE(child.hear());
    const PortFile file(root, "server.1");
    const std::uint64_t row = file.row(0);
    for (int i = 0; i < 20; ++i) {
      auto pending = client.send(7);
      if (!pending) break;  // the liar has all of them
      scribble(file, row + 64, row + kServerRow.bytes(), random);
      scribble(file, sizeof(FileHeader), sizeof(ServerFile), random);
      scribble(file, sizeof(ServerFile), file.bytes(), random);
      while (auto request = honest.receive()) EXPECT_TRUE(request.respond(*request + 1));
      bool is_answered = false;
      for (int tries = 0; tries < 20; ++tries) {
        const auto response = pending.receive();
        is_answered |= response && response.publisher() == honest.id() && *response == 8;
      }
      EXPECT_TRUE(is_answered);
    }
    child.kill();
    EXPECT_EQ(client.servers(), 1U);
    for (int i = 0; i < 10; ++i) {
      auto pending = client.send(7);
      ASSERT_TRUE(pending) << "all come back when it is dead: " << client.last_failure().message;
      while (auto request = honest.receive()) EXPECT_TRUE(request.respond(*request + 1));
      while (const auto response = pending.receive()) EXPECT_EQ(*response, 8U);
    }
  }
}

TEST(RefusalOfScribbles, OfAClientHarmNobodyElse) {
  TemporaryRoot root;
  Node node("test");
  Client<Number, Number> honest(node, "numbers", kClient);
  std::mt19937 random(6);  // NOLINT: the same on every run
  for (int round = 0; round < 60; ++round) {
    Server<Number, Number> server(node, "numbers", kServer);
    ASSERT_EQ(honest.servers(), 1U);
    auto child = idle_peer<Client<Number, Number>>(kClient);
    ASSERT_TRUE(child.hear());
    ASSERT_EQ(server.clients(), 2U);
    child.say();
    ASSERT_TRUE(child.hear());
    const PortFile file(root, "client.1");
    const std::uint64_t row = file.row(0);
    std::vector<Request<Number, Number>> held;  // of the liar
    for (int i = 0; i < 20; ++i) {
      auto pending = honest.send(7);
      ASSERT_TRUE(pending) << honest.last_failure().message;
      scribble(file, row + 64, row + kClientRow.bytes(), random);
      scribble(file, sizeof(FileHeader), sizeof(ClientFile), random);
      scribble(file, sizeof(ClientFile), file.bytes(), random);
      for (int tries = 0; tries < 20; ++tries) {
        auto request = server.receive();
        if (!request) continue;
        for (std::uint32_t k = 0; k < kDepth && request.respond(8); ++k) continue;
        if (*request != 7 && held.size() < 2) held.push_back(std::move(request));
      }
      const auto response = pending.receive();
      ASSERT_TRUE(response);
      ASSERT_EQ(*response, 8U);
    }
    child.kill();
    held.clear();
    EXPECT_EQ(server.clients(), 1U);
  }
}

}  // namespace
}  // namespace sluice
