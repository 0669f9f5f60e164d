// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
#include <sluice/core/text.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/platform/root.hpp>

namespace sluice {
namespace {

constexpr const char* kDefaultRoot = "/dev/shm/sluice";
constexpr const char* kDomainCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
constexpr const char* kParts[] = {"nodes", "services", "segments"};

std::string from_environment(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

bool is_shared(const RootOptions& options) { return options.access != Access::owner; }

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}
/// The directory that holds `path`.
std::string parent_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
std::optional<std::string> real_path(const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return std::nullopt;
  std::string found = real;
  std::free(real);
  return found;
}

/// Whether `user` may stand for one whom this user namespace does not know, such as the root of the
/// host in a container without privileges.
bool may_be_unknown(uid_t user) {
  constexpr uid_t kOverflow = 65534;
  if (user != kOverflow) return false;
  const auto found = user_namespace();
  return !found || !found->is_initial;
}

/// Whoever owns a directory above the root can put another one in the root's place.
Result<void> check_above(const std::string& root, std::string directory) {
  const uid_t self = ::geteuid();
  for (;; directory = parent_of(directory)) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) return system_failure("look at", directory, errno);
    if (!S_ISDIR(status.st_mode)) {
      return Failure{Errc::corrupted,
                     format("the root {} cannot be made, because {} should be a directory and is "
                            "not; choose another SLUICE_ROOT",
                            root, directory)};
    }
    if (status.st_uid != 0 && status.st_uid != self && !may_be_unknown(status.st_uid)) {
      return Failure{Errc::no_permission,
                     format("the root {} lies in {}, which belongs to user {}, who could put "
                            "something else in its place; user {} needs a root below directories "
                            "that belong to itself or to root: choose another SLUICE_ROOT",
                            root, directory, status.st_uid, self)};
    }
    if (directory == "/") return {};
  }
}

Result<void> check_way_to(const std::string& given) {
  const std::string root = without_trailing_slashes(given);
  const std::string above = parent_of(root);
  const auto parent = real_path(above);
  if (!parent) {
    if (errno != ENOENT) return system_failure("find the directory of the root", above, errno);
    return Failure{Errc::not_found,
                   format("the root {} cannot be made, because there is no directory {}; make that "
                          "(mkdir -p), or choose another SLUICE_ROOT",
                          root, above)};
  }
  if (auto checked = check_above(root, *parent); !checked) return checked;
  // It may be a link to somewhere else.
  const auto real = real_path(root);
  return real && parent_of(*real) != *parent ? check_above(root, parent_of(*real)) : Result<void>();
}

Failure too_long(std::string_view what, std::string_view name) {
  return {Errc::invalid_name, format("a {} name is {} bytes long, at most {} are allowed", what,
                                     name.size(), kMaxNameBytes)};
}

Result<Directory> walk(const RootOptions& options, const std::string& part, bool make) {
  const auto make_mode = [make](mode_t mode) { return make ? std::optional(mode) : std::nullopt; };
  auto at = open_directory_at_path(options.root, make_mode(01777));
  for (const std::string& step : {place_of(options), options.domain, part}) {
    if (!at) return at;
    at = open_directory(*at, step, owner_below(options),
                        make_mode(is_shared(options) ? 01777 : 0700));
  }
  return at;
}

}  // namespace

Result<RootOptions> resolve(RootOptions options) {
  if (options.root.empty()) options.root = from_environment("SLUICE_ROOT", kDefaultRoot);
  if (options.domain.empty()) options.domain = from_environment("SLUICE_DOMAIN", "default");
  const std::string& domain = options.domain;
  const bool plain = domain.find_first_not_of(kDomainCharacters) == std::string::npos;
  if (!plain || domain.front() == '.' || domain.size() > kMaxDomainBytes) {
    return Failure{Errc::invalid_name,
                   format("domain '{}' is not a name of 1 to {} letters, digits, '_', '-' and "
                          "'.' that does not begin with '.'",
                          plain ? domain : "?", kMaxDomainBytes)};
  }
  return options;
}

Result<void> check_name(std::string_view what, std::string_view name) {
  if (name.empty()) {
    return Failure{Errc::invalid_name,
                   format("a {} name is empty; give it 1 to {} characters", what, kMaxNameBytes)};
  }
  if (name.size() > kMaxNameBytes) return too_long(what, name);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] > ' ' && name[i] <= '~') continue;
    return Failure{Errc::invalid_name,
                   format("a {} name has byte {:#04x} at position {}; printable ASCII without "
                          "blanks is allowed",
                          what, static_cast<unsigned char>(name[i]), i)};
  }
  return {};
}

Result<void> check_node_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) return too_long("node", name);
  for (std::size_t at = 0; at < name.size();) {
    const auto [bytes, fault] = first_character(name.substr(at));
    if (fault != TextFault::none) {
      return Failure{Errc::invalid_name,
                     format("a node name has byte {:#04x} at position {}, which is {}; UTF-8 "
                            "without control characters is allowed",
                            static_cast<unsigned char>(name[at]), at,
                            fault == TextFault::not_utf8 ? "not UTF-8" : "a control character")};
    }
    at += bytes;
  }
  return {};
}

std::string place_of(const RootOptions& options) {
  return options.access == Access::owner ? std::to_string(::geteuid()) : kSharedPlace;
}

std::string key_of(std::string_view name) { return format("{:016x}", hash_of(name)); }

mode_t directory_mode(Access access) noexcept {
  return access == Access::owner ? 0700 : access == Access::group ? 03770 : 01777;
}

mode_t file_mode(Access access) noexcept {
  return access == Access::owner ? 0600 : access == Access::group ? 0640 : 0644;
}

mode_t shared_page_mode(Access access) noexcept {
  return access == Access::owner ? 0600 : access == Access::group ? 0660 : 0666;
}

OwnedBy owner_below(const RootOptions& options) noexcept {
  return is_shared(options) ? OwnedBy::self_or_sticky : OwnedBy::self;
}

Result<Directory> make_domain_directory(const RootOptions& options, const std::string& part) {
  if (auto checked = check_way_to(options.root); !checked) return checked.failure();
  auto directory = walk(options, part, true);
  for (int i = 0; i < kMaxAttempts && !directory && directory.error() == Errc::not_found; ++i) {
    if (::access(options.root.c_str(), F_OK) != 0 && i > 0) break;  // the root's parent is missing
    directory = walk(options, part, true);
  }
  return directory;
}

Result<Directory> open_domain_directory(const RootOptions& options, const std::string& part) {
  return walk(options, part, false);
}

void remove_empty_directories(const RootOptions& options) noexcept {
  const File root(::open(options.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.is_open()) return;
  const std::string user = place_of(options);
  const std::string domain = user + "/" + options.domain;
  for (const char* part : kParts) {
    ::unlinkat(root.fd(), (domain + "/" + part).c_str(), AT_REMOVEDIR);
  }
  ::unlinkat(root.fd(), domain.c_str(), AT_REMOVEDIR);
  ::unlinkat(root.fd(), user.c_str(), AT_REMOVEDIR);
}

}  // namespace sluice
