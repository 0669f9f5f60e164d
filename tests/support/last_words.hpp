// SPDX-License-Identifier: Apache-2.0
//
// What a process says that aborts. A forked child that leaves no directory of its own, as a death
// test of GoogleTest would that has to make one.
#pragma once

#include <signal.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "support/child_process.hpp"
#include "support/temporary_root.hpp"

namespace sluice {

/// Runs `body()` in a child, which is to abort.
template <typename Body>
std::string last_words(const TemporaryRoot& root, Body&& body) {
  const std::string path = root.path() + "/words";
  ChildProcess child([&](const ChildProcess::Line&) {
    if (std::freopen(path.c_str(), "w", stderr) == nullptr) return 1;
    body();
    return 0;
  });
  if (child.wait() != 128 + SIGABRT) return "it did not abort";
  std::ifstream words(path);
  return {std::istreambuf_iterator<char>(words), std::istreambuf_iterator<char>()};
}

}  // namespace sluice
