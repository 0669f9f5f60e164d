// SPDX-License-Identifier: Apache-2.0
//
// Requests and responses with containers: a client sends text of any length, the server answers
// with a map. Both are filled in shared memory, and read there by the other process.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <sluice/containers.hpp>
#include <sluice/sluice.hpp>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

struct Text {
  explicit Text(sluice::Allocator<> a) : lines{a} {}
  sluice::Vector<sluice::String> lines;
};
struct Words {
  explicit Words(sluice::Allocator<> a) : count{a} {}
  sluice::Map<sluice::String, int> count;
};

int serve() {
  sluice::Node node{"counter"};
  sluice::Server<Text, Words> server{node, "words"};
  auto request = server.wait(10s);
  if (!request) return 1;
  auto words = request.loan();
  if (!words) return 1;
  for (const auto& line : request->lines) {
    std::istringstream in{line.c_str()};
    for (std::string word; in >> word;) ++words->count[word];
  }
  request.respond(std::move(words));
  return 0;
}

int ask() {
  sluice::Node node{"writer"};
  sluice::Client<Text, Words> client{node, "words"};
  auto text = client.loan();
  if (!text) return 1;
  text->lines.emplace_back("to be or not to be");
  text->lines.emplace_back("that is the question");
  const auto words = client.call(std::move(text), 10s);  // checked: it lies in the server's memory
  if (!words) return 1;
  for (const auto& [word, count] : words->count) std::printf("%d %s\n", count, word.c_str());
  return 0;
}

int main() {
  if (::fork() == 0) return serve();  // before any node: ports do not survive a fork
  const int failed = ask();
  int status = 0;
  ::wait(&status);
  return failed != 0 || status != 0 ? 1 : 0;
}
