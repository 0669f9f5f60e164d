// SPDX-License-Identifier: Apache-2.0
#include "map_picture.hpp"

#include <png.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace robot_map {
namespace {

struct Color {
  double red, green, blue;
};

constexpr Color kUnknown{207, 212, 219};
constexpr Color kFree{255, 255, 255};
constexpr Color kOccupied{24, 28, 40};
constexpr Color kPathBegin{38, 110, 240};
constexpr Color kPathEnd{240, 90, 40};
constexpr double kMargin_m = 2.0;

Color mix(Color a, Color b, double share) {
  return {a.red + (b.red - a.red) * share, a.green + (b.green - a.green) * share,
          a.blue + (b.blue - a.blue) * share};
}

/// A picture with its first row at the top.
class Picture {
 public:
  Picture(std::int32_t width, std::int32_t height)
      : width_(width),
        height_(height),
        pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3) {}

  [[nodiscard]] std::int32_t width() const { return width_; }
  [[nodiscard]] std::int32_t height() const { return height_; }
  [[nodiscard]] const std::uint8_t* bytes() const { return pixels_.data(); }

  void set(std::int32_t x, std::int32_t y, Color color, double share = 1.0) {
    if (x < 0 || y < 0 || x >= width_ || y >= height_ || share <= 0) return;
    std::uint8_t* pixel = &pixels_[static_cast<std::size_t>(y * width_ + x) * 3];
    const Color below{static_cast<double>(pixel[0]), static_cast<double>(pixel[1]),
                      static_cast<double>(pixel[2])};
    const Color mixed = mix(below, color, std::min(share, 1.0));
    pixel[0] = static_cast<std::uint8_t>(mixed.red + 0.5);
    pixel[1] = static_cast<std::uint8_t>(mixed.green + 0.5);
    pixel[2] = static_cast<std::uint8_t>(mixed.blue + 0.5);
  }

  /// With a soft edge. `x` and `y` may lie between pixels.
  void disc(double x, double y, double radius, Color color) {
    const auto reach = static_cast<std::int32_t>(radius + 2);
    const auto column = static_cast<std::int32_t>(x);
    const auto row = static_cast<std::int32_t>(y);
    for (std::int32_t r = row - reach; r <= row + reach; ++r) {
      for (std::int32_t c = column - reach; c <= column + reach; ++c) {
        set(c, r, color, radius + 0.5 - std::hypot(c + 0.5 - x, r + 0.5 - y));
      }
    }
  }

  void rectangle(std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t height,
                 Color color) {
    for (std::int32_t r = y; r < y + height; ++r) {
      for (std::int32_t c = x; c < x + width; ++c) set(c, r, color);
    }
  }

 private:
  std::int32_t width_;
  std::int32_t height_;
  std::vector<std::uint8_t> pixels_;
};

void draw_grid(Picture& picture, const OccupancyGrid& grid, const OccupancyGrid::Box& box) {
  for (std::int32_t row = 0; row < picture.height(); ++row) {
    for (std::int32_t column = 0; column < picture.width(); ++column) {
      const double occupancy = grid.occupancy({box.low.x + column, box.high.y - row});
      // Little evidence is enough to be seen: the square root lifts it.
      picture.set(column, row,
                  mix(kUnknown, occupancy > 0 ? kOccupied : kFree, std::sqrt(std::abs(occupancy))));
    }
  }
}

void draw_path(Picture& picture, const OccupancyGrid& grid, const OccupancyGrid::Box& box,
               const std::vector<Odometry>& path) {
  const auto column = [&](double x_m) { return x_m / grid.cell_m() - box.low.x; };
  const auto row = [&](double y_m) { return box.high.y + 1 - y_m / grid.cell_m(); };
  const auto disc = [&](const Odometry& pose, double radius_m, Color color) {
    picture.disc(column(pose.x_m), row(pose.y_m), radius_m / grid.cell_m(), color);
  };
  for (std::size_t i = 1; i < path.size(); ++i) {
    constexpr int kDots = 16;  // from each pose to the next
    for (int dot = 0; dot <= kDots; ++dot) {
      const double share = static_cast<double>(dot) / kDots;
      Odometry between{};
      between.x_m = path[i - 1].x_m + (path[i].x_m - path[i - 1].x_m) * share;
      between.y_m = path[i - 1].y_m + (path[i].y_m - path[i - 1].y_m) * share;
      const double done = (static_cast<double>(i - 1) + share) / static_cast<double>(path.size());
      disc(between, 0.12, mix(kPathBegin, kPathEnd, done));
    }
  }
  for (const auto& [pose, color] : {std::pair{path.front(), kPathBegin}, {path.back(), kPathEnd}}) {
    disc(pose, 0.65, kOccupied);
    disc(pose, 0.5, kFree);
    disc(pose, 0.35, color);
  }
}

/// A bar of 10 m with its name, in the lower left corner.
void draw_scale(Picture& picture, const OccupancyGrid& grid) {
  const auto length = static_cast<std::int32_t>(10 / grid.cell_m());
  const std::int32_t left = 20;
  const std::int32_t bottom = picture.height() - 20;
  picture.rectangle(left, bottom - 3, length, 3, kOccupied);
  picture.rectangle(left, bottom - 10, 2, 10, kOccupied);
  picture.rectangle(left + length - 2, bottom - 10, 2, 10, kOccupied);
  constexpr const char* kName[] = {".#...#.........", "##..#.#..##.##.", ".#..#.#..#.#.#.",
                                   ".#..#.#..#.#.#.", "###..#...#.#.#."};
  constexpr std::int32_t kDot = 3;
  for (std::int32_t row = 0; row < 5; ++row) {
    for (std::int32_t column = 0; kName[row][column] != '\0'; ++column) {
      if (kName[row][column] != '#') continue;
      picture.rectangle(left + 10 + column * kDot, bottom - 25 + row * kDot, kDot, kDot, kOccupied);
    }
  }
}

std::string save(const Picture& picture, const std::string& file) {
  const std::string unfinished = file + "." + std::to_string(::getpid());
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width());
  image.height = static_cast<png_uint_32>(picture.height());
  image.format = PNG_FORMAT_RGB;
  std::string error;
  if (png_image_write_to_file(&image, unfinished.c_str(), 0, picture.bytes(), 0, nullptr) == 0) {
    error = image.message;
  } else if (std::rename(unfinished.c_str(), file.c_str()) != 0) {
    error = std::strerror(errno);
  }
  if (error.empty()) return {};
  std::remove(unfinished.c_str());
  return file + " cannot be written: " + error;
}

}  // namespace

std::string write_picture(const OccupancyGrid& grid, const std::vector<Odometry>& path,
                          const std::string& file) {
  if (path.empty()) return "there is nothing to draw yet";
  OccupancyGrid::Box box = grid.occupied_box(0.4, grid.cell_at(path.front().x_m, path.front().y_m));
  const auto margin = static_cast<std::int32_t>(kMargin_m / grid.cell_m());
  box = {{box.low.x - margin, box.low.y - margin}, {box.high.x + margin, box.high.y + margin}};
  Picture picture(box.high.x - box.low.x + 1, box.high.y - box.low.y + 1);
  draw_grid(picture, grid, box);
  draw_path(picture, grid, box, path);
  draw_scale(picture, grid);
  return save(picture, file);
}

}  // namespace robot_map
