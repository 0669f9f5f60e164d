// SPDX-License-Identifier: Apache-2.0
//
// An occupancy grid: a map of square cells, each with the evidence that it is free or occupied.
// Evidence is the logarithm of the odds, so that observations add up (Elfes 1989; Thrun, Burgard,
// Fox: Probabilistic Robotics, chapter 9). It grows by tiles wherever something is seen.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <unordered_map>
#include <vector>

namespace robot_map {

struct Cell {
  std::int32_t x;
  std::int32_t y;
  friend bool operator==(const Cell&, const Cell&) = default;
};

class OccupancyGrid {
 public:
  explicit OccupancyGrid(double cell_m) : cell_m_(cell_m) {}
  OccupancyGrid(const OccupancyGrid&) = delete;
  OccupancyGrid& operator=(const OccupancyGrid&) = delete;

  [[nodiscard]] double cell_m() const { return cell_m_; }

  [[nodiscard]] Cell cell_at(double x_m, double y_m) const {
    return {static_cast<std::int32_t>(std::floor(x_m / cell_m_)),
            static_cast<std::int32_t>(std::floor(y_m / cell_m_))};
  }

  /// One beam: free all the way from `from`, and occupied at `to`. The cells between are those of
  /// Bresenham's line.
  void trace(Cell from, Cell to) {
    const std::int32_t dx = std::abs(to.x - from.x);
    const std::int32_t dy = -std::abs(to.y - from.y);
    const std::int32_t step_x = from.x < to.x ? 1 : -1;
    const std::int32_t step_y = from.y < to.y ? 1 : -1;
    std::int32_t error = dx + dy;
    for (Cell at = from; at != to;) {
      add(at, kFree);
      const std::int32_t doubled = 2 * error;
      if (doubled >= dy) error += dy, at.x += step_x;
      if (doubled <= dx) error += dx, at.y += step_y;
    }
    add(to, kOccupied);
  }

  /// From -1, certainly free, over 0, never seen or undecided, to 1, certainly occupied.
  [[nodiscard]] double occupancy(Cell cell) const {
    const auto tile = tiles_.find(key(cell));
    if (tile == tiles_.end()) return 0;
    return static_cast<double>(tile->second[place(cell)]) / kCertain;
  }

  struct Box {
    Cell low;   ///< the cell with the smallest x and y
    Cell high;  ///< the cell with the largest
  };

  /// The smallest box that holds every cell with `occupancy` above `least`, and `start`.
  [[nodiscard]] Box occupied_box(double least, Cell start) const {
    Box box{start, start};
    for (const auto& [tile_key, tile] : tiles_) {
      for (std::int32_t i = 0; i < kTile * kTile; ++i) {
        if (tile[static_cast<std::size_t>(i)] <= least * kCertain) continue;
        const Cell cell{tile_key.x * kTile + i % kTile, tile_key.y * kTile + i / kTile};
        box.low = {std::min(box.low.x, cell.x), std::min(box.low.y, cell.y)};
        box.high = {std::max(box.high.x, cell.x), std::max(box.high.y, cell.y)};
      }
    }
    return box;
  }

 private:
  static constexpr std::int32_t kTile = 64;  // cells along an edge
  static constexpr std::int8_t kFree = -4;
  static constexpr std::int8_t kOccupied = 24;
  static constexpr std::int8_t kCertain = 100;

  using Tile = std::vector<std::int8_t>;  // row after row
  struct Hash {
    std::size_t operator()(Cell cell) const {
      return static_cast<std::size_t>(cell.x) * 0x9e3779b97f4a7c15 +
             static_cast<std::size_t>(cell.y);
    }
  };

  // Shifting and masking, unlike / and %, round down for negative numbers too.
  static Cell key(Cell cell) { return {cell.x >> 6, cell.y >> 6}; }
  static std::size_t place(Cell cell) {
    return static_cast<std::size_t>((cell.y & (kTile - 1)) * kTile + (cell.x & (kTile - 1)));
  }
  static_assert(kTile == 1 << 6);

  void add(Cell cell, std::int8_t evidence) {
    const Cell tile_key = key(cell);
    if (last_ == nullptr || last_key_ != tile_key) {
      last_ = &tiles_.try_emplace(tile_key, kTile * kTile).first->second;
      last_key_ = tile_key;
    }
    std::int8_t& log_odds = (*last_)[place(cell)];
    const int sum = log_odds + evidence;
    log_odds = static_cast<std::int8_t>(std::clamp<int>(sum, -kCertain, kCertain));
  }

  double cell_m_;
  std::unordered_map<Cell, Tile, Hash> tiles_;
  Tile* last_ = nullptr;  // the tile that `add` wrote last: a beam stays in it for a while
  Cell last_key_{};
};

}  // namespace robot_map
