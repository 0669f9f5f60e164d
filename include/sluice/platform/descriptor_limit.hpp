// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <sluice/core/result.hpp>

namespace sluice {

/// Raises this process's soft limit of open descriptors (`ulimit -n`) to its hard limit, and
/// returns that. For programs with ports in hundreds of services: docs/reference.md counts the
/// descriptors of each. Programs that use `select` must not: it cannot hold descriptors from 1024
/// on. Errors: system. Thread safety: any thread. System calls.
[[nodiscard]] Result<std::uint64_t> raise_descriptor_limit() noexcept;

}  // namespace sluice
