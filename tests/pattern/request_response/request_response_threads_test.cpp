// SPDX-License-Identifier: Apache-2.0
//
// Clients and servers of one process on several threads. In a build with the thread sanitizer all
// of them share one mapping of each file, so that it sees every race.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

struct Payload {
  std::array<std::uint64_t, 16> words;

  void fill(std::uint64_t value) { words.fill(value); }
  [[nodiscard]] bool is_whole() const {
    for (const std::uint64_t word : words) {
      if (word != words.front()) return false;
    }
    return true;
  }
};
using Handled = Request<Payload, Payload>;

/// Takes handles from the thread that uses them and ends them on its own.
template <typename T>
class Ender {
 public:
  explicit Ender(bool (*check)(const T&)) : check_(check) {}
  ~Ender() {
    is_over_ = true;
    thread_.join();
    EXPECT_TRUE(is_content_);
  }
  void add(T handle) {
    const std::lock_guard lock(mutex_);
    handles_.push_back(std::move(handle));
  }

 private:
  bool end_one() {
    T handle;
    {
      const std::lock_guard lock(mutex_);
      if (handles_.empty()) return false;
      handle = std::move(handles_.front());
      handles_.pop_front();
    }
    is_content_ = is_content_ && check_(handle);
    return true;
  }

  bool (*check_)(const T&);
  std::mutex mutex_;
  std::deque<T> handles_;
  bool is_content_ = true;
  std::atomic<bool> is_over_{false};
  std::thread thread_{[this] {
    for (;;) {
      const bool is_last = is_over_;
      if (!end_one() && is_last) return;
      std::this_thread::yield();
    }
  }};
};

/// Answers twice: with the request's number and its complement. Requests are read and ended
/// elsewhere.
void serve(const Node& node, const std::atomic<bool>& is_over) {
  Server<Payload, Payload> server(node, "echo", {.max_requests = 8, .depth = 2});
  Ender<Handled> ender([](const Handled& request) { return request->is_whole(); });
  while (!is_over) {
    auto request = server.wait(1ms);
    if (!request) {
      EXPECT_TRUE(request.error() == Errc::timed_out || request.error() == Errc::too_many_borrowed);
      continue;
    }
    ASSERT_TRUE(request->is_whole());
    for (const std::uint64_t value : {request->words[0], ~request->words[0]}) {
      auto loan = request.loan_for(10s);
      if (!loan) {
        ASSERT_EQ(loan.error(), Errc::abandoned) << server.last_failure().message;
        break;
      }
      loan->fill(value);
      request.respond(std::move(loan));
    }
    ender.add(std::move(request));
  }
}

void ask(const Node& node, std::uint64_t count) {
  Client<Payload, Payload> client(node, "echo", {.max_pending = 8, .max_borrowed = 3});
  Ender<Sample<Payload>> releaser([](const Sample<Payload>& sample) { return sample->is_whole(); });
  Ender<Pending<Payload>> dropper([](const Pending<Payload>&) { return true; });
  for (std::uint64_t i = 0; i < count;) {
    auto loan = client.loan();
    if (!loan) {  // the others are with the servers still
      std::this_thread::yield();
      continue;
    }
    loan->fill(i);
    auto pending = client.send(std::move(loan));
    if (i % 5 == 0) {
      dropper.add(std::move(pending));
      ++i;
      continue;
    }
    for (const std::uint64_t value : {i, ~i}) {
      auto sample = pending.wait(10s);
      while (sample.error() == Errc::too_many_borrowed) sample = pending.wait(10s);
      ASSERT_TRUE(sample) << client.last_failure().message;
      ASSERT_TRUE(sample->is_whole());
      ASSERT_EQ(sample->words[0], value);
      if (i % 3 == 0) releaser.add(std::move(sample));
    }
    ++i;
  }
}

TEST(RequestResponseThreads, RequestsAndResponsesEndOnOtherThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    std::atomic<bool> is_over{false};
    std::thread server([&] { serve(node, is_over); });
    std::vector<std::thread> clients;
    for (int i = 0; i < 2; ++i) clients.emplace_back([&] { ask(node, 600); });
    for (auto& client : clients) client.join();
    is_over = true;
    server.join();
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

TEST(RequestResponseThreads, SleepersAreWoken) {
  TemporaryRoot root;
  Node node("test");
  std::thread other([&] {
    Server<std::uint64_t, std::uint64_t> server(node, "numbers");
    for (std::uint64_t i = 0; i < 500; ++i) {
      auto request = server.wait(10s);
      ASSERT_TRUE(request);
      ASSERT_EQ(*request, i);
      ASSERT_TRUE(request.respond(2 * i));
    }
  });
  Client<std::uint64_t, std::uint64_t> client(node, "numbers");
  for (std::uint64_t i = 0; i < 500; ++i) {
    const auto response = client.call(i, 10s);
    ASSERT_TRUE(response) << client.last_failure().message;
    ASSERT_EQ(*response, 2 * i);
  }
  other.join();
}

TEST(RequestResponseThreads, PortsAreMadeAndDestroyedOnSeveralThreads) {
  TemporaryRoot root;
  {
    Node node("test");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 30; ++i) {
          if (t % 2 == 0) {
            Server<int, int> server(node, "numbers");
            auto request = server.receive();
            ASSERT_EQ(request.error(), Errc::ok) << server.last_failure().message;
            if (request) request.respond(*request);
          } else {
            Client<int, int> client(node, "numbers");
            auto pending = client.send(i);
            ASSERT_TRUE(pending);
            const auto response = pending.receive();
            ASSERT_TRUE(!response || *response == i);
            ASSERT_EQ(response.error(), Errc::ok) << client.last_failure().message;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(root.entries(), std::vector<std::string>());
}

struct Texts {
  explicit Texts(Allocator<> a) : texts{a} {}

  Vector<String> texts;
};

/// Each server takes a row in the client's file, whose heap the requests grow in.
TEST(RequestResponseThreads, RequestsGrowOnAnotherThreadWhileServersComeAndGo) {
  constexpr std::size_t kTexts = 100;
  TemporaryRoot root;
  const Node node("test");
  Client<Texts, int> client(node, "texts", {.max_pending = 4});
  for (int round = 0; round < 20; ++round) {
    std::vector<Loan<Texts>> loans;
    for (int i = 0; i < 4; ++i) {
      loans.push_back(client.loan());
      ASSERT_TRUE(loans.back()) << client.last_failure().message;
    }
    std::atomic<bool> is_over{false};
    std::thread filler([&] {
      for (bool is_last = false; !is_last;) {
        is_last = is_over;
        for (auto& loan : loans) {
          loan->texts.clear();
          for (std::size_t i = 0; i < kTexts; ++i) {
            loan->texts.emplace_back(std::string(i + 16, 'x').c_str());
          }
        }
      }
    });
    for (int i = 0; i < 5; ++i) {
      const Server<Texts, int> server(node, "texts");
      EXPECT_TRUE(client.wait_for_servers(1, 10s));
    }
    is_over = true;
    filler.join();
    Server<Texts, int> server(node, "texts");
    for (auto& loan : loans) {
      const auto pending = client.send(std::move(loan));
      const auto request = server.wait(10s);
      ASSERT_TRUE(request) << server.last_failure().message;
      ASSERT_EQ(request->texts.size(), kTexts);
      for (std::size_t i = 0; i < kTexts; ++i) {
        ASSERT_EQ(request->texts[i].view(), std::string(i + 16, 'x'));
      }
    }
  }
}

}  // namespace
}  // namespace sluice
