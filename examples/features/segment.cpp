// SPDX-License-Identifier: Apache-2.0
//
// A segment of one's own: structures in shared memory without ports. `segment` makes one and keeps
// it until Ctrl-C; `segment read`, in another terminal, looks into it and cannot change it.
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sluice/memory/segment.hpp>

struct Cell {
  float height_m;
};

struct Grid {
  std::uint32_t width, height;
  sluice::offset_ptr<Cell> cells;  // an address that means the same in every process
};

int write() {
  auto segment =
      sluice::Segment::create("maps/floor1", {.reserve_bytes = std::size_t{1} << 30}).value();
  auto cells = segment.construct_array<Cell>(160'000);
  for (int i = 0; i < 160'000; ++i) cells[i].height_m = static_cast<float>(i % 400);
  // Named last: whoever finds the grid finds it complete.
  auto grid = segment.construct<Grid>("grid", 400u, 400u, cells);
  std::printf("the grid is there\n");
  std::fflush(stdout);
  std::signal(SIGINT, [](int) {});
  ::pause();
  segment.destroy(grid);
  return 0;
}

int read() {
  auto segment = sluice::Segment::open("maps/floor1").value();
  const Grid* grid = segment.find<Grid>("grid");  // the type is checked
  if (grid == nullptr) return 1;
  std::printf("a grid of %u x %u cells, the last %.0f m high\n", grid->width, grid->height,
              static_cast<double>(grid->cells[159'999].height_m));
  return 0;
}

int main(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], "read") == 0 ? read() : write();
}
