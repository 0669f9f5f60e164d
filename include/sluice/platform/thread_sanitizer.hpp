// SPDX-License-Identifier: Apache-2.0
//
// Whether the thread sanitizer is compiled in.
#pragma once

#if defined(__SANITIZE_THREAD__)  // GCC
#define SLUICE_THREAD_SANITIZER 1
#elif defined(__has_feature)  // Clang
#if __has_feature(thread_sanitizer)
#define SLUICE_THREAD_SANITIZER 1
#endif
#endif
