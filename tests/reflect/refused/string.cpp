// SPDX-License-Identifier: Apache-2.0
#include <sluice/reflect/type.hpp>
#include <string>

static_assert(sluice::require_payload<std::string>());
