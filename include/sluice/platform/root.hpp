// SPDX-License-Identifier: Apache-2.0
//
// Where the files are: <root>/<user id or "shared">/<domain>/<nodes, services or segments>.
// Every step is opened relative to the one before, without following symbolic links, and must
// belong to this user (or be sticky, below `shared`).
#pragma once

#include <cstdint>
#include <sluice/platform/file.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// Who may join: the files' permissions. `group` is the creator's primary group.
enum class Access : std::uint8_t { owner, group, world };

/// Which world of services. Empty strings stand for the environment's choice.
struct RootOptions {
  std::string domain = {};  ///< default: $SLUICE_DOMAIN, else "default"
  std::string root = {};    ///< default: $SLUICE_ROOT, else /dev/shm/sluice
  Access access = Access::owner;
};

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxDomainBytes = 64;

/// Fills in what is empty and checks it. Errors: Errc::invalid_name.
[[nodiscard]] Result<RootOptions> resolve(RootOptions options);

/// A name by which others are found is 1 to 255 printable ASCII characters without blanks: it is
/// compared byte by byte, and two that look the same are the same. `what` is for the message.
/// Errors: Errc::invalid_name.
[[nodiscard]] Result<void> check_name(std::string_view what, std::string_view name);

/// A node's name, by which nothing is found: 0 to 255 bytes of UTF-8 without control characters.
/// Errors: Errc::invalid_name.
[[nodiscard]] Result<void> check_node_name(std::string_view name);

/// The directory in the root that is looked into: the user's number, or kSharedPlace.
inline constexpr const char* kSharedPlace = "shared";
[[nodiscard]] std::string place_of(const RootOptions& options);

/// 16 hexadecimal digits of its hash: a file name for any name. Compare the full names too.
[[nodiscard]] std::string key_of(std::string_view name);

[[nodiscard]] mode_t directory_mode(Access access) noexcept;
/// Of a file that its owner alone writes.
[[nodiscard]] mode_t file_mode(Access access) noexcept;
/// Of a page that every participant writes.
[[nodiscard]] mode_t shared_page_mode(Access access) noexcept;

/// Opens the domain's directory `part` ("nodes", "services", "segments"), making what is missing
/// from the root on. `options` come from `resolve`. Errors: no_permission, also where a directory
/// above the root belongs to another user than root and this one; not_found (there is no directory
/// that the root could be in); corrupted (a file is where a directory should be); no_memory,
/// system.
[[nodiscard]] Result<Directory> make_domain_directory(const RootOptions& options,
                                                      const std::string& part);
/// The same, making nothing. Errc::not_found where it is not there.
[[nodiscard]] Result<Directory> open_domain_directory(const RootOptions& options,
                                                      const std::string& part);
/// Who must own a directory below the domain's.
[[nodiscard]] OwnedBy owner_below(const RootOptions& options) noexcept;

/// Removes the domain's directories that are empty, up to but not including the root.
void remove_empty_directories(const RootOptions& options) noexcept;

}  // namespace sluice
