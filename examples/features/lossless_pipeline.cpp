// SPDX-License-Identifier: Apache-2.0
//
// Lossless delivery: a fast camera and a slow detector, each its own process. The camera waits for
// the detector instead of losing images. If the detector died, the camera would not wait for it.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/sluice.hpp>
#include <thread>

using namespace std::chrono_literals;

struct Image {
  unsigned number;
  unsigned char pixels[640][480];
};
constexpr unsigned kImages = 200;

int camera() {
  sluice::Node node{"camera"};
  sluice::Publisher<Image> images{
      node, "image", {.depth = 4, .delivery = sluice::Delivery::lossless}};
  while (images.subscribers() == 0) std::this_thread::sleep_for(1ms);
  for (unsigned number = 0; number < kImages; ++number) {
    auto image = images.loan_for(10s);  // waits for room
    if (!image) return 1;
    image->number = number;
    images.publish(std::move(image));
  }
  return 0;
}

int detector() {
  sluice::Node node{"detector"};
  sluice::Subscriber<Image> images{node, "image", {.depth = 4}};
  unsigned received = 0;
  while (received < kImages) {
    const auto image = images.wait(10s);
    if (!image || image->number != received) return 1;
    ++received;
    std::this_thread::sleep_for(1ms);  // hard work
  }
  std::printf("%u of %u images, %llu lost\n", received, kImages,
              static_cast<unsigned long long>(images.lost()));
  return 0;
}

int main() {
  const pid_t child = ::fork();  // before any node: ports do not survive a fork
  if (child == 0) return camera();
  const int failed = detector();
  int status = 0;
  ::waitpid(child, &status, 0);
  return failed != 0 || status != 0 ? 1 : 0;
}
