// SPDX-License-Identifier: Apache-2.0
//
// Containers in a file, built by its owner and read through a second mapping of the file, read-only
// and at another address. What a hostile owner may write: container_check_test.cpp.
#include <gtest/gtest.h>

#include <any>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <sluice/containers.hpp>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "support/file_with_heap.hpp"
#include "support/last_words.hpp"

namespace sluice {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

struct Point {
  float x, y, z;
  bool operator==(const Point&) const = default;
};

struct Cloud {
  explicit Cloud(Allocator<> a) : frame{a}, points{a} {}
  String frame;
  Vector<Point> points;
};

/// Has no constructor from (args…, Allocator<>).
struct Track {
  explicit Track(Allocator<> a) : name{a}, points{a}, children{a} {}
  int id = 0;
  String name;
  Vector<Point> points;
  Vector<Track> children;
};

/// Has one.
struct Named {
  explicit Named(Allocator<> a) : name{a} {}
  Named(int number, std::string_view text, Allocator<> a) : id(number), name{text, a} {}
  int id = 0;
  String name;
};

struct Plain {
  std::string text;
};
struct Implicit {
  Implicit(Allocator<> a) : text{a} {}  // NOLINT
  String text;
};
struct Polymorphic {
  explicit Polymorphic(Allocator<> a) : text{a} {}
  virtual ~Polymorphic() = default;
  String text;
};
struct Id {
  explicit Id(int v) : value(v) {}
  int value;
};

static_assert(DynamicPayload<Cloud> && DynamicPayload<Track> && DynamicPayload<String>);
static_assert(DynamicPayload<Vector<float>> && DynamicPayload<Map<int, Vector<String>>>);
static_assert(!DynamicPayload<Point> && !DynamicPayload<int> && !DynamicPayload<Implicit>);
static_assert(!DynamicPayload<std::string> && !DynamicPayload<std::vector<int>>);
static_assert(!DynamicPayload<Plain> && !Payload<Plain> && !DynamicPayload<Polymorphic>);
static_assert(!DynamicPayload<std::any> && !DynamicPayload<std::optional<String>>);
static_assert(!Payload<Cloud> && !Payload<String> && !Payload<Vector<int>>);
static_assert(std::contiguous_iterator<Vector<int>::iterator>);
static_assert(std::is_nothrow_move_constructible_v<Vector<int>>);
static_assert(std::is_nothrow_move_constructible_v<String>);
static_assert(std::is_trivially_copyable_v<MapEntry<int, Point>>);
static_assert(!std::is_constructible_v<String, std::nullptr_t>);

using Containers = TestWithHeap;

TEST_F(Containers, AreReadInPlaceAtAnotherAddress) {
  auto* cloud = construct<Cloud>();
  cloud->frame = "lidar_front";
  cloud->points.resize(30'000);
  for (std::size_t i = 0; i < cloud->points.size(); ++i) {
    cloud->points[i] = {static_cast<float>(i), 1, 2};
  }
  const Cloud* seen = as_seen(cloud);
  ASSERT_NE(seen, cloud);
  EXPECT_EQ(seen->frame, "lidar_front");
  ASSERT_EQ(seen->points.size(), 30'000U);
  EXPECT_EQ(seen->points.back(), (Point{29'999, 1, 2}));
  EXPECT_EQ(std::span<const Point>(seen->points).size(), 30'000U);
  EXPECT_TRUE(is_in_readers_mapping(&seen->points.front()));
  float sum = 0;
  for (const Point& point : seen->points) sum += point.y;
  EXPECT_EQ(sum, 30'000);
  EXPECT_TRUE(check_containers(*seen, reader_begin(), reader_bytes()));
}

TEST_F(Containers, ShortTextLiesInTheStringItself) {
  auto* text = construct<String>();
  const std::uint64_t before = used_bytes();
  *text = "fifteen letters";
  EXPECT_EQ(used_bytes(), before);
  EXPECT_EQ(*as_seen(text), "fifteen letters");
  *text += "!";
  EXPECT_GT(used_bytes(), before);
  EXPECT_EQ(*as_seen(text), "fifteen letters!");
}

/// Whether a container and all that it holds use the heap of `allocator`.
bool is_in(const Allocator<>& allocator, const String& text) {
  return text.get_allocator() == allocator;
}
bool is_in(const Allocator<>& allocator, const Track& track) {
  return is_in(allocator, track.name) && track.points.get_allocator() == allocator &&
         track.children.get_allocator() == allocator &&
         std::all_of(track.children.begin(), track.children.end(),
                     [&](const Track& child) { return is_in(allocator, child); });
}
template <typename T>
bool is_in(const Allocator<>& allocator, const Vector<T>& vector) {
  return vector.get_allocator() == allocator &&
         std::all_of(vector.begin(), vector.end(),
                     [&](const T& element) { return is_in(allocator, element); });
}

TEST_F(Containers, ElementsAreBuiltInTheHeapOfTheContainerThatTheyAreIn) {
  auto* texts = construct<Vector<String>>();
  texts->emplace_back("a literal that is longer than fifteen");
  texts->emplace_back();
  texts->emplace_back(std::size_t{20}, 'x');
  texts->push_back("another literal, longer than fifteen");
  texts->push_back(String("moved from the private heap to this one"));
  const String copied = "copied from the private heap to this one";
  texts->push_back(copied);
  texts->insert(texts->begin(), copied);
  texts->resize(10);
  texts->resize(12, copied);
  texts->assign({"assigned, and longer than fifteen", "too"});
  texts->insert(texts->end(), 3, "inserted, and longer than fifteen");
  EXPECT_TRUE(is_in(allocator(), *texts));
  EXPECT_EQ((*as_seen(texts))[4], "inserted, and longer than fifteen");

  auto* rows = construct<Vector<Vector<Vector<String>>>>();
  rows->resize(2);
  rows->front().emplace_back(std::size_t{3}, "deep, and longer than fifteen");
  rows->back() = rows->front();
  rows->push_back({Vector<String>{"private, and longer than fifteen"}});
  EXPECT_TRUE(is_in(allocator(), *rows));
  EXPECT_EQ((*as_seen(rows))[1][0][2], "deep, and longer than fifteen");
  EXPECT_EQ((*as_seen(rows))[2][0][0], "private, and longer than fifteen");
  EXPECT_TRUE(check_containers(*as_seen(rows), reader_begin(), reader_bytes()));
}

TEST_F(Containers, ElementsMayBeClassesThatTakeTheAllocatorAlone) {
  auto* tracks = construct<Vector<Track>>();
  Track outside{Allocator<>()};
  outside.id = 7;
  outside.name = "a name that is longer than fifteen";
  outside.points.push_back({1, 2, 3});
  outside.children.emplace_back();
  outside.children[0].name = "a child with a name that is long";
  for (int i = 0; i < 20; ++i) {
    tracks->push_back(outside);
    tracks->push_back(tracks->front());
    tracks->push_back(Track(outside));
  }
  tracks->insert(tracks->begin() + 1, tracks->back());
  tracks->erase(tracks->begin() + 2, tracks->begin() + 30);
  tracks->resize(40);
  EXPECT_TRUE(is_in(allocator(), *tracks));
  EXPECT_FALSE(is_in(allocator(), outside.name));
  const Vector<Track>& seen = *as_seen(tracks);
  ASSERT_EQ(seen.size(), 40U);
  for (std::size_t i = 0; i < 33; ++i) {
    EXPECT_EQ(seen[i].id, 7) << i;
    EXPECT_EQ(seen[i].name, "a name that is longer than fifteen") << i;
    EXPECT_EQ(seen[i].children.at(0).name, "a child with a name that is long") << i;
  }
  EXPECT_TRUE(seen[33].name.empty());
  EXPECT_TRUE(check_containers(seen, reader_begin(), reader_bytes()));
}

TEST_F(Containers, ElementsMayBeClassesThatTakeTheAllocatorLast) {
  auto* all = construct<Vector<Named>>();
  all->emplace_back(1, "one, and longer than fifteen letters");
  all->emplace_back(2, "two, and longer than fifteen letters");
  EXPECT_TRUE(is_in(allocator(), all->back().name));
  EXPECT_EQ((*as_seen(all))[1].name, "two, and longer than fifteen letters");
}

TEST_F(Containers, MapsHoldContainersToo) {
  auto* map = construct<Map<String, Vector<float>>>();
  (*map)["a key that is longer than fifteen"].push_back(1);
  (*map)["b"].assign({1, 2, 3});
  (*map)[String("another key, longer than fifteen")].resize(100);
  map->insert({"c", {4, 5}});
  map->try_emplace("d", std::size_t{5}, 2.5F);
  map->insert_or_assign("c", Vector<float>{6});
  EXPECT_EQ(map->erase("b"), 1U);
  for (const auto& [key, value] : *map) {
    EXPECT_TRUE(is_in(allocator(), key)) << key;
    EXPECT_EQ(value.get_allocator(), allocator()) << key;
  }
  const Map<String, Vector<float>>& seen = *as_seen(map);
  EXPECT_TRUE(check_containers(seen, reader_begin(), reader_bytes()));
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen.at("c").at(0), 6);
  EXPECT_EQ(seen.find("d")->second.size(), 5U);
  EXPECT_FALSE(seen.contains("b"));
  EXPECT_EQ(seen.at("another key, longer than fifteen").size(), 100U);
}

TEST_F(Containers, GiveEverythingBackWithTheirDestructors) {
  const auto fill = [&] {
    auto* track = construct<Track>();
    track->name = "a name that is longer than fifteen";
    for (int i = 0; i < 1000; ++i) track->points.push_back({});
    for (int i = 0; i < 100; ++i) {
      track->children.emplace_back().children.resize(static_cast<std::size_t>(i % 7));
      track->children.back().name.append(static_cast<std::size_t>(i), 'x');
    }
    track->children.erase(track->children.begin(), track->children.begin() + 50);
    track->children.shrink_to_fit();
    track->points = {{1, 2, 3}};
    auto* map = construct<Map<String, Vector<String>>>();
    for (int i = 0; i < 100; ++i) (*map)[String(std::to_string(i * 7 % 100))].resize(3);
    map->erase(map->begin() + 20, map->end());
    const Track copy = *track;
    Track moved = std::move(*track);
    destroy(track);
    destroy(map);
  };
  fill();
  const std::uint64_t before = used_bytes();
  for (int i = 0; i < 3; ++i) fill();
  EXPECT_EQ(used_bytes(), before);
}

TEST_F(Containers, ACopyOfAReceivedOneIsPrivate) {
  auto* track = construct<Track>();
  track->name = "a name that is longer than fifteen";
  track->children.resize(3);
  track->children[2].points.resize(10);
  const std::uint64_t before = used_bytes();
  Track copy = *as_seen(track);
  EXPECT_TRUE(is_in(Allocator<>(), copy));
  copy.name += " and more";
  copy.children.push_back(copy.children[2]);
  copy.children[3].points.resize(1000);
  EXPECT_TRUE(is_in(Allocator<>(), copy));
  Vector<Track> copies(5, *as_seen(track));
  EXPECT_TRUE(is_in(Allocator<>(), copies));
  EXPECT_EQ(used_bytes(), before);
  EXPECT_EQ(track->children.size(), 3U);
}

TEST_F(Containers, AnAssignedOneKeepsItsHeap) {
  auto* text = construct<String>();
  auto* numbers = construct<Vector<int>>();
  String private_text = "private, and longer than fifteen letters";
  Vector<int> private_numbers{1, 2, 3};
  *text = private_text;
  *numbers = private_numbers;
  EXPECT_EQ(*text, private_text);
  EXPECT_EQ(*numbers, private_numbers);
  *text = std::move(private_text);
  *numbers = std::move(private_numbers);
  EXPECT_TRUE(private_text.empty());     // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(private_numbers.empty());  // NOLINT(bugprone-use-after-move)
  private_text = "other";
  swap(*text, private_text);
  swap(*numbers, private_numbers);
  EXPECT_EQ(*text, "other");
  EXPECT_EQ(private_text, "private, and longer than fifteen letters");
  EXPECT_EQ(private_numbers.size(), 3U);
  EXPECT_TRUE(numbers->empty());
  EXPECT_TRUE(text->get_allocator() == allocator() && numbers->get_allocator() == allocator());
  EXPECT_TRUE(private_text.get_allocator().is_private());
  EXPECT_TRUE(private_numbers.get_allocator().is_private());
}

TEST_F(Containers, ALoneOneGrowsInPlaceToNearlyTheWholeReservation) {
  FileWithHeap large(64 * kMiB);
  auto* numbers = large.construct<Vector<std::uint64_t>>();
  numbers->push_back(0);
  const std::uint64_t* first = numbers->data();
  for (std::uint64_t i = 1; i < 63 * kMiB / 8; ++i) numbers->push_back(i);
  EXPECT_EQ(numbers->data(), first) << "nothing was moved";
  EXPECT_EQ((*large.as_seen(numbers))[5'000'000], 5'000'000U);

  FileWithHeap other(64 * kMiB);
  auto* text = other.construct<String>();
  for (int i = 0; i < 63; ++i) text->append(kMiB, 'x');
  EXPECT_EQ(other.as_seen(text)->size(), 63 * kMiB);
}

TEST_F(Containers, OnesThatGrowByTurnsMoveSeldom) {
  FileWithHeap large(256 * kMiB);
  auto* one = large.construct<Vector<std::uint64_t>>();
  auto* two = large.construct<Vector<std::uint64_t>>();
  unsigned moves = 0;
  for (std::uint64_t i = 0; i < 4 * kMiB / 8; ++i) {
    for (auto* numbers : {one, two}) {
      const std::uint64_t* before = numbers->data();
      numbers->push_back(i);
      if (numbers->data() != before) ++moves;
    }
  }
  EXPECT_LT(moves, 80U);
  EXPECT_EQ(one->size(), two->size());
}

TEST_F(Containers, HoldAGigabyte) {
  if (std::filesystem::space(root.path()).available < 1200 * kMiB) {
    GTEST_SKIP() << "no room for 1 GiB";
  }
  FileWithHeap large(1100 * kMiB);
  auto* bytes = large.construct<Vector<std::byte>>();
  bytes->resize_for_overwrite(1024 * kMiB);
  bytes->back() = std::byte{7};
  const Vector<std::byte>& seen = *large.as_seen(bytes);
  EXPECT_EQ(seen.size(), 1024 * kMiB);
  EXPECT_EQ(seen.back(), std::byte{7});
  EXPECT_TRUE(check_containers(seen, large.reader_begin(), large.reader_bytes()));
  EXPECT_LE(large.reader_bytes(), 1026 * kMiB) << "and take not much more";
}

#if defined(__cpp_exceptions)
template <typename Grow>
void expect_full(Grow grow, Errc code, std::initializer_list<std::string_view> words) {
  try {
    grow();
    ADD_FAILURE() << "it had room";
  } catch (const Error& error) {
    EXPECT_EQ(error.cause(), code);
    for (std::string_view word : words) {
      EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos)
          << error.what() << "\nlacks " << word;
    }
  }
}

TEST_F(Containers, SayWhatWasNeededAndWhatThereIsWhenTheHeapIsFull) {
  FileWithHeap small(kMiB);
  auto* cloud = small.construct<Cloud>();
  cloud->points.resize(10);
  expect_full([&] { cloud->points.resize(kMiB); }, Errc::no_address_space,
              {"cannot allocate 12582912 bytes", "1048576 bytes of address space"});
  EXPECT_EQ(cloud->points.size(), 10U) << "nothing has changed";
  expect_full(
      [&] {
        for (;;) cloud->points.push_back({1, 2, 3});
      },
      Errc::no_address_space, {"cannot allocate", "bytes of address space reserved"});
  EXPECT_GT(cloud->points.size(), 900 * 1024 / sizeof(Point)) << "all of it was used";
  EXPECT_EQ(cloud->points.back(), (Point{1, 2, 3}));
  expect_full([&] { cloud->frame.resize(kMiB); }, Errc::no_address_space, {"cannot allocate"});
  expect_full([&] { cloud->points.reserve(SIZE_MAX / 4); }, Errc::no_address_space,
              {"elements of 12 bytes"});
  small.destroy(cloud);

  FileWithHeap sparse(std::uint64_t{1} << 42);
  auto* bytes = sparse.construct<Vector<char>>();
  expect_full([&] { bytes->resize(std::size_t{1} << 41); }, Errc::no_memory,
              {"bytes needed", "bytes free"});
}

struct Fragile {
  explicit Fragile(Allocator<> a) : text{a} {}
  Fragile(std::string_view words, Allocator<> a) : text{words, a} {
    if (words == "throw") throw std::runtime_error("as told");
  }
  String text;
};

TEST_F(Containers, LoseNothingWhereAnElementCannotBeBuilt) {
  const auto fill = [&] {
    auto* all = construct<Vector<Fragile>>();
    const auto* other = construct<String>();  // so that it cannot grow in place
    all->emplace_back("one, and longer than fifteen letters");
    for (std::size_t size = 1; size < 20; ++size) {
      EXPECT_THROW(all->emplace_back("throw"), std::runtime_error);
      ASSERT_EQ(all->size(), size);
      EXPECT_EQ(all->front().text, "one, and longer than fifteen letters");
      EXPECT_TRUE(check_containers(*as_seen(all), reader_begin(), reader_bytes()));
      all->emplace_back("more");
    }
    destroy(other);
    destroy(all);
  };
  fill();
  const std::uint64_t before = used_bytes();
  fill();
  EXPECT_EQ(used_bytes(), before);
}

TEST_F(Containers, RefuseAPositionBeyondTheEnd) {
  const Vector<int> numbers{1};
  const Map<int, int> map{{1, 1}};
  String text = "text";
  EXPECT_THROW((void)numbers.at(1), std::out_of_range);
  EXPECT_THROW((void)map.at(2), std::out_of_range);
  EXPECT_THROW((void)text.at(4), std::out_of_range);
  EXPECT_THROW(text.insert(5, "x"), std::out_of_range);
  EXPECT_THROW((void)text.substr(5), std::out_of_range);
}
#else
TEST_F(Containers, SayWhatWasNeededAndWhatThereIsWhenTheHeapIsFull) {
  const std::string words = last_words(root, [] {
    FileWithHeap small(kMiB);
    small.construct<Vector<Point>>()->resize(kMiB);
  });
  EXPECT_NE(words.find("cannot allocate 12582912 bytes"), std::string::npos) << words;
  EXPECT_NE(words.find("1048576 bytes of address space"), std::string::npos) << words;
}
#endif

TEST_F(Containers, AReceivedOneCannotBeChanged) {
  const auto change = [&](auto how) {
    return last_words(root, [&] {
      FileWithHeap own(kMiB);
      auto* numbers = own.construct<Vector<int>>();
      numbers->assign({1, 2, 3});
      how(const_cast<Vector<int>&>(*own.as_seen(numbers)));
    });
  };
  for (const std::string& words : {change([](Vector<int>& seen) { seen.reserve(1000); }),
                                   change([](Vector<int>& seen) { seen.push_back(4); }),
                                   change([](Vector<int>& seen) { seen.~Vector<int>(); })}) {
    EXPECT_NE(words.find("does not own"), std::string::npos) << words;
    EXPECT_NE(words.find("change a copy"), std::string::npos) << words;
  }
}

TEST_F(Containers, OneThatOutlivesItsHeapIsNotFreedInAnother) {
  const std::string words = last_words(root, [] {
    std::optional<FileWithHeap> gone(std::in_place, kMiB);
    Vector<int> numbers(5, 1, gone->allocator());
    gone.reset();
  });
  EXPECT_NE(words.find("does not own"), std::string::npos) << words;
}

// --- as the standard ones ---------------------------------------------------------------------

template <typename T, typename Make>
void compare_with_standard_vector(const Allocator<>& allocator, Make make) {
  std::mt19937 random(7);
  Vector<T> ours(allocator);
  std::vector<decltype(make(0U))> theirs;
  std::size_t largest = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::size_t size = theirs.size();
    const std::size_t at = random() % (size + 1);
    const std::size_t count = random() % 5;
    const auto value = make(static_cast<unsigned>(random() % 1000));
    const auto our_at = ours.begin() + static_cast<std::ptrdiff_t>(at);
    const auto their_at = theirs.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 14) {
      case 0:
      case 1:
        ours.emplace_back(value);
        theirs.emplace_back(value);
        break;
      case 2:
        ours.insert(our_at, T(value));
        theirs.insert(their_at, value);
        break;
      case 3:
        EXPECT_EQ(ours.insert(our_at, count, T(value)) - ours.begin(),
                  static_cast<std::ptrdiff_t>(at));
        theirs.insert(their_at, count, value);
        break;
      case 4: {
        const std::vector<decltype(make(0U))> range(count, value);
        ours.insert(our_at, range.begin(), range.end());
        theirs.insert(their_at, range.begin(), range.end());
        break;
      }
      case 5:
        if (at < size) {
          EXPECT_EQ(ours.erase(our_at) - ours.begin(), static_cast<std::ptrdiff_t>(at));
          theirs.erase(their_at);
        }
        break;
      case 6: {
        const auto less = static_cast<std::ptrdiff_t>(std::min(count, size - at));
        ours.erase(our_at, our_at + less);
        theirs.erase(their_at, their_at + less);
        break;
      }
      case 7:
        ours.resize(at + count);
        theirs.resize(at + count);
        break;
      case 8:
        ours.resize(at + count, T(value));
        theirs.resize(at + count, value);
        break;
      case 9:
        if (size > 0) {
          ours.push_back(ours[at % size]);
          theirs.push_back(theirs[at % size]);
          ours.insert(ours.begin(), ours.back());
          theirs.insert(theirs.begin(), theirs.back());
        }
        break;
      case 10: {
        Vector<T> other(ours, round % 2 == 0 ? Allocator<>() : allocator);
        ours.clear();
        ours = std::move(other);
        break;
      }
      case 11:
        ours.shrink_to_fit();
        EXPECT_EQ(ours.capacity(), ours.size());
        break;
      case 12:
        if (size > 0) {
          ours.pop_back();
          theirs.pop_back();
        }
        break;
      default:
        if (random() % 20 == 0) {
          ours.assign(count, T(value));
          theirs.assign(count, value);
        }
    }
    ASSERT_TRUE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end())) << round;
    largest = std::max(largest, theirs.size());
  }
  EXPECT_GT(largest, 30U);
}

TEST_F(Containers, AVectorDoesWhatTheStandardOneDoes) {
  const auto number = [](unsigned i) { return static_cast<int>(i); };
  const auto text = [](unsigned i) { return "number " + std::to_string(i * i * i); };
  compare_with_standard_vector<int>(allocator(), number);
  compare_with_standard_vector<int>({}, number);
  compare_with_standard_vector<String>(allocator(), text);
  compare_with_standard_vector<String>({}, text);
}

TEST_F(Containers, AVectorTakesItsOwnElementsAsArguments) {
  Vector<String> texts(1, "a text that is longer than fifteen", allocator());
  for (int i = 0; i < 10; ++i) texts.push_back(texts.front());
  for (int i = 0; i < 10; ++i) texts.emplace_back(texts.front());
  for (int i = 0; i < 10; ++i) texts.insert(texts.begin(), texts.back());
  texts.resize(50, texts.front());
  for (const String& text : texts) EXPECT_EQ(text, "a text that is longer than fifteen");
}

TEST_F(Containers, AStringDoesWhatTheStandardOneDoes) {
  std::mt19937 random(7);
  for (const Allocator<>& heap_or_private : {allocator(), Allocator<>()}) {
    String ours(heap_or_private);
    std::string theirs;
    for (int round = 0; round < 5000; ++round) {
      const std::size_t at = random() % (theirs.size() + 1);
      const std::size_t count = random() % 7;
      const std::string text(random() % 12, static_cast<char>('a' + random() % 26));
      switch (random() % 12) {
        case 0:
          ours.append(text);
          theirs.append(text);
          break;
        case 1:
          ours.insert(at, text);
          theirs.insert(at, text);
          break;
        case 2:
        case 3:
          ours.erase(at, 3 * count);
          theirs.erase(at, 3 * count);
          break;
        case 4:
          ours.replace(at, count, text);
          theirs.replace(at, count, text);
          break;
        case 5:  // part of itself
          ours.replace(at, count, ours.view().substr(at / 2, count));
          theirs.replace(at, count, std::string(theirs.substr(at / 2, count)));
          break;
        case 6:
          ours.resize(at + count, 'r');
          theirs.resize(at + count, 'r');
          break;
        case 7:
          ours.push_back('p');
          theirs.push_back('p');
          break;
        case 8: {
          String other(ours, round % 2 == 0 ? Allocator<>() : heap_or_private);
          ours = "";
          ours = std::move(other);
          break;
        }
        case 9:
          if (random() % 20 == 0) {
            ours = ours.view().substr(at);
            theirs = std::string(theirs.substr(at));
          }
          break;
        case 10: {
          String moved(std::move(ours));
          EXPECT_TRUE(ours.empty());  // NOLINT(bugprone-use-after-move)
          EXPECT_STREQ(ours.c_str(), "");
          swap(ours, moved);
          break;
        }
        default:
          EXPECT_EQ(ours.substr(at, count), theirs.substr(at, count));
      }
      ASSERT_EQ(ours, theirs) << round;
      ASSERT_STREQ(ours.c_str(), theirs.c_str());
    }
  }
}

TEST_F(Containers, AMapDoesWhatTheStandardOneDoes) {
  std::mt19937 random(7);
  Map<String, int> ours(allocator());
  std::map<std::string, int> theirs;
  for (int round = 0; round < 5000; ++round) {
    const std::string key = std::to_string(random() % 300) + " is a key of some length";
    switch (random() % 5) {
      case 0:
        EXPECT_EQ(ours.try_emplace(key, round).second, theirs.try_emplace(key, round).second);
        break;
      case 1:
        ours.insert_or_assign(key, round);
        theirs.insert_or_assign(key, round);
        break;
      case 2:
        EXPECT_EQ(ours.erase(key), theirs.erase(key));
        break;
      case 3:
        ours[key] += round;
        theirs[key] += round;
        break;
      default:
        EXPECT_EQ(ours.count(key), theirs.count(key));
        if (ours.contains(key)) {
          EXPECT_EQ(ours.at(key), theirs.at(key));
        }
    }
  }
  ASSERT_EQ(ours.size(), theirs.size());
  EXPECT_TRUE(std::equal(
      ours.begin(), ours.end(), theirs.begin(),
      [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
  Map<String, int> copy = ours;
  EXPECT_EQ(copy, ours);
  copy.erase(copy.begin());
  EXPECT_NE(copy, ours);
}

TEST_F(Containers, CompareAndPrintAsExpected) {
  EXPECT_LT((Vector<int>{1, 2}), (Vector<int>{1, 3}));
  EXPECT_EQ(String("b"), std::string_view("b"));
  EXPECT_LT(String("a"), "b");
  EXPECT_NE("a", String("b"));
  const String text = std::string("from a std::string");
  const std::string_view view = text;
  EXPECT_EQ(view, "from a std::string");
  std::ostringstream stream;
  stream << text;
  EXPECT_EQ(stream.str(), view);
  EXPECT_TRUE(text.starts_with("from") && text.ends_with("string") && text.find("std") == 7);
}

TEST_F(Containers, TakeElementsThatNoAllocatorIsFor) {
  auto* ids = construct<Vector<Id>>();
  ids->emplace_back(7);
  auto* arrays = construct<Vector<std::array<int, 3>>>();
  arrays->push_back({1, 2, 3});
  auto* points = construct<Map<int, Point>>();
  points->try_emplace(1, Point{1, 2, 3});
  (*points)[2] = {4, 5, 6};
  construct<Vector<Point>>()->emplace_back(1.F, 2.F, 3.F);
  EXPECT_EQ(as_seen(ids)->at(0).value, 7);
  EXPECT_EQ(as_seen(arrays)->at(0)[2], 3);
  EXPECT_EQ(as_seen(points)->at(2), (Point{4, 5, 6}));
  struct alignas(256) Aligned {
    char c;
  };
  auto* aligned = construct<Vector<Aligned>>();
  for (int i = 0; i < 100; ++i) aligned->push_back({'x'});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned->data()) % 256, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Vector<Aligned>(3).data()) % 256, 0U);
}

}  // namespace
}  // namespace sluice
