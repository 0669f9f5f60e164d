// SPDX-License-Identifier: Apache-2.0
//
// Which sanitizer this was compiled for, for tests of what a sanitizer itself uses up.
#pragma once

#if defined(__has_feature)
#define SLUICE_TEST_HAS_FEATURE(name) __has_feature(name)
#else
#define SLUICE_TEST_HAS_FEATURE(name) 0
#endif

namespace sluice {

/// It, and UBSan beside it, needs descriptors, address space and system calls now and then.
#if defined(__SANITIZE_ADDRESS__) || SLUICE_TEST_HAS_FEATURE(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

/// It needs address space and system calls, puts signals off, and has one mapping of each file.
#if defined(__SANITIZE_THREAD__) || SLUICE_TEST_HAS_FEATURE(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

inline constexpr bool kSanitized = kAddressSanitizer || kThreadSanitizer;

}  // namespace sluice

#undef SLUICE_TEST_HAS_FEATURE
