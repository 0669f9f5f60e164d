// SPDX-License-Identifier: Apache-2.0
//
// Request and response: a client asks, every server of the service may answer.
//
//   request_response serve <requests>     answers so many, then ends
//   request_response ask <a> <b>          waits for a server to come, too
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sluice/sluice.hpp>
#include <string_view>

using namespace std::chrono_literals;

struct Add {
  std::int64_t a, b;
};
struct Sum {
  std::int64_t value;
};

int serve(int count) {
  sluice::Node node{"calculator"};
  sluice::Server<Add, Sum> server{node, "add"};
  std::printf("ready\n");
  std::fflush(stdout);
  while (count > 0) {
    auto request = server.wait(1s);
    if (!request) continue;
    request.respond(Sum{request->a + request->b});  // or loan() and respond(std::move(loan))
    --count;
  }  // the end of the handle: no more responses to that request
  return 0;
}

int ask(std::int64_t a, std::int64_t b) {
  sluice::Node node{"student"};
  sluice::Client<Add, Sum> client{node, "add"};
  const auto sum = client.call(Add{a, b}, 10s);
  if (!sum) {  // timed_out, or peer_died: the server was killed while it worked on it
    std::fprintf(stderr, "%s\n", client.last_failure().message.c_str());
    return 1;
  }
  std::printf("%lld + %lld = %lld\n", static_cast<long long>(a), static_cast<long long>(b),
              static_cast<long long>(sum->value));
  return 0;
}

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "serve" && argc == 3) return serve(std::atoi(argv[2]));
  if (role == "ask" && argc == 4) return ask(std::atoll(argv[2]), std::atoll(argv[3]));
  std::fprintf(stderr, "usage: request_response serve <requests> | ask <a> <b>\n");
  return 2;
}
