// SPDX-License-Identifier: Apache-2.0
//
// A subscriber in an event loop of your own: fd() can be read when there is something. The same
// goes for Qt (QSocketNotifier), asio (posix::stream_descriptor) and others.
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/sluice.hpp>

using namespace std::chrono_literals;

constexpr int kSamples = 1000;

int publish() {
  sluice::Node node{"counter"};
  sluice::Publisher<int> publisher{
      node, "numbers", {.depth = 4, .delivery = sluice::Delivery::lossless}};
  while (publisher.subscribers() == 0) ::usleep(1000);
  for (int i = 0; i < kSamples; ++i) publisher.publish(publisher.loan_for(10s, i));
  return 0;
}

int main() {
  const pid_t child = ::fork();
  if (child == 0) return publish();

  sluice::Node node{"listener"};
  sluice::Subscriber<int> subscriber{node, "numbers"};
  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = subscriber.fd();
  if (::epoll_ctl(loop, EPOLL_CTL_ADD, subscriber.fd(), &event) != 0) return 1;

  int next = 0;
  while (next < kSamples && ::epoll_wait(loop, &event, 1, 10'000) == 1) {
    // Until there is nothing more: only then is the descriptor no longer readable.
    while (auto number = subscriber.receive()) {
      if (*number != next++) return 2;
    }
  }
  std::printf("received %d numbers, lost %llu\n", next,
              static_cast<unsigned long long>(subscriber.lost()));
  ::close(loop);
  int status = 0;
  ::waitpid(child, &status, 0);
  return next == kSamples && status == 0 ? 0 : 1;
}
