// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sluice/reflect/type_name.hpp>
#include <vector>

namespace sluice {
namespace {

using spelling::is_word;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

/// "long unsigned int" → "unsigned long"; any run of the words that make up integer types.
std::string integer_name(const std::vector<std::string_view>& words) {
  const auto count = [&](std::string_view word) {
    return std::count(words.begin(), words.end(), word);
  };
  std::string name;
  if (count("unsigned") > 0) name = "unsigned ";
  if (count("char") > 0) return (count("signed") > 0 ? "signed " : name) + "char";
  if (count("double") > 0) return count("long") > 0 ? "long double" : "double";
  if (count("__int128") > 0) return name + "__int128";
  if (count("short") > 0) return name + "short";
  if (count("long") > 1) return name + "long long";
  if (count("long") > 0) return name + "long";
  return name + "int";
}

bool is_integer_word(std::string_view word) {
  constexpr std::string_view words[] = {"unsigned", "signed", "long",   "short",
                                        "int",      "char",   "double", "__int128"};
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// 361UL → 361
std::string_view without_suffix(std::string_view word) {
  if (word.empty() || word.front() < '0' || word.front() > '9') return word;
  while (word.back() == 'u' || word.back() == 'U' || word.back() == 'l' || word.back() == 'L') {
    word.remove_suffix(1);
  }
  return word;
}

}  // namespace

std::string normalised_type_name(std::string_view spelling) {
  std::string text{spelling};
  replace_all(text, "{anonymous}", "(anonymous namespace)");
  replace_all(text, "<unnamed>", "(anonymous namespace)");
  for (const char* name : {"__cxx11::", "__1::", "_V2::"}) replace_all(text, name, "");

  std::string result;
  std::vector<std::string_view> integer;
  const std::string_view rest{text};
  const auto word_at = [&](std::size_t begin) {
    std::size_t end = begin;
    while (end < rest.size() && is_word(rest[end])) ++end;
    return rest.substr(begin, end - begin);
  };
  for (std::size_t i = 0; i < rest.size();) {
    if (is_word(rest[i])) {
      const std::string_view word = word_at(i);
      i += word.size();
      if (!is_integer_word(word)) {
        result += without_suffix(word);
        continue;
      }
      integer.push_back(word);
      const std::size_t next = std::min(rest.find_first_not_of(' ', i), rest.size());
      if (next > i && is_integer_word(word_at(next))) {
        i = next;
      } else {
        result += integer_name(integer);
        integer.clear();
      }
    } else if (rest[i] == ' ' && i > 0 && i + 1 < rest.size() && rest[i - 1] != ',' &&
               !(is_word(rest[i - 1]) && is_word(rest[i + 1]))) {
      ++i;  // "> >" → ">>", "char [4]" → "char[4]"
    } else {
      result += rest[i++];
    }
  }
  return result;
}

}  // namespace sluice
