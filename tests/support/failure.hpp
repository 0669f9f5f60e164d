// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <sluice/core/error.hpp>
#include <string>
#include <vector>

namespace sluice {

/// Whether a failure has the cause `code` and a message with all of `words`.
inline testing::AssertionResult says(const Failure& failure, Errc code,
                                     const std::vector<std::string>& words) {
  if (failure.code != code) {
    return testing::AssertionFailure()
           << "the cause is " << static_cast<int>(failure.code) << ", message: " << failure.message;
  }
  for (const std::string& word : words) {
    if (failure.message.find(word) == std::string::npos) {
      return testing::AssertionFailure() << "no '" << word << "' in: " << failure.message;
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace sluice
