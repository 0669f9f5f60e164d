// SPDX-License-Identifier: Apache-2.0
//
// What is refused, in which words, and that nobody else is harmed by it.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <sluice/core/format.hpp>
#include <sluice/memory/shared_file.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/child_process.hpp>
#include <support/failure.hpp>
#include <support/sanitizers.hpp>
#include <support/system_calls.hpp>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

namespace here {
struct Pose {
  double x, y, heading;
};
}  // namespace here
namespace elsewhere {
struct Pose {
  double x;
  float y;
  double heading;
};
}  // namespace elsewhere

/// The only file below the root whose path ends in `name`.
std::string path_of(const TemporaryRoot& root, const std::string& name) {
  for (const std::string& file : root.files()) {
    if (file.ends_with(name)) return root.path() + "/" + file;
  }
  return {};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string random_bytes(std::size_t count) {
  std::mt19937 random(42);  // NOLINT: the same bytes on every run
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Refusal, AnotherTypeUnderTheSameNameNamesTheField) {
  TemporaryRoot root;
  Node node("test");
  Publisher<here::Pose> publisher(node, "pose");
  Subscriber<here::Pose> subscriber(node, "pose");
  EXPECT_TRUE(says(Subscriber<elsewhere::Pose>::create(node, "pose").failure(), Errc::type_mismatch,
                   {"service 'pose'", "here::Pose", "elsewhere::Pose", "field 'y'", "f32"}));
  struct Wider {
    double x, y, heading, speed;
  };
  EXPECT_TRUE(says(Publisher<Wider>::create(node, "pose").failure(), Errc::type_mismatch,
                   {"service 'pose'", "Wider", "speed"}));
  EXPECT_TRUE(publisher.publish(here::Pose{1, 2, 3}));
  EXPECT_EQ(subscriber.receive()->heading, 3);
}

#if defined(__cpp_exceptions)
TEST(Refusal, ConstructorsThrowWhatCreateReturns) {
  TemporaryRoot root;
  Node node("test");
  Publisher<int> publisher(node, "numbers");
  try {
    const Subscriber<double> subscriber(node, "numbers");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), Errc::type_mismatch);
    EXPECT_NE(std::string(error.what()).find("service 'numbers'"), std::string::npos);
  }
  EXPECT_THROW(Node("two\nlines"), Error);
}
#endif

TEST(Refusal, AnotherDeliveryPolicy) {
  TemporaryRoot root;
  Node node("test");
  Subscriber<int> subscriber(node, "numbers");
  Publisher<int> publisher(node, "numbers");
  EXPECT_TRUE(
      says(Publisher<int>::create(node, "numbers", {.delivery = Delivery::lossless}).failure(),
           Errc::delivery_mismatch, {"'numbers'", "Delivery::latest", "Delivery::lossless"}));
  EXPECT_TRUE(publisher.publish(1));
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST(Refusal, OptionsOutsideTheirLimits) {
  TemporaryRoot root;
  Node node("test");
  const auto publisher = [&](const PublisherOptions& options) {
    return Publisher<int>::create(node, "numbers", options).failure();
  };
  const auto subscriber = [&](const SubscriberOptions& options) {
    return Subscriber<int>::create(node, "numbers", options).failure();
  };
  EXPECT_TRUE(says(publisher({.depth = 0}), Errc::invalid_options, {"depth is 0", "1 to"}));
  EXPECT_TRUE(says(publisher({.depth = 2'000'000}), Errc::invalid_options, {"1048576"}));
  EXPECT_TRUE(says(publisher({.history = 2'000'000}), Errc::invalid_options, {"history"}));
  EXPECT_TRUE(says(publisher({.max_loans = 0}), Errc::invalid_options, {"max_loans"}));
  EXPECT_TRUE(says(publisher({.max_loans = 257}), Errc::invalid_options, {"1 to 256"}));
  EXPECT_TRUE(says(publisher({.delivery = static_cast<Delivery>(7)}), Errc::invalid_options,
                   {"delivery is 7"}));
  EXPECT_TRUE(says(subscriber({.depth = 0}), Errc::invalid_options, {"depth"}));
  EXPECT_TRUE(says(subscriber({.max_borrowed = 0}), Errc::invalid_options, {"max_borrowed"}));
  EXPECT_TRUE(says(subscriber({.max_borrowed = 257}), Errc::invalid_options, {"1 to 256"}));
}

TEST(Refusal, ServiceNamesThatAreEmptyTooLongOrOdd) {
  TemporaryRoot root;
  const Node node("test");
  const auto of_service = [&](const std::string& name) {
    return Publisher<int>::create(node, name).failure();
  };
  EXPECT_TRUE(says(of_service(""), Errc::invalid_name, {"service name is empty"}));
  EXPECT_TRUE(says(of_service(std::string(300, 'x')), Errc::invalid_name, {"300 bytes", "255"}));
  EXPECT_TRUE(says(of_service(std::string("a\0b", 3)), Errc::invalid_name, {"0x00 at position 1"}));
  EXPECT_TRUE(says(of_service("caf\xc3\xa9"), Errc::invalid_name, {"0xc3 at position 3"}));
  EXPECT_TRUE(says(of_service("with blank"), Errc::invalid_name, {"0x20"}));
  EXPECT_TRUE(Publisher<int>::create(node, std::string(255, 'x')));
  EXPECT_TRUE(Publisher<int>::create(node, "../../../tmp/x")) << "a name is no path";
  EXPECT_TRUE(says(Node::create("n", {.domain = "a/b"}).failure(), Errc::invalid_name, {"domain"}));
  EXPECT_TRUE(says(Node::create("n", {.domain = ".."}).failure(), Errc::invalid_name, {"domain"}));
}

TEST(Refusal, AFileOfAnotherLayoutVersion) {
  TemporaryRoot root;
  Node node("test");
  Node other("other");  // which has not joined the service yet
  Publisher<int> publisher(node, "numbers");
  for (const char* name : {"/service", "/board", "/publisher.0"}) {
    const std::string path = path_of(root, name);
    const auto write_version = [&](std::uint32_t version) {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(offsetof(FileHeader, layout_version)).put(static_cast<char>(version));
    };
    write_version(FileHeader::kLayoutVersion + 1);
    const auto refused = Subscriber<int>::create(other, "numbers");
    write_version(FileHeader::kLayoutVersion);
    ASSERT_FALSE(refused) << name;
    EXPECT_TRUE(
        says(refused.failure(), Errc::version_mismatch,
             {"service 'numbers'", name, format("layout {}", FileHeader::kLayoutVersion + 1),
              format("reads {}", FileHeader::kLayoutVersion)}));
  }
  Subscriber<int> subscriber(node, "numbers");
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST(Refusal, AServiceFileThatIsNone) {
  for (const std::string& content :
       {std::string(), std::string("x"), random_bytes(63), random_bytes(64), random_bytes(5000)}) {
    TemporaryRoot root;
    Node node("test");
    std::string path;
    {
      const Publisher<int> publisher(node, "numbers");
      path = path_of(root, "/service");
    }
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, content);
    EXPECT_TRUE(says(Publisher<int>::create(node, "numbers").failure(), Errc::corrupted,
                     {path, std::to_string(content.size()) + " bytes", "remove it"}));
    EXPECT_EQ(read_file(path), content) << "nothing is damaged";
    EXPECT_TRUE(Publisher<int>::create(node, "other"));
    EXPECT_TRUE(services().empty());
    std::filesystem::remove(path);
    EXPECT_TRUE(Publisher<int>::create(node, "numbers"));
  }
}

TEST(Refusal, AServiceFileThatIsTruncatedOrScribbledOn) {
  TemporaryRoot root;
  Node node("test");
  const Publisher<here::Pose> publisher(node, "pose");
  const std::string path = path_of(root, "/service");
  const std::string good = read_file(path);
  std::mt19937 random(1);  // NOLINT: the same on every run
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int i = 0; i < 4; ++i) {
      bad[sizeof(FileHeader) + random() % 200] = static_cast<char>(random());
    }
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file.write(bad.data(), static_cast<std::streamsize>(bad.size()));
    }
    const auto refused = Subscriber<here::Pose>::create(node, "pose");
    if (!refused) {
      EXPECT_FALSE(refused.failure().message.empty());
    }
    (void)services();
  }
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(good.data(), static_cast<std::streamsize>(good.size()));
  file.close();
  EXPECT_TRUE(Subscriber<here::Pose>::create(node, "pose"));
}

TEST(Refusal, PortFilesThatAreNoneDoNoHarm) {
  for (const std::string& content : {std::string(), std::string("x"), random_bytes(5000)}) {
    TemporaryRoot root;
    Node node("test");
    Publisher<int> publisher(node, "numbers");
    Subscriber<int> subscriber(node, "numbers");
    const std::string directory =
        path_of(root, "/board")
            .substr(0, path_of(root, "/board").size() - std::string("/board").size());
    write_file(directory + "/publisher.7", content);
    write_file(directory + "/subscriber.7", content);
    Publisher<int> second(node, "numbers");  // makes all of them look
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(publisher.publish(i));
      const auto sample = subscriber.receive();
      ASSERT_TRUE(sample);
      EXPECT_EQ(*sample, i);
    }
    EXPECT_EQ(subscriber.publishers(), 2U);
    EXPECT_EQ(publisher.subscribers(), 1U);
  }
}

TEST(Refusal, APublisherThatLiesAboutItsFileIsNotRead) {
  TemporaryRoot root;
  Node node("test");
  Publisher<std::uint64_t> honest(node, "numbers");
  ChildProcess liar([](const ChildProcess::Line& line) {
    Node own("liar");
    Publisher<std::uint64_t> publisher(own, "numbers");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(liar.hear());
  const std::string path = path_of(root, "/publisher.1");
  const std::string good = read_file(path);
  std::mt19937 random(7);  // NOLINT: the same on every run
  for (int round = 0; round < 300; ++round) {
    std::string bad = good.substr(0, 4096);
    for (int i = 0; i < 8; ++i) {
      bad[sizeof(FileHeader) + random() % 1000] = static_cast<char>(random());
    }
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file.write(bad.data(), static_cast<std::streamsize>(bad.size()));
    }
    auto subscriber = Subscriber<std::uint64_t>::create(node, "numbers");
    if (!subscriber) {
      EXPECT_FALSE(subscriber.failure().message.empty());
      continue;
    }
    for (int i = 0; i < 200; ++i) (void)subscriber->receive();
  }
  ASSERT_TRUE(honest.publish(1));
}

TEST(Refusal, ASubscriberThatLiesAboutItsFileWastesNoMoreThanItMayHold) {
  TemporaryRoot root;
  Node node("test");
  Publisher<std::uint64_t> publisher(node, "numbers");
  Subscriber<std::uint64_t> honest(node, "numbers");
  ChildProcess liar([](const ChildProcess::Line& line) {
    Node own("liar");
    Subscriber<std::uint64_t> subscriber(own, "numbers");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(liar.hear());
  const std::string path = path_of(root, "/subscriber.1");
  const std::string good = read_file(path);
  std::mt19937 random(7);  // NOLINT: the same on every run
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int i = 0; i < 16; ++i) {
      bad[sizeof(FileHeader) + random() % 400] = static_cast<char>(random() % 16);
    }
    {
      std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
      file.write(bad.data(), static_cast<std::streamsize>(bad.size()));
    }
    for (std::uint64_t i = 0; i < 200; ++i) {
      ASSERT_TRUE(publisher.publish(i)) << publisher.last_failure().message;
      const auto sample = honest.receive();
      ASSERT_TRUE(sample);
      ASSERT_EQ(*sample, i);
    }
    EXPECT_GE(publisher.subscribers(), 1U);
  }
}

TEST(Refusal, DirectoriesThatAreNone) {
  TemporaryRoot root;
  const std::string user = root.path() + "/" + std::to_string(::geteuid());
  write_file(user, "x");
  EXPECT_TRUE(says(Node::create("n").failure(), Errc::corrupted, {user, "directory", "remove it"}));
  std::filesystem::remove(user);
  std::filesystem::create_directory(root.path() + "/elsewhere");
  std::filesystem::create_directory_symlink(root.path() + "/elsewhere", user);
  EXPECT_TRUE(says(Node::create("n").failure(), Errc::corrupted, {user}));
  EXPECT_TRUE(std::filesystem::is_empty(root.path() + "/elsewhere"));
  const auto nowhere = Node::create("n", {.root = root.path() + "/no/such/place"});
  EXPECT_TRUE(says(nowhere.failure(), Errc::not_found, {"/no/such/place"}));
}

TEST(Refusal, AnotherUsersDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  TemporaryRoot root;
  const std::string user = root.path() + "/0";
  std::filesystem::create_directory(user);
  ASSERT_EQ(::chown(user.c_str(), 65534, 65534), 0);
  EXPECT_TRUE(
      says(Node::create("n").failure(), Errc::no_permission, {user, "65534", "SLUICE_ROOT"}));
}

/// Runs `body` as a user without rights.
template <typename Body>
int as_somebody_else(Body&& body) {
  ChildProcess child([&](const ChildProcess::Line&) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 100;
    return body();
  });
  return child.wait();
}

TEST(Refusal, AUserWhoIsNotInTheGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  TemporaryRoot root;
  ASSERT_EQ(::chmod(root.path().c_str(), 01777), 0);
  Node node("test", {.access = Access::group});
  Publisher<int> publisher(node, "numbers", {.history = 1});
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(as_somebody_else([] {
              auto own = Node::create("other", {.access = Access::group});
              if (!own) return 1;
              const auto subscriber = Subscriber<int>::create(*own, "numbers");
              return says(subscriber.failure(), Errc::no_permission,
                          {"service 'numbers'", "Permission denied", "user 65534"})
                         ? 0
                         : 2;
            }),
            0);
  EXPECT_EQ(as_somebody_else([] {  // by default everybody has a world of their own
              auto own = Node::create("other");
              if (!own) return 1;
              auto subscriber = Subscriber<int>::create(*own, "numbers");
              return subscriber && subscriber->publishers() == 0 ? 0 : 2;
            }),
            0);
  Subscriber<int> subscriber(node, "numbers");
  EXPECT_EQ(*subscriber.receive(), 1);
}

TEST(Refusal, UsersShareAWorldThatIsOpenToThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  TemporaryRoot root;
  ASSERT_EQ(::chmod(root.path().c_str(), 01777), 0);
  Node node("test", {.access = Access::world});
  Publisher<int> publisher(node, "numbers", {.history = 1});
  ASSERT_TRUE(publisher.publish(1));
  EXPECT_EQ(as_somebody_else([&] {
              auto own = Node::create("other", {.access = Access::world});
              if (!own) return 1;
              auto subscriber = Subscriber<int>::create(*own, "numbers");
              if (!subscriber) return 2;
              const auto sample = subscriber->receive();
              if (!sample || *sample != 1) return 3;
              // What the other has made cannot be written, nor removed.
              const std::string path = path_of(root, "/publisher.0");
              return ::open(path.c_str(), O_RDWR) < 0 && ::unlink(path.c_str()) != 0 ? 0 : 4;
            }),
            0);
}

/// Runs `body` with a root on a file system of `bytes`. 100: cannot be done here.
template <typename Body>
int with_little_memory(const TemporaryRoot& root, const char* bytes, Body&& body) {
  ChildProcess child([&](const ChildProcess::Line&) {
    const std::string options = std::string("mode=1777,size=") + bytes;
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", root.path().c_str(), "tmpfs", 0, options.c_str()) != 0) {
      return 100;
    }
    return body();
  });
  return child.wait();
}

TEST(Refusal, AFileSystemWithoutRoom) {
  struct Image {
    std::array<char, 100'000> pixels;
  };
  TemporaryRoot root;
  const int status = with_little_memory(root, "1m", [] {
    Node node("test");
    const auto refused = Publisher<Image>::create(node, "images", {.depth = 16});
    if (!says(refused.failure(), Errc::no_memory,
              {"service 'images'", "100000", "needed", "free", "SLUICE_ROOT"})) {
      std::fprintf(stderr, "%s\n", refused.failure().message.c_str());
      return 1;
    }
    auto publisher = Publisher<Image>::create(node, "images", {.depth = 1, .max_loans = 1});
    if (!publisher) {
      std::fprintf(stderr, "%s\n", publisher.failure().message.c_str());
      return 2;
    }
    // Subscribers join until there is no memory for what they may hold; then loans say so as soon
    // as all that was there is in use, and those who were there go on.
    std::vector<std::unique_ptr<Subscriber<Image>>> subscribers;
    std::vector<Sample<Image>> held;
    for (int i = 0; i < 4; ++i) {
      auto subscriber = Subscriber<Image>::create(node, "images", {.max_borrowed = 4});
      if (!subscriber) break;
      subscribers.push_back(std::make_unique<Subscriber<Image>>(std::move(*subscriber)));
    }
    if (subscribers.empty()) return 3;
    for (std::size_t i = 0; i < 16; ++i) {
      auto loan = publisher->loan();
      if (!loan) {
        if (!says(publisher->last_failure(), Errc::no_memory, {"needed", "free"})) {
          std::fprintf(stderr, "%s\n", publisher->last_failure().message.c_str());
          return 4;
        }
        held.clear();
        return publisher->loan() ? 0 : 5;  // nothing was lost
      }
      publisher->publish(std::move(loan));
      auto sample = subscribers[i / 4 % subscribers.size()]->receive();
      if (sample) held.push_back(std::move(sample));
    }
    return 6;
  });
  if (status == 100) GTEST_SKIP() << "needs the right to mount a file system";
  EXPECT_EQ(status, 0);
}

TEST(Refusal, AFileSystemWithoutAnyRoom) {
  TemporaryRoot root;
  const int status = with_little_memory(root, "8k", [] {
    const auto node = Node::create("test");
    if (!node) return says(node.failure(), Errc::no_memory, {"node 'test'"}) ? 0 : 1;
    const auto publisher = Publisher<int>::create(*node, "numbers");
    return says(publisher.failure(), Errc::no_memory, {"needed", "free"}) ? 0 : 2;
  });
  if (status == 100) GTEST_SKIP() << "needs the right to mount a file system";
  EXPECT_EQ(status, 0);
}

TEST(Refusal, TooFewDescriptors) {
  if (kAddressSanitizer) GTEST_SKIP() << "the sanitizers need descriptors, too";
  TemporaryRoot root;
  Node node("test");
  Publisher<int> publisher(node, "numbers");
  ChildProcess child([](const ChildProcess::Line&) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers", {.history = 0});
    const rlimit few{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &few);
    if (!says(Publisher<int>::create(own, "numbers").failure(), Errc::system, {"ulimit -n"})) {
      return 1;
    }
    return subscriber.receive().error() == Errc::ok ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_TRUE(publisher.publish(1));
}

TEST(Refusal, TooLittleAddressSpace) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need all of it";
  TemporaryRoot root;
  Node node("test");
  ChildProcess child([](const ChildProcess::Line&) {
    Node own("child");
    const rlimit little{std::uint64_t{300} << 20, std::uint64_t{300} << 20};
    ::setrlimit(RLIMIT_AS, &little);
    struct Frame {
      std::array<char, std::size_t{64} << 20> bytes;
    };
    return says(Publisher<Frame>::create(own, "frames", {.depth = 1}).failure(),
                Errc::no_address_space, {"address space", "ulimit -v"})
               ? 0
               : 1;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST(Refusal, WhereMemoryIsShortWhileADeadSubscriberIsReapedNoSlotIsUsedTwice) {
  struct Frame {
    std::size_t number;
    std::array<char, std::size_t{32} << 10> bytes;
  };
  TemporaryRoot root;
  Node node("test");
  ChildProcess dead([](const ChildProcess::Line& line) {
    Node own("dead");
    const Subscriber<Frame> subscriber(own, "frames");
    line.say();
    line.hear();
    return 0;
  });
  ASSERT_TRUE(dead.hear());
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Publisher<Frame> publisher(own, "frames", {.depth = 1});
    if (publisher.subscribers() != 1) return 1;
    line.say();
    line.hear();
    constexpr std::uint32_t kMost = 256;
    Subscriber<Frame> subscriber(own, "frames", {.max_borrowed = kMost});
    if (!refuse_system_call(SYS_fallocate, ENOSPC)) return 100;
    std::vector<Sample<Frame>> held;
    while (held.size() < kMost) {
      auto loan = publisher.loan();
      if (!loan) break;
      loan->number = held.size();
      publisher.publish(std::move(loan));
      held.push_back(subscriber.receive());
      if (!held.back()) return 2;
    }
    if (held.empty() || held.size() == kMost) return 3;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (held[i]->number != i) return 4;
    }
    return says(publisher.last_failure(), Errc::no_memory, {"slots of", "needed", "there"}) ? 0 : 5;
  });
  ASSERT_TRUE(child.hear());
  dead.kill();
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

/// From here on every fcntl on locks does nothing and returns `outcome` (0 or an error number).
bool break_locks(std::uint32_t outcome) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLK, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | outcome),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter_system_calls(filter);
}

TEST(Refusal, ARootOnWhichLocksDoNotWork) {
  TemporaryRoot root;
  for (const std::uint32_t outcome :
       {0U, static_cast<std::uint32_t>(ENOLCK), static_cast<std::uint32_t>(EINVAL)}) {
    ChildProcess child([&](const ChildProcess::Line&) {
      if (!break_locks(outcome)) return 100;
      const auto node = Node::create("test");
      if (node) return 1;
      if (says(node.failure(), Errc::locks_unsupported, {"node 'test'", "lock", "SLUICE_ROOT"})) {
        return 0;
      }
      std::fprintf(stderr, "%s\n", node.failure().message.c_str());
      return 2;
    });
    EXPECT_EQ(child.wait(), 0) << outcome;
  }
  EXPECT_TRUE(root.empty());
}

/// From here on no file can be opened, as in a process that has no descriptor left while others of
/// its threads take and give some back; directories can.
bool refuse_files() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_DIRECTORY, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter_system_calls(filter);
}

TEST(Refusal, APublisherThatIsKnownIsLookedAtWithoutAnyDescriptorMore) {
  TemporaryRoot root;
  Node node("test");
  Publisher<int> publisher(node, "numbers");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    if (!refuse_files()) return 100;
    if (subscriber.publishers() != 1) return 1;
    if (subscriber.receive().error() != Errc::ok) return 2;
    line.say();
    line.hear();
    return *subscriber.receive() == 1 && *subscriber.receive() == 2 ? 0 : 3;
  });
  ASSERT_TRUE(child.hear());
  EXPECT_TRUE(publisher.publish(1));
  EXPECT_TRUE(publisher.publish(2));
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

TEST(Refusal, WhatCouldNotBeLookedAtIsLookedAtAgain) {
  if (kAddressSanitizer) GTEST_SKIP() << "the sanitizers need descriptors, too";
  TemporaryRoot root;
  Node node("test");
  ChildProcess child([](const ChildProcess::Line& line) {
    Node own("child");
    Subscriber<int> subscriber(own, "numbers");
    line.say();
    line.hear();
    rlimit usual{};
    ::getrlimit(RLIMIT_NOFILE, &usual);
    const int next = ::dup(0);
    ::close(next);
    // One more: enough for the list of files, and then for the first of two publishers.
    const rlimit few{.rlim_cur = static_cast<rlim_t>(next) + 1, .rlim_max = usual.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 100;
    int sum = 0;
    bool is_refused = false;
    for (int i = 0; i < 3; ++i) {
      const auto sample = subscriber.receive();
      if (sample) sum += *sample;
      is_refused = is_refused || sample.error() == Errc::system;
    }
    if (!is_refused || sum == 3) return 1;
    if (::setrlimit(RLIMIT_NOFILE, &usual) != 0) return 100;
    while (const auto sample = subscriber.receive()) sum += *sample;
    return sum == 3 ? 0 : 2;
  });
  ASSERT_TRUE(child.hear());
  Publisher<int> one(node, "numbers");
  Publisher<int> two(node, "numbers");
  EXPECT_TRUE(one.publish(1));
  EXPECT_TRUE(two.publish(2));
  child.say();
  EXPECT_EQ(child.wait(), 0);
}

}  // namespace
}  // namespace sluice
