// SPDX-License-Identifier: Apache-2.0
//
// Where the containers of a class are found, and what is refused of a publisher that is broken or
// means harm. The words of a container, as they lie in memory: allocator, data (a distance from
// that word), size, capacity.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <sluice/containers.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/file_with_heap.hpp"

namespace sluice {
namespace {

struct Point {
  float x, y, z;
};

struct Track {
  explicit Track(Allocator<> a) : name{a}, points{a}, children{a}, tags{a} {}
  int id = 0;
  String name;
  Vector<Point> points;
  Vector<Track> children;
  Map<String, Vector<double>> tags;
};

// --- ContainerMap -----------------------------------------------------------------------------

template <ConstructibleInHeap T>
std::vector<std::uint64_t> offsets_in() {
  std::vector<std::uint64_t> offsets;
  for (const auto& place : containers_in<T>().places()) offsets.push_back(place.offset);
  return offsets;
}

struct Base {
  explicit Base(Allocator<> a) : text{a} {}
  int before = 0;
  String text;
};
struct Inner {
  explicit Inner(Allocator<> a) : points{a} {}
  char before = 0;
  Vector<Point> points;
};
struct Everywhere : Base {
  explicit Everywhere(Allocator<> a)
      : Base{a},
        rows{Vector<int>{a}, Vector<int>{a}},
        texts{String{a}, String{a}},
        inner{a},
        map{a} {}
  Vector<int> rows[2];
  std::array<String, 2> texts;
  double between = 0;
  Inner inner;
  Map<int, int> map;
};

TEST(ContainerMap, SeesContainersInBasesMembersAndArrays) {
  const Everywhere made{Allocator<>()};
  const auto offset = [&](const void* member) {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(member) -
                                      reinterpret_cast<const std::byte*>(&made));
  };
  EXPECT_EQ(offsets_in<Everywhere>(),
            (std::vector{offset(&made.text), offset(&made.rows[0]), offset(&made.rows[1]),
                         offset(&made.texts[0]), offset(&made.texts[1]), offset(&made.inner.points),
                         offset(&made.map)}));
}

TEST(ContainerMap, SeesTheElementsOfMaps) {
  EXPECT_EQ((offsets_in<Map<int, String>>()), std::vector<std::uint64_t>{0});
  EXPECT_EQ((offsets_in<MapEntry<int, String>>()), std::vector<std::uint64_t>{8});
  EXPECT_EQ((offsets_in<MapEntry<String, Vector<int>>>()), (std::vector<std::uint64_t>{0, 48}));
}

TEST(ContainerMap, SeesWhatIsThereAfterTheConstructorAndNothingElse) {
  struct Busy {
    explicit Busy(Allocator<> a) : points(Vector<Point>(a)), children{a} {
      points.resize(1000);  // a constructor may allocate
      children.resize(3);
      const String text("a temporary that is longer than fifteen");
      maybe.emplace(a);
      maybe.reset();
      Vector<Point> other(std::move(points));
      points = std::move(other);
    }
    std::optional<String> maybe;
    Vector<Point> points;
    Vector<Track> children;
  };
  const Busy busy{Allocator<>()};
  const auto points = static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(&busy.points) -
                                                 reinterpret_cast<const std::byte*>(&busy));
  EXPECT_EQ(offsets_in<Busy>(), (std::vector{points, points + sizeof(busy.points)}));
}

TEST(ContainerMap, OfAClassThatHoldsItselfEnds) {
  const ContainerMap& map = containers_in<Track>();
  map.complete();
  EXPECT_EQ(map.places().size(), 4U);
}

class ContainerMapDeathTest : public testing::Test {
 protected:
  ContainerMapDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

struct Forgetful {
  explicit Forgetful(Allocator<> a) : frame{a} {}
  String frame;
  Vector<Point> points;
};

TEST_F(ContainerMapDeathTest, AContainerThatWasNotGivenTheAllocatorIsNamed) {
  EXPECT_DEATH((void)containers_in<Forgetful>(),
               "Forgetful cannot be shared: at offset 48 is a container that does not use the "
               "allocator");
}

#ifdef __GLIBCXX__
struct Careless {
  explicit Careless(Allocator<> a) : points{a} {}
  Vector<Point> points;
  std::string frame;
};

TEST_F(ContainerMapDeathTest, AStandardStringIsNamed) {
  EXPECT_DEATH((void)containers_in<Careless>(),
               "Careless cannot be shared: at offset 32 is a pointer.*use sluice::String");
}
#endif

// --- check_containers -------------------------------------------------------------------------

class CheckContainers : public TestWithHeap {
 public:
  CheckContainers() : TestWithHeap(std::uint64_t{1} << 24) {}

  template <typename T>
  bool accepts(const T* payload) {
    const T* seen = as_seen(payload);
    return check_containers(*seen, reader_begin(), reader_bytes());
  }

  /// What the owner may write.
  struct Words {
    std::uint64_t allocator, data, size, capacity;
  };
  template <typename Container>
  static Words& words(Container& container) {
    return *reinterpret_cast<Words*>(&container);
  }
  template <typename Container>
  static void point_to(Container& container, const void* address) {
    words(container).data = reinterpret_cast<std::uintptr_t>(address) -
                            reinterpret_cast<std::uintptr_t>(&words(container).data);
  }
  [[nodiscard]] std::byte* begin() const { return file.region().data(); }
  [[nodiscard]] std::byte* end() const { return begin() + file.region().mapped_bytes(); }

  /// Changes words of `container`, which lies in `payload`, and sees that the reader refuses it.
  template <typename Payload, typename Container>
  void refuses(const char* what, Payload* payload, Container& container,
               const std::function<void(Container&)>& change) {
    ASSERT_TRUE(accepts(payload)) << "before: " << what;
    const void* data = container.data();
    const Words before = words(container);
    change(container);
    EXPECT_FALSE(accepts(payload)) << what;
    words(container) = before;
    ASSERT_EQ(container.data(), data);
  }
  template <typename Payload, typename Container>
  void refuses_all(Payload* payload, Container& container) {
    using C = Container;
    using T = typename C::value_type;
    const auto with = [&](const char* what, const std::function<void(C&)>& change) {
      refuses<Payload, C>(what, payload, container, change);
    };
    with("in front of the file", [&](C& c) { point_to(c, begin() - alignof(T)); });
    with("far in front", [&](C& c) { point_to(c, begin() - (std::uint64_t{1} << 40)); });
    with("behind the file", [&](C& c) { point_to(c, end()); });
    with("far behind", [&](C& c) { point_to(c, end() + (std::uint64_t{1} << 40)); });
    with("at the file's very end",
         [&](C& c) { point_to(c, end() - sizeof(T) * words(c).capacity + alignof(T)); });
    with("null", [&](C& c) { words(c).data = 1; });
    with("a pointer of this process", [&](C& c) { point_to(c, this); });
    with("any distance", [&](C& c) { words(c).data = 0x7fff'ffff'ffff'ffff; });
    with("a size beyond the capacity", [&](C& c) { words(c).size = words(c).capacity + 1; });
    with("a size of -1", [&](C& c) { words(c).size = UINT64_MAX; });
    for (const std::uint64_t size :
         {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / sizeof(T),
          sizeof(T) > 1 ? UINT64_MAX / sizeof(T) + 2 : UINT64_MAX, std::uint64_t{1} << 63,
          std::uint64_t{1} << 61, file.region().mapped_bytes() / sizeof(T),
          static_cast<std::uint64_t>(end() - reinterpret_cast<std::byte*>(container.data())) /
                  sizeof(T) +
              1}) {
      with("a size that is too large", [&](C& c) { words(c).size = words(c).capacity = size; });
      with("a capacity that is too large", [&](C& c) { words(c).capacity = size; });
    }
    if constexpr (alignof(T) > 1) {
      with("misaligned", [&](C& c) {
        words(c).data += 1;
        words(c).size = words(c).capacity = 1;
      });
    }
  }

  /// Reads all that a reader can, and sees that it lies in the file.
  void read(const String& text) {
    ASSERT_TRUE(is_in_readers_mapping(text.data()));
    ASSERT_TRUE(is_in_readers_mapping(text.data() + text.size()));
    for (const char c : text) sum += static_cast<unsigned char>(c);
  }
  template <typename T>
  void read(const Vector<T>& vector) {
    for (const T& element : vector) {
      ASSERT_TRUE(is_in_readers_mapping(&element));
      read(element);
    }
  }
  void read(const Point& point) { sum += point.x > point.y ? 1 : 0; }
  void read(double value) { sum += value > 0 ? 1 : 0; }
  void read(const Track& track) {
    read(track.name);
    read(track.points);
    read(track.children);
    for (const auto& [key, value] : track.tags) {
      read(key);
      read(value);
    }
  }
  std::uint64_t sum = 0;

  Track* build() {
    auto* track = construct<Track>();
    track->name = "a name that is longer than fifteen";
    track->points.resize(100);
    track->children.resize(3);
    for (Track& child : track->children) {
      child.name = "short";
      child.children.resize(2);
      child.children[1].points.resize(7);
      child.tags["a tag that is longer than fifteen"].resize(5);
    }
    track->tags["x"].resize(10);
    track->tags["y"];
    return track;
  }
};

TEST_F(CheckContainers, AcceptsWhatAnOwnerBuilds) {
  Track* track = build();
  EXPECT_TRUE(accepts(track));
  track->name.clear();
  track->points.clear();
  track->children[1].children.clear();
  track->children[2] = Track(Allocator<>());
  EXPECT_TRUE(accepts(track));
  Track moved(std::move(*track));
  EXPECT_TRUE(accepts(track)) << "moved from";
  EXPECT_TRUE(accepts(construct<Track>())) << "empty";
}

TEST_F(CheckContainers, AcceptsMemoryUpToTheVeryEnd) {
  auto* bytes = construct<Vector<std::byte>>();
  bytes->resize(1);
  words(*bytes).size = words(*bytes).capacity =
      static_cast<std::uint64_t>(end() - reinterpret_cast<std::byte*>(bytes->data()));
  EXPECT_TRUE(accepts(bytes));
  words(*bytes).size = ++words(*bytes).capacity;
  EXPECT_FALSE(accepts(bytes));
  words(*bytes).size = words(*bytes).capacity = 0;
}

TEST_F(CheckContainers, RefusesAVectorThatLeadsOutside) {
  Track* track = build();
  refuses_all(track, track->points);
  refuses_all(track, track->children);
  auto* bytes = construct<Vector<std::byte>>();
  bytes->resize(5);
  refuses_all(bytes, *bytes);
}

TEST_F(CheckContainers, RefusesAStringThatLeadsOutsideOrDoesNotEnd) {
  Track* track = build();
  refuses_all(track, track->name);
  refuses_all(track, track->children[0].name);
  for (String* text : {&track->name, &track->children[0].name}) {
    text->data()[text->size()] = 'x';
    EXPECT_FALSE(accepts(track));
    text->data()[text->size()] = '\0';
    EXPECT_TRUE(accepts(track));
  }
  words(track->name).capacity = words(track->name).size = 0;
  EXPECT_FALSE(accepts(track)) << "empty, and not terminated";
  *track->name.data() = '\0';
  EXPECT_TRUE(accepts(track));
}

TEST_F(CheckContainers, RefusesABadElementHoweverDeep) {
  Track* track = build();
  refuses_all(track, track->children[2].children[1].points);
  refuses_all(track, track->children[2].tags.begin()->first);
  refuses_all(track, track->children[2].tags.begin()->second);
  auto* texts = construct<Vector<Vector<String>>>();
  texts->resize(2);
  (*texts)[1].resize(2, "a text that is longer than fifteen");
  refuses_all(texts, (*texts)[1][1]);
  auto* arrays = construct<Everywhere>();
  arrays->rows[1].resize(3);
  arrays->inner.points.resize(3);
  arrays->texts[1] = "a text that is longer than fifteen";
  arrays->map[1] = 2;
  refuses_all(arrays, arrays->rows[1]);
  refuses_all(arrays, arrays->inner.points);
  refuses_all(arrays, arrays->texts[1]);
}

TEST_F(CheckContainers, RefusesACircle) {
  Track* track = build();
  point_to(track->children, track);
  words(track->children).size = words(track->children).capacity = 1;
  EXPECT_FALSE(accepts(track));
}

TEST_F(CheckContainers, EndsSoonWhateverLeadsWhere) {
  auto* track = construct<Track>();
  track->children.resize(1000);
  for (Track& child : track->children) {
    point_to(child.children, track->children.data());
    words(child.children).size = words(child.children).capacity = 1000;
  }
  EXPECT_FALSE(accepts(track)) << "a thousand to the power of the depth";

  auto* texts = construct<Vector<Vector<String>>>();
  texts->resize(1000);
  texts->front().resize(1000);
  EXPECT_TRUE(accepts(texts));
  for (auto& row : *texts) {
    point_to(row, texts->front().data());
    words(row).size = words(row).capacity = 1000;
  }
  EXPECT_FALSE(accepts(texts)) << "more elements than there is memory";
}

TEST_F(CheckContainers, RefusesWhatIsNestedTooDeep) {
  auto* track = construct<Track>();
  Track* innermost = track;
  for (unsigned depth = 0; depth < kMaxContainerDepth; ++depth) {
    EXPECT_TRUE(accepts(track)) << depth;
    innermost->children.resize(1);
    innermost = &innermost->children[0];
  }
  EXPECT_TRUE(accepts(track));
  innermost->children.resize(1);
  EXPECT_FALSE(accepts(track));
}

TEST_F(CheckContainers, WhatItAcceptsCanBeReadWhateverWasWritten) {
  Track* track = build();
  (void)as_seen(track);  // maps the whole file
  const std::vector<std::byte> before(begin(), end());
  std::vector<Words*> all;
  const std::function<void(Track&)> collect = [&](Track& t) {
    for (Words* w : {&words(t.name), &words(t.points), &words(t.children), &words(t.tags)}) {
      all.push_back(w);
    }
    for (auto& [key, value] : t.tags) {
      all.push_back(&words(key));
      all.push_back(&words(value));
    }
    for (Track& child : t.children) collect(child);
  };
  collect(*track);
  std::mt19937_64 random(7);
  unsigned accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    for (std::uint64_t changes = 1 + random() % 3; changes-- > 0;) {
      Words* w = all[random() % all.size()];
      std::uint64_t* word = &w->data + random() % 3;
      switch (random() % 6) {
        case 0:
          *word = random();
          break;
        case 1:
          *word = random() % file.region().mapped_bytes();
          break;
        case 2:
          *word += random() % 65 - 32;
          break;
        case 3:
          *word ^= std::uint64_t{1} << (random() % 64);
          break;
        case 4:
          *word = random() % 20;
          break;
        default:  // what another container has
          w->data = reinterpret_cast<std::uintptr_t>(all[random() % all.size()]) -
                    reinterpret_cast<std::uintptr_t>(&w->data);
      }
    }
    if (check_containers(*as_seen(track), reader_begin(), reader_bytes())) {
      ++accepted;
      read(*as_seen(track));
      ASSERT_FALSE(HasFatalFailure()) << round;
    }
    std::memcpy(begin(), before.data(), before.size());
  }
  EXPECT_GT(accepted, 100U);
  EXPECT_LT(accepted, 19'000U);
}

}  // namespace
}  // namespace sluice
