// SPDX-License-Identifier: Apache-2.0
//
// Payloads of every size with alignment 1: what the library keeps in front of them, and they
// themselves, begin at multiples of 8.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <string>
#include <support/temporary_root.hpp>
#include <utility>
#include <vector>

namespace sluice {
namespace {

template <std::size_t kBytes>
struct Odd {
  std::array<char, kBytes> bytes;
};

bool is_aligned(const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 8 == 0; }

template <typename T>
struct PayloadsWithAlignmentOne : testing::Test {
  TemporaryRoot root;
  Node node{"test"};
};

using Payloads = testing::Types<Odd<1>, Odd<3>, Odd<7>, Odd<63>>;
TYPED_TEST_SUITE(PayloadsWithAlignmentOne, Payloads);

TYPED_TEST(PayloadsWithAlignmentOne, ArePublished) {
  static_assert(alignof(TypeParam) == 1);
  Publisher<TypeParam> publisher{this->node, "values"};
  Subscriber<TypeParam> subscriber{this->node, "values"};
  std::vector<Sample<TypeParam>> held;
  for (int i = 0; i < 20; ++i) {
    auto loan = publisher.loan();
    ASSERT_TRUE(loan);
    EXPECT_TRUE(is_aligned(loan.get()));
    publisher.publish(std::move(loan));
    auto sample = subscriber.receive();
    EXPECT_TRUE(is_aligned(sample.get()));
    if (i % 8 == 0) held.push_back(std::move(sample));
  }
}

TYPED_TEST(PayloadsWithAlignmentOne, AreRequestsAndResponses) {
  Client<TypeParam, TypeParam> client{this->node, "requests"};
  Server<TypeParam, TypeParam> server{this->node, "requests"};
  std::vector<Pending<TypeParam>> pending;
  for (int i = 0; i < 8; ++i) {
    auto loan = client.loan();
    ASSERT_TRUE(loan);
    EXPECT_TRUE(is_aligned(loan.get()));
    pending.push_back(client.send(std::move(loan)));
    auto request = server.receive();
    ASSERT_TRUE(request);
    EXPECT_TRUE(is_aligned(request.get()));
    for (int response = 0; response < 4; ++response) {
      auto answer = request.loan();
      ASSERT_TRUE(answer);
      EXPECT_TRUE(is_aligned(answer.get()));
      request.respond(std::move(answer));
      EXPECT_TRUE(is_aligned(pending.back().receive().get()));
    }
  }
}

TYPED_TEST(PayloadsWithAlignmentOne, AreJobs) {
  Producer<TypeParam> producer{this->node, "jobs"};
  Worker<TypeParam> worker{this->node, "jobs"};
  for (int i = 0; i < 20; ++i) {
    auto loan = producer.loan();
    ASSERT_TRUE(loan);
    EXPECT_TRUE(is_aligned(loan.get()));
    ASSERT_TRUE(producer.push(std::move(loan)));
    ASSERT_TRUE(producer.push(TypeParam()));
    EXPECT_TRUE(is_aligned(worker.receive().get()));
    EXPECT_TRUE(is_aligned(worker.receive().get()));
  }
}

TYPED_TEST(PayloadsWithAlignmentOne, AreSlices) {
  Publisher<TypeParam[]> publisher{this->node, "slices"};
  Subscriber<TypeParam[]> subscriber{this->node, "slices"};
  Producer<TypeParam[]> producer{this->node, "jobs"};
  for (std::size_t count = 0; count < 20; ++count) {
    auto loan = publisher.loan(count);
    ASSERT_TRUE(loan);
    EXPECT_TRUE(is_aligned(loan.data()));
    publisher.publish(std::move(loan));
    EXPECT_TRUE(is_aligned(subscriber.receive().data()));
    auto job = producer.loan(count);
    ASSERT_TRUE(job);
    EXPECT_TRUE(is_aligned(job.data()));
    ASSERT_TRUE(producer.push(std::move(job)));
  }
}

struct Texts {
  explicit Texts(Allocator<> a) : text{a}, bytes{a} {}
  char odd = 0;
  String text;
  Vector<char> bytes;
};

TEST(ContainersOfCharacters, HaveAlignedBlocks) {
  TemporaryRoot root;
  Node node{"test"};
  Publisher<Texts> publisher{node, "texts"};
  std::vector<Loan<Texts>> loans;
  for (std::size_t i = 1; i < 5; ++i) {
    loans.push_back(publisher.loan());
    for (std::size_t size = i; size < 2000; size += 37) {
      loans.back()->text.assign(std::string(size, 'x'));
      loans.back()->bytes.resize(size);
      EXPECT_TRUE(is_aligned(loans.back()->text.data()));
      EXPECT_TRUE(is_aligned(loans.back()->bytes.data()));
    }
  }
}

}  // namespace
}  // namespace sluice
