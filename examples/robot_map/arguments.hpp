// SPDX-License-Identifier: Apache-2.0
//
// Command lines of the form `--name value`.
#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace robot_map {

class Arguments {
 public:
  struct Option {
    std::string name;
    std::string value;  ///< the default
    std::string meaning;
  };

  /// Ends the process if the command line does not fit, or asks for help.
  Arguments(int argc, char** argv, std::string about, std::vector<Option> options)
      : program_(argv[0]), about_(std::move(about)), options_(std::move(options)) {
    for (int i = 1; i < argc; i += 2) {
      const std::string_view name = argv[i];
      if (name == "--help") usage(stdout, EXIT_SUCCESS);
      Option* const option = name.starts_with("--") ? find(name.substr(2)) : nullptr;
      if (option == nullptr || i + 1 == argc) {
        std::fprintf(stderr, "%s: %s\n", argv[i],
                     option == nullptr ? "no such option" : "its value is missing");
        usage(stderr, EXIT_FAILURE);
      }
      option->value = argv[i + 1];
    }
  }

  [[nodiscard]] const std::string& text(std::string_view name) { return find(name)->value; }

  /// Ends the process where the value is not a number from `least` on.
  [[nodiscard]] double number(std::string_view name, double least) {
    const std::string& value = text(name);
    const char* const end = value.data() + value.size();
    double number = 0;
    const auto [rest, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc{} && rest == end && number >= least) return number;
    std::fprintf(stderr, "--%s %s: not a number from %g on\n", find(name)->name.c_str(),
                 value.c_str(), least);
    usage(stderr, EXIT_FAILURE);
  }

 private:
  Option* find(std::string_view name) {
    for (Option& option : options_) {
      if (option.name == name) return &option;
    }
    return nullptr;
  }

  [[noreturn]] void usage(std::FILE* to, int status) const {
    std::fprintf(to, "%s\n\n%s [--option value]...\n", about_.c_str(), program_.c_str());
    for (const Option& option : options_) {
      std::fprintf(to, "  --%-9s %s (default: %s)\n", option.name.c_str(), option.meaning.c_str(),
                   option.value.c_str());
    }
    std::exit(status);
  }

  std::string program_;
  std::string about_;
  std::vector<Option> options_;
};

}  // namespace robot_map
