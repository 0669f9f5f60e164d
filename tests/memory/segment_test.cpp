// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sluice/containers.hpp>
#include <sluice/memory/segment.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/child_process.hpp"
#include "support/last_words.hpp"
#include "support/sanitizers.hpp"
#include "support/temporary_root.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

template <typename Number>
std::string numbered(const char* name, Number number) {
  return std::string(name).append(std::to_string(number));
}

struct Cell {
  std::uint32_t cost = 0;
  offset_ptr<Cell> next;
};

struct Grid {
  Grid(int columns, int lines) : width(columns), height(lines) {}
  int width;
  int height;
  offset_ptr<Cell> cells;
  std::atomic<std::uint64_t> changes{0};
};

struct Point {
  double x, y;
};

/// Runs `body` in a forked child; the child's result, or -1 where it was killed.
template <typename Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A child that runs `body`, tells so through a pipe and then waits to be killed.
class Peer {
 public:
  template <typename Body>
  explicit Peer(Body body) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    child_ = ::fork();
    if (child_ == 0) {
      body([&] {
        const bool told = ::write(ends[1], "x", 1) == 1;
        while (told) ::pause();
      });
      ::_exit(1);
    }
    ::close(ends[1]);
    char byte = 0;
    ready_ = ::read(ends[0], &byte, 1) == 1;
    ::close(ends[0]);
  }
  ~Peer() { kill(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] bool is_ready() const noexcept { return ready_; }
  void kill() noexcept {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

 private:
  pid_t child_ = 0;
  bool ready_ = false;
};

bool says(const Failure& failure, std::string_view words) {
  const bool found = failure.message.find(words) != std::string::npos;
  EXPECT_TRUE(found) << "'" << words << "' is missing in: " << failure.message;
  return found;
}

TEST(Segment, AnotherProcessFindsWhatWasBuilt) {
  const TemporaryRoot root;
  auto segment = Segment::create("maps/floor1", {.reserve_bytes = std::size_t{1} << 30}).value();
  const offset_ptr<Grid> grid = segment.construct<Grid>("grid", 400, 300);
  ASSERT_TRUE(grid) << segment.failure().message;
  grid->cells = segment.construct_array<Cell>(400 * 300);
  ASSERT_TRUE(grid->cells);
  for (std::uint32_t i = 0; i < 400 * 300; ++i) {
    grid->cells[i].cost = i;
    grid->cells[i].next = grid->cells + (i + 1) % (400 * 300);
  }
  EXPECT_EQ(in_child([] {
              auto other = Segment::open("maps/floor1");
              if (!other) return 1;
              const Grid* seen = other->find<Grid>("grid");
              if (seen == nullptr) return 2;
              if (seen->width != 400 || seen->height != 300) return 3;
              const Cell* cell = seen->cells.get();
              for (std::uint32_t i = 0; i < 400 * 300; ++i, cell = cell->next.get()) {
                if (cell->cost != i) return 4;
              }
              return cell == seen->cells.get() ? 0 : 5;
            }),
            0);
}

TEST(Segment, AReaderCannotWrite) {
  if (kThreadSanitizer) GTEST_SKIP() << "all mappings of a file are one there";
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  ASSERT_TRUE(segment.construct<int>("number", 1));
  EXPECT_EQ(in_child([] {
              std::signal(SIGSEGV, [](int) { ::_exit(42); });
              auto other = Segment::open("s").value();
              *const_cast<int*>(other.find<int>("number")) = 2;
              return 0;
            }),
            42);
  EXPECT_EQ(*segment.find<int>("number"), 1);
  auto other = Segment::open("s").value();
  EXPECT_EQ(other.construct<int>("more", 1), nullptr);
  EXPECT_EQ(other.failure().code, Errc::no_permission);
}

TEST(Segment, FindsNothingUnderAnotherName) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  EXPECT_EQ(segment.find<int>("number"), nullptr);
  ASSERT_TRUE(segment.construct<int>("number", 7));
  auto other = Segment::open("s").value();
  ASSERT_NE(other.find<int>("number"), nullptr);
  EXPECT_EQ(*other.find<int>("number"), 7);
  EXPECT_EQ(other.find<int>("numbe"), nullptr);
  EXPECT_EQ(other.find<int>(""), nullptr);
  EXPECT_EQ(other.find<int>(std::string(1000, 'x')), nullptr);
  EXPECT_EQ(other.failure().code, Errc::not_found);
  EXPECT_EQ(other.find<int>("numbers"), nullptr);
  says(other.failure(), "segment 's' has no object 'numbers'");
}

TEST(Segment, RefusesAnotherTypeAndNamesBoth) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  ASSERT_TRUE(segment.construct<Point>("point", 1.0, 2.0));
  auto other = Segment::open("s").value();
  EXPECT_EQ(other.find<std::uint64_t>("point"), nullptr);
  EXPECT_EQ(other.failure().code, Errc::type_mismatch);
  says(other.failure(), "Point (16 bytes, alignment 8)");
  says(other.failure(), "not a unsigned long (8 bytes, alignment 8)");
  struct Alike {
    double x, y;
  };
  EXPECT_EQ(other.find<Alike>("point"), nullptr) << "the name counts, not only the size";
  ASSERT_NE(other.find<Point>("point"), nullptr);
  EXPECT_EQ(other.find<Point>("point")->y, 2.0);
}

TEST(Segment, TheFirstArgumentIsANameIfItIsText) {
  struct Label {
    explicit Label(const char* what, int count = 0) : number(count) {
      std::strncpy(text, what, sizeof text - 1);
    }
    char text[16] = {};
    int number;
  };
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  const auto named = segment.construct<Label>("name", "text");
  ASSERT_TRUE(named);
  EXPECT_STREQ(named->text, "text");
  EXPECT_EQ(segment.find<Label>("name"), named.get());
  const auto unnamed = segment.construct_unnamed<Label>("text", 3);
  ASSERT_TRUE(unnamed);
  EXPECT_STREQ(unnamed->text, "text");
  EXPECT_EQ(segment.find<Label>("text"), nullptr);
  EXPECT_TRUE(segment.construct<Point>());
  EXPECT_EQ(segment.construct<Point>(3.0, 4.0)->y, 4.0);
  EXPECT_EQ(segment.construct<Point>(std::string("point"), 3.0, 4.0)->x, 3.0);
  EXPECT_TRUE(segment.construct<offset_ptr<int>>(nullptr));
}

TEST(Segment, AnArrayIsFoundWithItsLength) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  const auto built = segment.construct_array<Point>("line", 100);
  ASSERT_TRUE(built);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(built[i].x, 0.0) << "value-initialised";
    built[i].x = i;
  }
  auto other = Segment::open("s").value();
  const auto line = other.find_array<Point>("line");
  ASSERT_EQ(line.size(), 100U);
  EXPECT_EQ(line[99].x, 99.0);
  EXPECT_TRUE(other.find_array<Point>("other").empty());
  EXPECT_TRUE(segment.construct_array<Point>(0));
}

TEST(Segment, ObjectsAreAlignedUpToAPage) {
  struct alignas(4096) Page {
    char bytes[4096];
  };
  struct alignas(64) Line {
    char bytes[64];
  };
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  for (int i = 0; i < 5; ++i) {
    const auto line = segment.construct<Line>();
    const auto page = segment.construct<Page>();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(line.get()) % 64, 0U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page.get()) % 4096, 0U);
  }
}

TEST(Segment, ANameIsTakenUntilItsObjectIsDestroyed) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  auto other = Segment::open("s").value();
  const auto first = segment.construct<int>("number", 1);
  EXPECT_EQ(segment.construct<int>("number", 2), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::already_exists);
  EXPECT_EQ(*other.find<int>("number"), 1);
  EXPECT_TRUE(segment.destroy(first));
  EXPECT_EQ(other.find<int>("number"), nullptr);
  EXPECT_TRUE(segment.construct<long>("number", 2));
  EXPECT_EQ(*other.find<long>("number"), 2);
}

TEST(Segment, DestroyRunsEveryDestructorAndGivesTheMemoryBack) {
  struct Counted {
    ~Counted() { ++destroyed(); }
    static int& destroyed() {
      static int count = 0;
      return count;
    }
    char bytes[1000];
  };
  const TemporaryRoot root;
  auto segment = Segment::create("s", {.reserve_bytes = 256 * kKiB}).value();
  for (int i = 1; i <= 100; ++i) {
    const auto array = segment.construct_array<Counted>(numbered("array", i), 100);
    ASSERT_TRUE(array) << segment.failure().message;
    ASSERT_TRUE(segment.destroy(array));
    EXPECT_EQ(Counted::destroyed(), i * 100);
  }
  EXPECT_TRUE(segment.destroy(offset_ptr<int>()));
}

TEST(Segment, DestroyAbortsWhereThereIsNoSuchObject) {
  const TemporaryRoot root;
  const std::string never_built = last_words(root, [] {
    auto segment = Segment::create("s").value();
    int elsewhere = 0;
    segment.destroy(&elsewhere);
  });
  EXPECT_NE(never_built.find("no object of segment 's' begins at"), std::string::npos)
      << never_built;
  const std::string of_another_type = last_words(root, [] {
    auto segment = Segment::create("s").value();
    const auto number = segment.construct<int>(1);
    segment.destroy(reinterpret_cast<float*>(number.get()));
  });
  EXPECT_NE(of_another_type.find("was built as int and is destroyed as float"), std::string::npos)
      << of_another_type;
  const std::string twice = last_words(root, [] {
    auto segment = Segment::create("s").value();
    const auto number = segment.construct<int>(1);
    segment.destroy(number);
    segment.destroy(number);
  });
  EXPECT_NE(twice.find("destroyed already"), std::string::npos) << twice;
}

#if defined(__cpp_exceptions)
TEST(Segment, AConstructorThatThrowsLeavesNothingBehind) {
  struct Fragile {
    explicit Fragile(bool fails) {
      if (fails) throw 42;
    }
    char bytes[100 * kKiB];
  };
  struct Third {
    Third() {
      if (++built() == 3) throw 42;
    }
    ~Third() { --built(); }
    static int& built() {
      static int count = 0;
      return count;
    }
  };
  const TemporaryRoot root;
  auto segment = Segment::create("s", {.reserve_bytes = 256 * kKiB}).value();
  auto other = Segment::open("s").value();
  for (int i = 0; i < 10; ++i) {
    EXPECT_THROW(segment.construct<Fragile>("fragile", true), int);
    EXPECT_EQ(other.find<Fragile>("fragile"), nullptr);
  }
  EXPECT_TRUE(segment.construct<Fragile>("fragile", false)) << segment.failure().message;
  EXPECT_THROW(segment.construct_array<Third>(5), int);
  EXPECT_EQ(Third::built(), 1) << "two were built and destroyed, the third counted itself";
}
#endif

TEST(Segment, AConstructorMayBuildMoreInTheSameSegment) {
  struct Tree {
    Tree(Segment& segment, int depth) {
      if (depth > 0) left = segment.construct<Tree>(segment, depth - 1);
      if (depth > 0) right = segment.construct<Tree>(segment, depth - 1);
    }
    [[nodiscard]] int size() const {
      return 1 + (left ? left->size() : 0) + (right ? right->size() : 0);
    }
    offset_ptr<Tree> left, right;
  };
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  ASSERT_TRUE(segment.construct<Tree>("tree", segment, 7));
  EXPECT_EQ(Segment::open("s").value().find<Tree>("tree")->size(), 255);
}

TEST(Segment, AReaderFollowsItsGrowth) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  auto other = Segment::open("s").value();
  const auto first = segment.construct<Cell>("first");
  const Cell* seen = other.find<Cell>("first");
  ASSERT_NE(seen, nullptr);
  const std::uint64_t before = other.committed_bytes();

  const auto large = segment.construct_array<Cell>(kMiB);
  large[kMiB - 1].cost = 42;
  first->next = large + (kMiB - 1);
  ASSERT_GT(segment.committed_bytes(), before);
  EXPECT_EQ(other.committed_bytes(), before);
  ASSERT_TRUE(other.contains(seen->next.get(), sizeof(Cell)));
  EXPECT_EQ(seen->next->cost, 42U);
  EXPECT_FALSE(other.contains(seen->next.get() + kMiB, sizeof(Cell)));
  EXPECT_FALSE(other.contains(&before, 8));
  EXPECT_FALSE(other.contains(seen, SIZE_MAX));

  const auto second = segment.construct<Cell>("second");
  ASSERT_NE(other.find<Cell>("second"), nullptr);
  const auto again = segment.construct_array<Cell>(kMiB);
  again[kMiB - 1].cost = 43;
  second->next = again + (kMiB - 1);
  const Cell* seen_again = other.find<Cell>("second");
  ASSERT_NE(seen_again, nullptr);
  EXPECT_EQ(other.committed_bytes(), segment.committed_bytes()) << "find maps what it leads to";
  EXPECT_EQ(seen_again->next->cost, 43U);
  EXPECT_EQ(other.find<Cell>("first"), seen) << "addresses stay";
}

TEST(Segment, SaysHowMuchWasNeededWhenTheReservationIsUsedUp) {
  const TemporaryRoot root;
  auto segment = Segment::create("s", {.reserve_bytes = kMiB}).value();
  EXPECT_EQ(segment.reserve_bytes(), kMiB);
  EXPECT_EQ(segment.construct_array<char>(2 * kMiB), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::no_address_space);
  says(segment.failure(), "2097152");
  says(segment.failure(), "1048576 bytes of address space");
  says(segment.failure(), "larger reserve_bytes");
  EXPECT_EQ(segment.construct_array<Point>(SIZE_MAX / 8), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::no_address_space);

  while (segment.construct_array<char>(10 * kKiB)) continue;
  EXPECT_EQ(segment.failure().code, Errc::no_address_space);
  says(segment.failure(), "segment 's': cannot allocate 10240 bytes");
  says(segment.failure(), "1048576 bytes of address space reserved");
  says(segment.failure(), "larger reserve_bytes");
  EXPECT_GE(segment.committed_bytes(), kMiB - 16 * kKiB) << "all of it was used";
  EXPECT_TRUE(segment.construct<char>('x')) << "smaller ones still fit";
}

TEST(Segment, SaysHowMuchThereIsWhenMemoryIsShort) {
  const TemporaryRoot root;
  auto segment = Segment::create("s", {.reserve_bytes = std::uint64_t{1} << 42}).value();
  EXPECT_EQ(segment.construct_array<char>(std::size_t{1} << 41), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::no_memory);
  says(segment.failure(), "bytes needed");
  says(segment.failure(), "bytes free");
  EXPECT_TRUE(segment.construct<int>(1));
}

TEST(Segment, RefusesAReservationThatIsZeroOrAbsurd) {
  const TemporaryRoot root;
  for (std::uint64_t bytes : {std::uint64_t{0}, UINT64_MAX}) {
    const auto segment = Segment::create("s", {.reserve_bytes = bytes});
    EXPECT_EQ(segment.error(), Errc::invalid_options);
  }
  EXPECT_TRUE(root.empty());
}

TEST(Segment, RefusesNamesThatAreEmptyTooLongOrOdd) {
  const TemporaryRoot root;
  for (const std::string& name :
       {std::string(), std::string(256, 'x'), std::string("a b"), std::string("a\n"),
        std::string("\xc3\xa4"), std::string("a\0b", 3)}) {
    EXPECT_EQ(Segment::create(name).error(), Errc::invalid_name) << name;
    EXPECT_EQ(Segment::open(name).error(), Errc::invalid_name) << name;
  }
  EXPECT_TRUE(root.empty());
  auto segment = Segment::create(std::string(255, 'x')).value();
  EXPECT_TRUE(Segment::open(std::string(255, 'x')));
  EXPECT_EQ(segment.construct<int>(std::string(256, 'x'), 1), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::invalid_name);
  EXPECT_EQ(segment.construct<int>("", 1), nullptr);
  EXPECT_EQ(segment.failure().code, Errc::invalid_name);
  EXPECT_TRUE(segment.construct<int>(std::string(255, 'x'), 1));
  EXPECT_NE(segment.find<int>(std::string(255, 'x')), nullptr);
  EXPECT_TRUE(Segment::create("../../outside")) << "a name is no path";
}

TEST(Segment, ThereIsNoneBeforeItIsCreatedNorAfterItsEnd) {
  const TemporaryRoot root;
  const auto before = Segment::open("s");
  EXPECT_EQ(before.error(), Errc::not_found);
  says(before.failure(), "there is no segment 's' in domain 'default'");
  {
    auto segment = Segment::create("s").value();
    EXPECT_TRUE(segment.alive());
    EXPECT_TRUE(Segment::open("s"));
    EXPECT_EQ(Segment::open("t").error(), Errc::not_found);
    EXPECT_EQ(root.files().size(), 1U);
  }
  EXPECT_EQ(Segment::open("s").error(), Errc::not_found);
  EXPECT_TRUE(root.entries().empty()) << "directories are removed too";
}

TEST(Segment, AReaderKeepsWhatItFoundWhenTheCreatorIsGone) {
  const TemporaryRoot root;
  auto segment = std::make_unique<Segment>(Segment::create("s").value());
  segment->construct<int>("number", 7);
  auto other = Segment::open("s").value();
  const int* number = other.find<int>("number");
  EXPECT_TRUE(other.alive());
  segment.reset();
  EXPECT_FALSE(other.alive());
  EXPECT_TRUE(root.empty());
  EXPECT_EQ(*number, 7);
  EXPECT_EQ(other.find<int>("number"), number);
}

TEST(Segment, HasOneCreatorAtATime) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  segment.construct<int>("number", 7);
  const auto second = Segment::create("s");
  EXPECT_EQ(second.error(), Errc::already_exists);
  says(second.failure(), "segment 's' exists already");
  says(second.failure(), std::to_string(::getpid()));
  EXPECT_EQ(in_child([] { return Segment::create("s").error() == Errc::already_exists ? 0 : 1; }),
            0);
  EXPECT_EQ(*Segment::open("s").value().find<int>("number"), 7) << "the refused one left it alone";
  EXPECT_TRUE(Segment::create("t"));
}

TEST(Segment, AKilledCreatorsNameIsTakenOver) {
  const TemporaryRoot root;
  Peer creator([](auto ready) {
    auto segment = Segment::create("s").value();
    segment.template construct<int>("number", 7);
    ready();
  });
  ASSERT_TRUE(creator.is_ready());
  auto other = Segment::open("s").value();
  const int* number = other.find<int>("number");
  ASSERT_NE(number, nullptr);
  EXPECT_EQ(Segment::create("s").error(), Errc::already_exists);
  creator.kill();
  EXPECT_FALSE(other.alive());
  EXPECT_EQ(*number, 7) << "what was mapped stays";
  const auto late = Segment::open("s");
  EXPECT_EQ(late.error(), Errc::not_found);
  says(late.failure(), "is gone");
  {
    auto segment = Segment::create("s").value();
    EXPECT_EQ(root.files().size(), 1U);
    EXPECT_EQ(Segment::open("s").value().find<int>("number"), nullptr) << "it starts empty";
    EXPECT_FALSE(other.alive());
    EXPECT_EQ(*number, 7);
  }
  EXPECT_TRUE(root.empty());
}

TEST(Segment, OfManyWhoTakeOverOneSucceeds) {
  const TemporaryRoot root;
  for (int round = 0; round < 10; ++round) {
    Peer creator([](auto ready) {
      auto segment = Segment::create("s").value();
      ready();
    });
    ASSERT_TRUE(creator.is_ready());
    creator.kill();
    std::atomic<int> created{0};
    std::atomic<int> refused{0};
    std::vector<Result<Segment>> segments;
    for (int i = 0; i < 4; ++i) segments.emplace_back(Failure{Errc::closed, ""});
    std::vector<std::thread> threads;
    for (auto& segment : segments) {
      threads.emplace_back([&] {
        segment = Segment::create("s");
        if (segment) ++created;
        if (segment.error() == Errc::already_exists) ++refused;
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(refused, 3);
  }
  EXPECT_TRUE(root.empty());
}

TEST(Segment, ACreatorKilledAtAnyTimeLeavesReadersAConsistentTable) {
  const TemporaryRoot root;
  struct Pair {
    std::uint64_t first, second;
  };
  for (int round = 0; round < 40; ++round) {
    Peer creator([](auto ready) {
      auto segment = Segment::create("s").value();
      std::thread([&] {
        for (std::uint64_t i = 0;; ++i) {
          const auto pair = segment.template construct<Pair>(numbered("a/", i % 20), i, ~i);
          const auto same = segment.template construct<Pair>("b", i, ~i);
          segment.destroy(pair);
          segment.destroy(same);
        }
      }).detach();
      ready();
    });
    ASSERT_TRUE(creator.is_ready());
    auto other = Segment::open("s").value();
    int found = 0;
    for (int look = 0; look < 200 + round; ++look) {
      if (look == 100 + round) creator.kill();
      // Contents may change below the reader here; the table's answers may not be wrong.
      if (other.find<Pair>("b") != nullptr) {
        ++found;
      } else {
        ASSERT_EQ(other.failure().code, Errc::not_found) << other.failure().message;
      }
    }
    // Dead creator: nothing changes any more, and what is named is complete.
    for (int i = 0; i < 20; ++i) {
      const Pair* pair = other.find<Pair>(numbered("a/", i));
      if (pair != nullptr) {
        ASSERT_EQ(pair->second, ~pair->first);
      }
    }
  }
}

TEST(Segment, ManyNamesAreFoundWhileOthersComeAndGo) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(segment.construct<int>(numbered("n", i), i));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) {
      std::vector<offset_ptr<int>> more;
      for (int i = 0; i < 50; ++i) {
        more.push_back(segment.construct<int>(numbered("more", i), i));
      }
      for (const auto& number : more) segment.destroy(number);
    }
  });
  auto other = Segment::open("s").value();
  for (int i = 0; i < 500; ++i) {
    const int* number = other.find<int>(numbered("n", i));
    EXPECT_NE(number, nullptr) << i;
    if (number != nullptr) {
      EXPECT_EQ(*number, i);
    }
  }
  stop = true;
  writer.join();
}

TEST(Segment, AForkedChildIsToldToOpenItItself) {
  const TemporaryRoot root;
  auto segment = std::make_unique<Segment>(Segment::create("s").value());
  const auto number = segment->construct<int>("number", 7);
  auto reader = Segment::open("s").value();
  EXPECT_EQ(in_child([&] {
              if (segment->construct<int>("more", 1) != nullptr) return 1;
              if (segment->failure().code != Errc::forked) return 2;
              if (segment->destroy(number)) return 3;
              if (segment->find<int>("number") != nullptr) return 4;
              if (reader.find<int>("number") != nullptr) return 5;
              if (reader.failure().code != Errc::forked) return 6;
              auto own = Segment::open("s");  // on the descriptor that the fork closed
              if (!own) return 7;
              segment.reset();  // must not remove the parent's file
              if (!Segment::open("s")) return 8;
              return *own->find<int>("number") == 7 ? 0 : 9;
            }),
            0);
  EXPECT_TRUE(segment->alive());
  EXPECT_EQ(root.files().size(), 1U);
  EXPECT_TRUE(Segment::open("s"));
}

TEST(Segment, AChildDoesNotKeepItsParentsSegmentAlive) {
  const TemporaryRoot root;
  auto segment = std::make_unique<Segment>(Segment::create("s").value());
  Peer child([](auto ready) { ready(); });
  ASSERT_TRUE(child.is_ready());
  segment.reset();
  EXPECT_TRUE(Segment::create("s"));
}

struct Cloud {
  explicit Cloud(Allocator<> a) : frame{a}, points{a} {}
  String frame;
  Vector<std::uint64_t> points;
};

TEST(Segment, ObjectsMayHaveContainers) {
  const TemporaryRoot root;
  Peer creator([](auto ready) {
    auto segment = Segment::create("s").value();
    auto cloud = segment.template construct<Cloud>("cloud", segment.allocator());
    cloud->frame = "a name that is longer than fifteen";
    for (std::uint64_t i = 0; i < 100'000; ++i) cloud->points.push_back(i);
    ready();
  });
  ASSERT_TRUE(creator.is_ready());
  auto segment = Segment::open("s").value();
  const Cloud* cloud = segment.find<Cloud>("cloud");
  ASSERT_NE(cloud, nullptr) << segment.failure().message;
  EXPECT_EQ(cloud->frame, "a name that is longer than fifteen");
  EXPECT_EQ(cloud->points.size(), 100'000U);
  EXPECT_EQ(cloud->points.back(), 99'999U);
  EXPECT_TRUE(segment.allocator().is_private());
}

TEST(Segment, AContainerThatLeadsOutsideIsRefused) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  auto cloud = segment.construct<Cloud>("cloud", segment.allocator());
  cloud->points.resize(10);
  auto other = Segment::open("s").value();
  EXPECT_NE(other.find<Cloud>("cloud"), nullptr);
  reinterpret_cast<std::uint64_t*>(&cloud->points)[3] = std::uint64_t{1} << 40;  // its capacity
  EXPECT_EQ(other.find<Cloud>("cloud"), nullptr);
  EXPECT_EQ(other.failure().code, Errc::corrupted);
  says(other.failure(), "object 'cloud' in segment 's' has a container that leads outside");
}

TEST(Segment, ReportsUseAfterItWasMovedAway) {
  const TemporaryRoot root;
  auto segment = Segment::create("s").value();
  segment.construct<int>("number", 7);
  Segment moved = std::move(segment);
  EXPECT_EQ(segment.construct<int>(1), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(segment.failure().code, Errc::closed);
  EXPECT_EQ(segment.find<int>("number"), nullptr);
  EXPECT_FALSE(segment.alive());
  EXPECT_EQ(*moved.find<int>("number"), 7);
}

TEST(Segment, DomainsAreApart) {
  const TemporaryRoot root;
  auto one = Segment::create("s", {.domain = "one"}).value();
  auto two = Segment::create("s", {.domain = "two", .access = Access::group}).value();
  one.construct<int>("number", 1);
  two.construct<int>("number", 2);
  EXPECT_EQ(*Segment::open("s", {.domain = "one"}).value().find<int>("number"), 1);
  EXPECT_EQ(Segment::open("s", {.domain = "two"}).error(), Errc::not_found);
  EXPECT_EQ(
      *Segment::open("s", {.domain = "two", .access = Access::group}).value().find<int>("number"),
      2);
  EXPECT_EQ(Segment::open("s").error(), Errc::not_found);
  EXPECT_EQ(Segment::create("s", {.domain = "a/b"}).error(), Errc::invalid_name);
}

class DamagedSegment : public testing::Test {
 protected:
  void SetUp() override {
    Peer creator([](auto ready) {
      auto segment = Segment::create("s").value();
      segment.template construct<int>("number", 7);
      ready();
    });
    ASSERT_TRUE(creator.is_ready());
    creator.kill();
    ASSERT_EQ(root_.files().size(), 1U);
    path_ = root_.path() + "/" + root_.files().front();
  }
  void overwrite(std::streamoff offset, const std::string& bytes) const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void expect_refused(Errc code, std::string_view words) const {
    const auto opened = Segment::open("s");
    EXPECT_EQ(opened.error(), code) << opened.failure().message;
    says(opened.failure(), words);
    says(opened.failure(), path_);
    EXPECT_TRUE(Segment::create("s")) << "its creator is dead, so the name is free";
    EXPECT_TRUE(root_.empty());
  }

  TemporaryRoot root_;
  std::string path_;
};

TEST_F(DamagedSegment, IsRefusedWhenItIsEmpty) {
  ASSERT_EQ(::truncate(path_.c_str(), 0), 0);
  expect_refused(Errc::corrupted, "0 bytes");
}

TEST_F(DamagedSegment, IsRefusedWhenItIsTruncated) {
  ASSERT_EQ(::truncate(path_.c_str(), 100), 0);
  expect_refused(Errc::corrupted, "truncated: 100 bytes, at least 384 needed");
}

TEST_F(DamagedSegment, IsRefusedWhenItIsGarbage) {
  overwrite(0, std::string(4096, 'x'));
  expect_refused(Errc::corrupted, "wrong magic number");
}

TEST_F(DamagedSegment, IsRefusedWhenItIsOfAnotherLayout) {
  overwrite(8, std::string("\x07\0\0\0", 4));
  expect_refused(Errc::version_mismatch, "made by layout 7");
}

TEST_F(DamagedSegment, IsRefusedWhenItsNameIsTooLong) {
  overwrite(64, std::string("\xff\xff\xff\xff", 4));
  expect_refused(Errc::corrupted, "has a name of 4294967295 bytes");
}

// What a creator that means harm could write. The creator's own mapping shows it to both.
TEST(Segment, AReaderDoesNotFollowATableThatLeadsAstray) {
  const TemporaryRoot root;
  auto segment = Segment::create("s", {.reserve_bytes = kMiB}).value();
  segment.construct<int>("number", 7);
  auto other = Segment::open("s").value();
  const std::string path = root.path() + "/" + root.files().front();
  const auto write_word = [&](std::uint64_t offset, std::uint64_t word) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset)).write(reinterpret_cast<char*>(&word), 8);
  };
  const auto read_word = [&](std::uint64_t offset) {
    std::ifstream file(path, std::ios::binary);
    std::uint64_t word = 0;
    file.seekg(static_cast<std::streamoff>(offset)).read(reinterpret_cast<char*>(&word), 8);
    return word;
  };
  constexpr std::uint64_t kFirstChunk = 328;
  constexpr std::uint64_t kEntries = 64;
  constexpr std::uint64_t kEntryBytes = 448;
  const std::uint64_t chunk = read_word(kFirstChunk);
  std::uint64_t entry = chunk + kEntries;
  while (read_word(entry + 8) == 0) entry += kEntryBytes;
  const std::uint64_t object = read_word(entry + 8);

  for (std::uint64_t astray : {std::uint64_t{1} << 40, UINT64_MAX, kMiB - 8, chunk + 1}) {
    write_word(kFirstChunk, astray);
    EXPECT_EQ(other.find<int>("number"), nullptr);
    EXPECT_EQ(other.failure().code, Errc::corrupted) << astray;
  }
  write_word(kFirstChunk, chunk);
  for (std::uint64_t astray : {std::uint64_t{1} << 40, UINT64_MAX, object + 1}) {
    write_word(entry + 8, astray);
    EXPECT_EQ(other.find<int>("number"), nullptr);
    EXPECT_EQ(other.failure().code, Errc::corrupted) << astray;
  }
  write_word(entry + 8, object);
  for (std::uint64_t count : {UINT64_MAX, UINT64_MAX / 4 + 2, kMiB / 4}) {
    write_word(entry + 16, count);
    EXPECT_TRUE(other.find_array<int>("number").empty());
    EXPECT_EQ(other.failure().code, Errc::corrupted) << count;
  }
  write_word(entry + 16, 1);
  ASSERT_NE(other.find<int>("number"), nullptr);
  write_word(chunk, chunk);
  EXPECT_EQ(other.find<int>("none"), nullptr) << "a circle ends";
  write_word(entry, read_word(entry) + 1);
  EXPECT_EQ(other.find<int>("number"), nullptr) << "an entry that is being changed is no name";
  EXPECT_EQ(other.failure().code, Errc::not_found);
}

}  // namespace
}  // namespace sluice
