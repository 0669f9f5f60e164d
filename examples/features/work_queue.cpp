// SPDX-License-Identifier: Apache-2.0
//
// A work queue: each job goes to one worker. A job of a worker that dies goes to another one.
//
//   work_queue produce <tiles>                 pushes them, and stays until they are done
//   work_queue work <milliseconds a tile>      as many of these as you like; kill -9 any of them
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sluice/sluice.hpp>
#include <string_view>
#include <thread>

using namespace std::chrono_literals;

struct Tile {
  int number;
  double left, top, zoom;
};

int produce(int count) {
  sluice::Node node{"map"};
  sluice::Producer<Tile> tiles{node, "tiles", {.depth = 64}};
  for (int number = 1; number <= count; ++number) {
    if (!tiles.push_for(60s, Tile{number, 0.5 * number, 0, 1})) return 1;  // waits for room
  }
  if (!tiles.wait_until_done(60s)) return 1;
  std::printf("%d tiles are done\n", count);
  return 0;
}

int work(std::chrono::milliseconds effort) {
  sluice::Node node{"renderer"};
  sluice::Worker<Tile> tiles{node, "tiles"};
  while (const auto tile = tiles.wait(3s)) {
    std::printf("tile %d, attempt %u\n", tile->number, tile.attempt());
    std::fflush(stdout);
    std::this_thread::sleep_for(effort);
  }  // the end of the handle: the tile is done
  return 0;
}

int main(int argc, char** argv) {
  const std::string_view role = argc == 3 ? argv[1] : "";
  if (role == "produce") return produce(std::atoi(argv[2]));
  if (role == "work") return work(std::chrono::milliseconds(std::atoi(argv[2])));
  std::fprintf(stderr, "usage: work_queue produce <tiles> | work <milliseconds a tile>\n");
  return 2;
}
