// SPDX-License-Identifier: Apache-2.0
//
// hand_over small|small_shallow|small_in_parts|large <subscribers> <samples>: publishes samples of
// 64 bytes or 64 MiB without writing the payload. One subscriber takes and releases each, others
// hold what they may. What a sample costs is the difference between two runs; see
// instructions_test.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sluice/sluice.hpp>
#include <vector>

namespace {

template <std::size_t bytes>
struct Blob {
  std::array<std::byte, bytes> content;
};
using Small = Blob<64>;
using Large = Blob<std::size_t{64} << 20>;

/// One sample from loan to release. Only what happens in here is counted.
template <typename T>
[[gnu::noinline]] bool hand_over_one(sluice::Publisher<T>& publisher,
                                     sluice::Subscriber<T>& reader) {
  publisher.publish(publisher.loan());
  return static_cast<bool>(reader.receive());
}

/// The publisher's part of it, and the subscriber's; each is counted by itself.
template <typename T>
[[gnu::noinline]] void loan_and_publish(sluice::Publisher<T>& publisher) {
  publisher.publish(publisher.loan());
}
template <typename T>
[[gnu::noinline]] bool receive_and_release(sluice::Subscriber<T>& reader) {
  return static_cast<bool>(reader.receive());
}
template <typename T>
bool hand_over_in_parts(sluice::Publisher<T>& publisher, sluice::Subscriber<T>& reader) {
  loan_and_publish(publisher);
  return receive_and_release(reader);
}

template <typename T>
int run(const sluice::PublisherOptions& options, const sluice::SubscriberOptions& reader_options,
        int subscribers, long samples,
        bool (*hand_over)(sluice::Publisher<T>&, sluice::Subscriber<T>&) = hand_over_one<T>) {
  sluice::Node node("cost");
  sluice::Publisher<T> publisher(node, "blobs", options);
  std::vector<std::unique_ptr<sluice::Subscriber<T>>> holders;
  std::vector<sluice::Sample<T>> held;
  for (int i = 1; i < subscribers; ++i) {
    holders.push_back(std::make_unique<sluice::Subscriber<T>>(node, "blobs", reader_options));
  }
  sluice::Subscriber<T> reader(node, "blobs", reader_options);
  for (std::uint32_t i = 0; i < reader_options.max_borrowed; ++i) {
    publisher.publish(publisher.loan());
    for (auto& holder : holders) held.push_back(holder->receive());
    if (!reader.receive()) return 1;
  }
  for (long i = 0; i < samples; ++i) {
    if (!hand_over(publisher, reader)) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int subscribers = std::atoi(argv[2]);
  const long samples = std::atol(argv[3]);
  if (std::strcmp(argv[1], "large") == 0) {
    return run<Large>({.depth = 1, .max_loans = 1}, {.max_borrowed = 1}, subscribers, samples);
  }
  if (std::strcmp(argv[1], "small_shallow") == 0) {
    return run<Small>({.depth = 1, .max_loans = 1}, {.max_borrowed = 1}, subscribers, samples);
  }
  if (std::strcmp(argv[1], "small_in_parts") == 0) {
    return run<Small>({.depth = 1, .max_loans = 1}, {.max_borrowed = 1}, subscribers, samples,
                      hand_over_in_parts<Small>);
  }
  return run<Small>({}, {}, subscribers, samples);
}
