// SPDX-License-Identifier: Apache-2.0
//
// Stacks to switch between: hand-written where the processor is known, because swapcontext makes a
// system call. Define EXPLORE_UCONTEXT to use the portable one everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(EXPLORE_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define EXPLORE_UCONTEXT
#endif
#if defined(EXPLORE_UCONTEXT)
#include <ucontext.h>
#endif

namespace explore {

#if defined(EXPLORE_UCONTEXT)

using Context = ucontext_t;

inline void make_context(Context& context, void* stack, std::size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack;
  context.uc_stack.ss_size = bytes;
  context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}
inline void switch_context(Context& from, Context& to) { swapcontext(&from, &to); }

#else

// The stack pointer; what a call must preserve lies above it.
struct Context {
  void* stack_pointer;
};

extern "C" void explore_switch_stack(void** from, void* to);

#if defined(__x86_64__)
// {r15, r14, r13, r12, rbx, rbp, return address}
inline constexpr std::size_t kSavedWords = 8;
inline constexpr std::size_t kReturnWord = 6;
#else
// {x19 ... x28, x29, x30 = return address, d8 ... d15}
inline constexpr std::size_t kSavedWords = 20;
inline constexpr std::size_t kReturnWord = 11;
#endif

inline void make_context(Context& context, void* stack, std::size_t bytes, void (*entry)()) {
  const auto top = (reinterpret_cast<std::uintptr_t>(stack) + bytes) & ~std::uintptr_t{15};
  auto* const words = reinterpret_cast<std::uintptr_t*>(top) - kSavedWords;
  for (std::size_t i = 0; i != kSavedWords; ++i) words[i] = 0;
  words[kReturnWord] = reinterpret_cast<std::uintptr_t>(entry);
  context.stack_pointer = words;
}
inline void switch_context(Context& from, Context& to) {
  explore_switch_stack(&from.stack_pointer, to.stack_pointer);
}

#endif

}  // namespace explore
