// SPDX-License-Identifier: Apache-2.0
//
// Objects for gdb to print: printers_test.sh stops in `look` and compares what it says of them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sluice/containers.hpp>
#include <sluice/core/index.hpp>
#include <sluice/core/result.hpp>
#include <sluice/memory/offset_ptr.hpp>

namespace printed {

using sluice::Errc;
using sluice::Failure;
using sluice::offset_ptr;
using sluice::Result;
using sluice::String;
using sluice::Vector;

struct Link {
  int number = 0;
  offset_ptr<Link> next;
};

struct Point {
  int x, y;
};

Link second{2, nullptr};
Link first{1, &second};
offset_ptr<void> to_anything = &second;
offset_ptr<const offset_ptr<Link>> to_a_pointer = &first.next;

Vector<int> no_numbers;
Vector<int> numbers{3, 1, 4};
Vector<Point> points{{1, 2}, {3, 4}};
Vector<Vector<int>> rows{Vector<int>{1}, Vector<int>{2, 3}};

String no_text;
String short_text = "map";
String long_text = "longer than the object itself";
String text_with_zero{std::string_view("a\0b", 3)};

sluice::Map<int, int> no_entries;
sluice::Map<String, Vector<int>> entries{{"left", Vector<int>{1, 2}}, {"right", Vector<int>{}}};

sluice::StaticString<8> static_text = "map";
sluice::StaticString<8> no_static_text;
sluice::StaticVector<Point, 3> static_points{{1, 2}, {3, 4}};
sluice::StaticVector<sluice::StaticString<4>, 2> static_texts{"a", "b"};
sluice::StaticVector<int, 2> damaged_static{1, 2};

Result<int> plain_value = 7;
Result<String> class_value = String("held");
Result<int> failure = Failure{Errc::no_memory, "64 bytes are needed"};
Result<void> done;
Result<void> not_done = Failure{Errc::closed, "the port is closed"};

sluice::Slot slot = 5;
sluice::Slot no_slot = sluice::kNoSlot;
sluice::Seat seat = 2;

// As a reader may find it: the words say more than there is room for.
Vector<int> damaged{1, 2};
String damaged_text = "damaged";

template <typename Container>
void damage(Container& container) {
  const std::uint64_t size = 1000;
  std::memcpy(reinterpret_cast<std::byte*>(&container) + offsetof(sluice::ContainerWords, size),
              &size, sizeof size);
}

void damage(sluice::StaticVector<int, 2>& vector) {
  const std::uint32_t size = 1000;
  std::memcpy(reinterpret_cast<std::byte*>(&vector), &size, sizeof size);
}

[[gnu::noinline]] int look(const Vector<int>& by_reference, offset_ptr<Link> by_value) {
  return by_value->number + by_reference[0];
}

/// For `finish`, which shows what was returned.
[[gnu::noinline]] Result<Link*> give(bool succeeds) {
  if (!succeeds) return Failure{Errc::not_found, "there is no such link, and never was one"};
  return &first;
}

}  // namespace printed

int main() {
  printed::numbers.reserve(8);
  printed::damage(printed::damaged);
  printed::damage(printed::damaged_text);
  printed::damage(printed::damaged_static);
  const int seen = printed::look(printed::numbers, &printed::first);
  const bool given = printed::give(true) && !printed::give(false);
  std::_Exit(seen == 4 && given ? 0 : 1);
}
