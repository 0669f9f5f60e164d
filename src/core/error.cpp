// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <sluice/core/error.hpp>

namespace sluice {
namespace {

const char* text(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::would_block:
      return "would block";
    case Errc::timed_out:
      return "timed out";
    case Errc::too_many_loans:
      return "too many loans";
    case Errc::too_many_borrowed:
      return "too many borrowed samples";
    case Errc::too_many_ports:
      return "too many ports";
    case Errc::no_memory:
      return "no memory";
    case Errc::no_address_space:
      return "no address space";
    case Errc::no_permission:
      return "no permission";
    case Errc::invalid_name:
      return "invalid name";
    case Errc::invalid_options:
      return "invalid options";
    case Errc::type_mismatch:
      return "type mismatch";
    case Errc::delivery_mismatch:
      return "delivery mismatch";
    case Errc::version_mismatch:
      return "version mismatch";
    case Errc::corrupted:
      return "corrupted";
    case Errc::locks_unsupported:
      return "locks unsupported";
    case Errc::already_exists:
      return "already exists";
    case Errc::not_found:
      return "not found";
    case Errc::forked:
      return "used in a forked child";
    case Errc::peer_died:
      return "server died";
    case Errc::unanswered:
      return "not answered";
    case Errc::abandoned:
      return "abandoned";
    case Errc::closed:
      return "closed";
    case Errc::system:
      return "system error";
  }
  return "unknown";
}

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sluice"; }
  [[nodiscard]] std::string message(int code) const override {
    return text(static_cast<Errc>(code));
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
