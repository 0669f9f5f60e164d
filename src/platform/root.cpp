// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <sluice/core/format.hpp>
#include <sluice/core/hash.hpp>
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

std::string user_part(const RootOptions& options) {
  return options.access == Access::owner ? std::to_string(::geteuid()) : "shared";
}

bool is_shared(const RootOptions& options) { return options.access != Access::owner; }

Result<Directory> walk(const RootOptions& options, const std::string& part, bool make) {
  const auto make_mode = [make](mode_t mode) { return make ? std::optional(mode) : std::nullopt; };
  auto at = open_directory_at_path(options.root, make_mode(01777));
  for (const std::string& step : {user_part(options), options.domain, part}) {
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
  if (name.size() > kMaxNameBytes) {
    return Failure{Errc::invalid_name, format("a {} name is {} bytes long, at most {} are allowed",
                                              what, name.size(), kMaxNameBytes)};
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] > ' ' && name[i] <= '~') continue;
    return Failure{Errc::invalid_name,
                   format("a {} name has byte {:#04x} at position {}; printable ASCII without "
                          "blanks is allowed",
                          what, static_cast<unsigned char>(name[i]), i)};
  }
  return {};
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
  const std::string user = user_part(options);
  const std::string domain = user + "/" + options.domain;
  for (const char* part : kParts) {
    ::unlinkat(root.fd(), (domain + "/" + part).c_str(), AT_REMOVEDIR);
  }
  ::unlinkat(root.fd(), domain.c_str(), AT_REMOVEDIR);
  ::unlinkat(root.fd(), user.c_str(), AT_REMOVEDIR);
}

}  // namespace sluice
