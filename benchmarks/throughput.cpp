// SPDX-License-Identifier: Apache-2.0
//
// What the calls cost: publish and receive in one process; loan and publish by the number of
// subscribers; handing over by the size of the payload; a lossless stream between two processes.
//
//   sluice_bench_throughput [--quick] [Google Benchmark's own options]
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "support.hpp"

namespace {

using namespace std::chrono_literals;

template <std::size_t Bytes>
struct Block {
  std::byte bytes[Bytes];
};
using Small = Block<16>;

// Set before the first benchmark runs.
std::string root;
std::vector<int> cores;

void publish_and_receive(benchmark::State& state) {
  sluice::Node node("bench", {.root = root});
  sluice::Publisher<Small> publisher(node, "small");
  sluice::Subscriber<Small> subscriber(node, "small");
  Small value{};
  publisher.publish(value);  // each end finds the other
  (void)subscriber.receive();
  for (auto _ : state) {
    publisher.publish(value);
    auto sample = subscriber.receive();
    benchmark::DoNotOptimize(value = *sample);
  }
  state.SetItemsProcessed(state.iterations());
}

/// Each subscriber holds a sample, so that the publisher's look at their claims finds some.
void loan_and_publish(benchmark::State& state) {
  sluice::Node node("bench", {.root = root});
  sluice::Publisher<Block<64>> publisher(node, "many", {.history = 1});
  publisher.publish(Block<64>{});
  std::vector<sluice::Subscriber<Block<64>>> subscribers;
  std::vector<sluice::Sample<Block<64>>> held;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    subscribers.emplace_back(node, "many");
    held.push_back(subscribers.back().receive());
  }
  publisher.publish(Block<64>{});  // finds that they have come
  for (auto _ : state) {
    auto loan = publisher.loan();
    benchmark::DoNotOptimize(loan.get());
    publisher.publish(std::move(loan));
  }
  state.SetItemsProcessed(state.iterations());
}

/// Loan, publish, receive, release; nobody touches the payload.
template <std::size_t Bytes>
void hand_over(benchmark::State& state) {
  sluice::Node node("bench", {.root = root});
  const std::string service = "block" + std::to_string(Bytes);
  auto publisher =
      sluice::Publisher<Block<Bytes>>::create(node, service, {.depth = 1, .max_loans = 1});
  if (!publisher) return state.SkipWithError(publisher.failure().message.c_str());
  auto subscriber = sluice::Subscriber<Block<Bytes>>::create(node, service, {.max_borrowed = 1});
  if (!subscriber) return state.SkipWithError(subscriber.failure().message.c_str());
  publisher->publish(publisher->loan());  // each end finds the other
  (void)subscriber->receive();
  for (auto _ : state) {
    auto loan = publisher->loan();
    if (!loan) return state.SkipWithError(publisher->last_failure().message.c_str());
    publisher->publish(std::move(loan));
    auto sample = subscriber->receive();
    benchmark::DoNotOptimize(sample.get());
  }
  state.SetItemsProcessed(state.iterations());
}

struct Stream {
  std::atomic<std::uint64_t> received;
  std::atomic<bool> is_over;
};

int read_stream(Stream& stream, bool is_polling, int core) {
  bench::pin_to(core);
  sluice::Node node("reader", {.root = root});
  sluice::Subscriber<Block<64>> subscriber(node, "stream");
  std::uint64_t received = 0;
  for (;;) {
    auto sample = is_polling ? subscriber.receive() : subscriber.wait(100ms);
    if (sample) {
      if (sample.sequence() != received++) return 1;
      continue;
    }
    // release: pairs with the acquire in `lossless_stream`.
    stream.received.store(received, std::memory_order_release);
    if (stream.is_over.load(std::memory_order_acquire)) return 0;
  }
}

/// Argument 0: both sides sleep when they must wait; 1: both poll.
void lossless_stream(benchmark::State& state) {
  if (cores.size() < 2) return state.SkipWithError("needs two cores");
  const bool is_polling = state.range(0) != 0;
  auto& stream = bench::shared<Stream>();
  const pid_t reader = bench::spawn([&] { return read_stream(stream, is_polling, cores[1]); });
  bench::pin_to(cores[0]);
  {
    sluice::Node node("writer", {.root = root});
    sluice::Publisher<Block<64>> publisher(node, "stream",
                                           {.depth = 1024, .delivery = sluice::Delivery::lossless});
    bench::wait_for_subscribers(publisher, 1);
    std::uint64_t published = 0;
    for (auto _ : state) {
      auto loan = is_polling ? publisher.loan() : publisher.loan_for(10s);
      while (!loan && is_polling) loan = publisher.loan();
      if (!loan) {
        state.SkipWithError(publisher.last_failure().message.c_str());
        break;
      }
      published = publisher.publish(std::move(loan)) + 1;
    }
    while (stream.received.load(std::memory_order_acquire) < published) {
    }
    stream.is_over.store(true, std::memory_order_release);
    if (bench::wait_for(reader) != 0) state.SkipWithError("a sample was lost");
  }
  ::munmap(&stream, sizeof stream);
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(publish_and_receive)->Name("publish and receive 16 bytes");
BENCHMARK(loan_and_publish)->Name("loan and publish/subscribers")->Arg(0)->Arg(1)->Arg(8)->Arg(64);
BENCHMARK_TEMPLATE(hand_over, 64)->Name("hand over/64 B");
BENCHMARK_TEMPLATE(hand_over, 4 << 10)->Name("hand over/4 KiB");
BENCHMARK_TEMPLATE(hand_over, 256 << 10)->Name("hand over/256 KiB");
BENCHMARK_TEMPLATE(hand_over, 4 << 20)->Name("hand over/4 MiB");
BENCHMARK_TEMPLATE(hand_over, 64 << 20)->Name("hand over/64 MiB");
BENCHMARK(lossless_stream)->Name("lossless stream/polling")->Arg(0)->Arg(1)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string quick_options[] = {"--benchmark_min_time=0.002", "--benchmark_filter=-/64 MiB"};
  if (bench::has_flag(argc, argv, "--quick")) {
    std::erase_if(arguments, [](const char* text) { return std::strcmp(text, "--quick") == 0; });
    for (std::string& option : quick_options) arguments.push_back(option.data());
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  return bench::with_root([](const std::string& own_root) {
    root = own_root;
    cores = bench::cores();
    return benchmark::RunSpecifiedBenchmarks() == 0 ? 1 : 0;
  });
}
