// SPDX-License-Identifier: Apache-2.0
//
// A writer, and then a reader, is killed at every write to shared memory and at every system call
// of all that it does. The other side keeps a whole value, and somebody else takes the victim's
// place.
#include <gtest/gtest.h>

#include <chrono>
#include <crash/frames.hpp>
#include <crash/survivors.hpp>
#include <cstdint>
#include <optional>
#include <sluice/sluice.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

using namespace std::chrono_literals;

/// With few slots, so that making a writer takes few writes.
using State = LargeFrame;

bool write(Writer<State>& writer, std::uint64_t number) {
  auto loan = writer.loan();
  if (!loan) return false;
  loan->sequence = number;
  loan->publisher = writer.id();
  loan->sequence_again = number;
  return writer.write(std::move(loan)) == number;
}

struct WriterKilled : Survivors<> {
  void come() override { reader.emplace(*node, kService, ReaderOptions{.max_borrowed = 2}); }

  /// The last value stays, until somebody else writes one.
  void go_on_after(bool must_have_value) {
    for (int i = 0; i < 3; ++i) {
      const auto value = reader->read();
      EXPECT_EQ(value.error(), Errc::ok);
      EXPECT_TRUE(value || !must_have_value);
      EXPECT_TRUE(!value || is_whole(value));
    }
    {
      const Node own("late");
      const auto value = Reader<State>(own, kService).read();
      EXPECT_EQ(value.error(), Errc::ok);
      EXPECT_TRUE(value || !must_have_value) << "who comes late";
      EXPECT_TRUE(!value || is_whole(value));
    }
    {
      const Node own("successor");
      Writer<State> successor(own, kService);
      for (std::uint64_t i = 0; i < 6; ++i) {
        ASSERT_TRUE(write(successor, i)) << successor.last_failure().message;
        const auto value = reader->read();
        ASSERT_TRUE(value && is_whole(value));
        EXPECT_EQ(value.publisher(), successor.id());
        EXPECT_EQ(value.sequence(), i);
      }
    }
    EXPECT_TRUE(reader->read());
    EXPECT_EQ(reader->writers(), 0U);
    // The successor's, with the last value.
    std::vector<std::string> left = root.files();
    EXPECT_EQ(std::erase_if(left, is_a_writers), 1U);
    EXPECT_EQ(left, files);
  }
  static bool is_a_writers(const std::string& file) {
    return file.find("/publisher.") != std::string::npos;
  }

  std::uint64_t kill_writer(Plot plot, bool must_have_value) {
    // A reader without the values of earlier victims, there before this one begins.
    plot.rehearsal = [this](const ChildProcess& child) {
      reader.reset();
      reader.emplace(*node, kService, ReaderOptions{.max_borrowed = 2});
      child.say();
    };
    plot.victim = [begin = plot.victim](const Victim& victim) {
      victim.line().hear();
      begin(victim);
    };
    plot.afterwards = [this, must_have_value] { go_on_after(must_have_value); };
    return kill(plot);
  }

  std::optional<Reader<State>> reader;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, WriterKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(WriterKilled, WhileItIsCreated) {
  const auto points = kill_writer({.victim =
                                       [](const Victim& victim) {
                                         const Node own("victim");
                                         std::optional<Writer<State>> writer;
                                         victim.in_danger([&] { writer.emplace(own, kService); });
                                       }},
                                  false);
  EXPECT_GT(points, 50U);
}

TEST_P(WriterKilled, WhileItWrites) {
  const auto points = kill_writer({.victim =
                                       [](const Victim& victim) {
                                         const Node own("victim");
                                         Writer<State> writer(own, kService);
                                         Victim::require(write(writer, 0));
                                         victim.in_danger([&] {
                                           for (std::uint64_t i = 1; i <= 20; ++i) {
                                             Victim::require(write(writer, i));
                                           }
                                         });
                                       },
                                   .meanwhile = [this] { EXPECT_TRUE(reader->read()); }},
                                  true);
  EXPECT_GE(points, at_writes() ? 4 * 20U : 1U);
}

TEST_P(WriterKilled, WhileItWritesToOneWhoSleeps) {
  const auto points =
      kill_writer({.victim =
                       [](const Victim& victim) {
                         const Node own("victim");
                         Writer<State> writer(own, kService);
                         Victim::require(write(writer, 0));
                         victim.in_danger([&] { Victim::require(write(writer, 1)); });
                       },
                   .meanwhile =
                       [this] {
                         EXPECT_TRUE(reader->read());
                         // The board stays armed when a sleep is over.
                         EXPECT_EQ(reader->wait(1us).error(), Errc::timed_out);
                       }},
                  true);
  EXPECT_GE(points, at_writes() ? 6U : 2U);
}

TEST_P(WriterKilled, WhileItIsDestroyed) {
  const auto points =
      kill_writer({.victim =
                       [](const Victim& victim) {
                         const Node own("victim");
                         std::optional<Writer<State>> writer(std::in_place, own, kService);
                         Victim::require(write(*writer, 0));
                         victim.in_danger([&] { writer.reset(); });
                       },
                   .meanwhile = [this] { EXPECT_TRUE(reader->updated()); }},
                  true);
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

struct ReaderKilled : Survivors<> {
  void come() override {
    writer.emplace(*node, kService);
    ASSERT_TRUE(write_next());
    witness.emplace(*node, kService);
    ASSERT_TRUE(witness->read());
  }

  bool write_next() { return write(*writer, next++); }

  /// The writer goes on, whatever the victim held, and another reader takes its place.
  void go_on() override {
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(write_next()) << writer->last_failure().message;
      const auto value = witness->read();
      ASSERT_TRUE(value && is_whole(value));
      EXPECT_EQ(value.sequence() + 1, next);
    }
    {
      const Node own("successor");
      Reader<State> successor(own, kService);
      const auto value = successor.read();
      ASSERT_TRUE(value && is_whole(value));
      EXPECT_EQ(value.sequence() + 1, next);
      EXPECT_EQ(writer->readers(), 2U);
    }
    EXPECT_EQ(writer->readers(), 1U);
    EXPECT_EQ(root.files(), files);
  }

  std::optional<Writer<State>> writer;
  std::optional<Reader<State>> witness;
  std::uint64_t next = 0;
};

INSTANTIATE_TEST_SUITE_P(AtEvery, ReaderKilled, testing::Values(At::write, At::system_call),
                         name_of);

TEST_P(ReaderKilled, WhileItIsCreated) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Reader<State>> reader;
    victim.in_danger([&] { reader.emplace(own, kService); });
  }});
  EXPECT_GE(points, at_writes() ? 20U : 50U);
}

TEST_P(ReaderKilled, WhileItReadsTheSameAndTheNext) {
  const auto points = kill({.victim =
                                [](const Victim& victim) {
                                  const Node own("victim");
                                  Reader<State> reader(own, kService);
                                  Victim::require(bool(reader.read()));
                                  victim.in_danger([&] {
                                    const auto newer = reader.read();
                                    const auto again = reader.read();
                                    Victim::require(newer && again && !reader.updated());
                                    Victim::require(newer.get() == again.get());
                                    Victim::require(is_whole(newer));
                                  });
                                },
                            .meanwhile = [this] { ASSERT_TRUE(write_next()); }});
  EXPECT_GE(points, at_writes() ? 6U : 1U);
}

TEST_P(ReaderKilled, WhileItWaits) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    Reader<State> reader(own, kService);
    Victim::require(bool(reader.read()));
    victim.in_danger([&] { Victim::require(reader.wait(1ms).error() == Errc::timed_out); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 2U);
}

TEST_P(ReaderKilled, WhileItIsDestroyed) {
  const auto points = kill({.victim = [](const Victim& victim) {
    const Node own("victim");
    std::optional<Reader<State>> reader(std::in_place, own, kService);
    Victim::require(bool(reader->read()));
    victim.in_danger([&] { reader.reset(); });
  }});
  EXPECT_GE(points, at_writes() ? 1U : 10U);
}

}  // namespace
}  // namespace sluice
