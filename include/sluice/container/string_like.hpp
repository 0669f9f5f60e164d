// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace sluice {

/// What reads as characters: `std::string`, literals, `String`, `StaticString`.
template <typename T>
concept StringLike = std::is_convertible_v<const T&, std::string_view> &&
    !std::is_same_v<std::remove_cvref_t<T>, std::nullptr_t>;

}  // namespace sluice
