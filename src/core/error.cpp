// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <sluice/core/error.hpp>

namespace sluice {
namespace {

/// In the order of `Errc`.
constexpr const char* kTexts[] = {"ok",
                                  "would block",
                                  "timed out",
                                  "too many loans",
                                  "too many borrowed samples",
                                  "too many ports",
                                  "no memory",
                                  "no address space",
                                  "no permission",
                                  "invalid name",
                                  "invalid options",
                                  "type mismatch",
                                  "delivery mismatch",
                                  "version mismatch",
                                  "corrupted",
                                  "locks unsupported",
                                  "already exists",
                                  "not found",
                                  "used in a forked child",
                                  "server died",
                                  "not answered",
                                  "abandoned",
                                  "closed",
                                  "interrupted",
                                  "system error"};
static_assert(std::size(kTexts) == static_cast<std::size_t>(Errc::system) + 1);

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sluice"; }
  [[nodiscard]] std::string message(int code) const override {
    const auto index = static_cast<std::size_t>(code);
    return index < std::size(kTexts) ? kTexts[index] : "unknown";
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

void abort_with(const char* message) noexcept {
  std::fprintf(stderr, "sluice: %s\n", message);
  std::fflush(stderr);  // it may lead to a file
  std::abort();
}

}  // namespace sluice
