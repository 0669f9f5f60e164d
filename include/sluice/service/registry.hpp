// SPDX-License-Identifier: Apache-2.0
//
// A domain's directories, seen from outside: what dead processes left in them.
#pragma once

#include <cstdint>
#include <sluice/platform/root.hpp>

namespace sluice {

/// Removes the files of dead nodes and ports, services that nobody is in, segments without an owner
/// and directories that are empty. Returns the number of files removed. `options` come from
/// `resolve`. Any process may do that at any time; whatever is alive is not touched.
std::uint32_t reap_domain(const RootOptions& options) noexcept;

}  // namespace sluice
