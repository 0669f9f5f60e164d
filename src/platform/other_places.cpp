// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sluice/core/format.hpp>
#include <sluice/core/text.hpp>
#include <sluice/platform/other_places.hpp>
#include <sluice/platform/process.hpp>

namespace sluice {
namespace {

/// The user whose place has that name.
std::optional<uid_t> user_of(const std::string& name) {
  uid_t user = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, user);
  const bool is_number = error == std::errc{} && stop == end && std::to_string(user) == name;
  return is_number ? std::optional(user) : std::nullopt;
}

/// Anybody may put anything into the root: only what has a name that this library gives, and
/// belongs to whom the name says, is a place. In a user namespace owners have other numbers.
bool is_place(const Directory& root, const std::string& name, bool is_in_namespace) {
  const auto user = user_of(name);
  if (!user && name != kSharedPlace) return false;
  struct stat status {};
  if (::fstatat(root.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  return S_ISDIR(status.st_mode) && (!user || *user == status.st_uid || is_in_namespace);
}

bool is_in_user_namespace() {
  const auto found = user_namespace();
  return found && !found->is_initial;
}

}  // namespace

std::string hint_at_other_places(const RootOptions& options) {
  const auto root = open_directory_at_path(options.root);
  if (!root) return {};
  auto names = list(*root);
  if (!names) return {};
  const std::string own = place_of(options);
  const bool is_in_namespace = is_in_user_namespace();
  std::erase_if(*names, [&](const std::string& name) {
    return name == own || !is_place(*root, name, is_in_namespace);
  });
  if (names->empty()) return {};
  std::ranges::sort(*names);
  for (std::string& name : *names) name = root->path_of(name);
  return format(
      "this one looks into {}, others use {}; to see each other, be the same user, or "
      "all use Access::group or Access::world: see docs/deployment.md",
      root->path_of(own), first_few(*names));
}

std::string hint_at_user_namespace() {
  const auto found = user_namespace();
  if (!found || found->is_initial) return {};
  const std::string outside =
      found->outside ? format("user {}", *found->outside) : std::string("nobody that is known");
  return format(
      "this process is in a user namespace, in which user {} is {} outside; it may see "
      "other directories than those outside: see docs/deployment.md",
      ::geteuid(), outside);
}

std::string why_alone(const RootOptions& options) {
  std::string why;
  for (const std::string& hint : {hint_at_other_places(options), hint_at_user_namespace()}) {
    if (!hint.empty()) why += "; " + hint;
  }
  return why;
}

}  // namespace sluice
