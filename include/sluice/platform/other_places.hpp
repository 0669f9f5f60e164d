// SPDX-License-Identifier: Apache-2.0
//
// Why somebody may be alone: each user has a place of its own in the root, and a user namespace
// gives users other numbers. Hints for messages; a few system calls each.
#pragma once

#include <sluice/platform/root.hpp>
#include <string>

namespace sluice {

/// The places of others beside that of `options`, which come from `resolve`: "this one looks into
/// /dev/shm/sluice/0, others use /dev/shm/sluice/1000; …". Empty where there are none.
[[nodiscard]] std::string hint_at_other_places(const RootOptions& options);

/// That this process is in a user namespace. Empty where it is in none, or that is not known.
[[nodiscard]] std::string hint_at_user_namespace();

/// Both, each after "; ": to be put behind a message that says that nobody is there.
[[nodiscard]] std::string why_alone(const RootOptions& options);

}  // namespace sluice
