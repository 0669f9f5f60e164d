// SPDX-License-Identifier: Apache-2.0
//
// A payload with containers that tells which one it is, so that one that is not whole is noticed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sluice/containers.hpp>
#include <string>

namespace sluice {

struct Track {
  explicit Track(Allocator<> a) : name{a}, numbers{a}, notes{a} {}
  ~Track() { ++destroyed; }

  String name;
  Vector<std::uint64_t> numbers;
  Map<std::uint64_t, String> notes;
  static inline int destroyed = 0;  // by this process
};

/// Of the track `number`.
inline std::size_t length_of(std::uint64_t number) { return 3 + number % 3; }
inline std::string name_of_track(std::uint64_t number) {
  return "a name that is too long to be stored anywhere but in the heap: " + std::to_string(number);
}

inline void fill(Track& track, std::uint64_t number) {
  track.name = name_of_track(number).c_str();
  track.numbers.push_back(number);
  track.numbers.reserve(number % 3 * 3000);  // more than the pages that are there
  track.numbers.resize(length_of(number));
  track.numbers.back() = number;
  track.notes[number] = "the newest";
  track.notes[number + 1] = name_of_track(number + 1).c_str();
  track.notes.erase(number);
}

[[nodiscard]] inline bool is_whole(const Track& track, std::uint64_t number) {
  return std::string(track.name.c_str()) == name_of_track(number) &&
         track.numbers.size() == length_of(number) && track.numbers.front() == number &&
         track.numbers.back() == number && track.notes.size() == 1 &&
         std::string(track.notes.at(number + 1).c_str()) == name_of_track(number + 1);
}
/// The same, whichever it is.
[[nodiscard]] inline bool is_whole(const Track& track) {
  return is_whole(track, track.numbers.empty() ? 0 : track.numbers.front());
}

}  // namespace sluice
