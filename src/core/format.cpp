// SPDX-License-Identifier: Apache-2.0
#include <fmt/args.h>
#include <fmt/format.h>

#include <sluice/core/format.hpp>

namespace sluice {

std::string format_checked(std::string_view pattern,
                           std::initializer_list<FormatArgument> arguments) {
  fmt::dynamic_format_arg_store<fmt::format_context> store;
  for (const FormatArgument& argument : arguments) {
    switch (argument.kind) {
      case FormatArgument::Kind::signed_integer:
        store.push_back(static_cast<std::int64_t>(argument.bits));
        break;
      case FormatArgument::Kind::unsigned_integer:
        store.push_back(argument.bits);
        break;
      case FormatArgument::Kind::text:
        store.push_back(argument.text);
        break;
    }
  }
  return fmt::vformat(pattern, store);
}

}  // namespace sluice
