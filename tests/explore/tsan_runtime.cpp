// SPDX-License-Identifier: Apache-2.0
//
// What the compilers call in code built with -fsanitize=thread: gcc the
// `..._compare_exchange_strong` and `_weak` forms, clang also `_val`. Each atomic operation of a
// fiber asks the scheduler, is done as a plain one (there is only one thread), and is told to the
// race detector. Outside of fibers it is just done.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "scheduler.hpp"

using explore::scheduler;

namespace {

template <typename T>
T load(const volatile void* address, int order) {
  const auto* const word = static_cast<const volatile T*>(address);
  if (!scheduler.in_fiber()) return *word;
  scheduler.before_operation();
  const auto* const own = scheduler.late_stores().find(address);
  if (own == nullptr) scheduler.races().load(scheduler.current(), address, order);
  const T value = own != nullptr ? static_cast<T>(own->value) : *word;
  if (scheduler.tracing()) scheduler.trace("load", address, value, order);
  return value;
}

template <typename T>
void store(volatile void* address, T value, int order) {
  const auto write = [](const explore::StoreBuffer::Store& store) {
    *static_cast<volatile T*>(store.address) = static_cast<T>(store.value);
  };
  if (!scheduler.in_fiber()) return write({address, value, nullptr, {}});
  scheduler.before_operation();
  const explore::Clock clock = scheduler.races().store(scheduler.current(), order);
  scheduler.store({address, value, write, clock}, order);
}

// Replaces the value by `change(value)` and returns the one before.
template <typename T, typename Change>
T update(volatile void* address, int order, const char* name, Change change) {
  auto* const word = static_cast<volatile T*>(address);
  if (scheduler.in_fiber()) {
    scheduler.before_operation();
    scheduler.show_stores();
    scheduler.races().update(scheduler.current(), address, order);
  }
  const T before = *word;
  const T after = change(before);
  if (scheduler.in_fiber() && scheduler.tracing()) scheduler.trace(name, address, after, order);
  *word = after;
  return before;
}

template <typename T>
bool compare_exchange(volatile void* address, T* expected, T desired, int order, int fail_order) {
  auto* const word = static_cast<volatile T*>(address);
  const bool in_fiber = scheduler.in_fiber();
  if (in_fiber) {
    scheduler.before_operation();
    scheduler.show_stores();
  }
  const T before = *word;
  const bool equal = before == *expected;
  if (in_fiber && equal) scheduler.races().update(scheduler.current(), address, order);
  if (in_fiber && !equal) scheduler.races().load(scheduler.current(), address, fail_order);
  if (in_fiber && scheduler.tracing()) {
    scheduler.trace(equal ? "exchanged" : "not exchanged", address, equal ? desired : before,
                    equal ? order : fail_order);
  }
  if (equal) {
    *word = desired;
  } else {
    *expected = before;
  }
  return equal;
}

void plain(const volatile void* address, std::size_t bytes, bool write) {
  if (!scheduler.in_fiber() || bytes == 0) return;
  const char* const race = scheduler.races().access(scheduler.current(), address, bytes, write);
  if (race == nullptr) return;
  if (scheduler.tracing()) scheduler.trace(write ? "writes" : "reads", address, 0, -1);
  scheduler.fail(std::string("data race on ") + race);
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
void __tsan_ignore_thread_begin() {}
void __tsan_ignore_thread_end() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

void __tsan_read_range(void* address, unsigned long bytes) { plain(address, bytes, false); }
void __tsan_write_range(void* address, unsigned long bytes) { plain(address, bytes, true); }

#define EXPLORE_PLAIN(bytes)                                                                  \
  void __tsan_read##bytes(void* address) { plain(address, bytes, false); }                    \
  void __tsan_write##bytes(void* address) { plain(address, bytes, true); }                    \
  void __tsan_unaligned_read##bytes(void* address) { plain(address, bytes, false); }          \
  void __tsan_unaligned_write##bytes(void* address) { plain(address, bytes, true); }          \
  void __tsan_volatile_read##bytes(void* address) { plain(address, bytes, false); }           \
  void __tsan_volatile_write##bytes(void* address) { plain(address, bytes, true); }           \
  void __tsan_unaligned_volatile_read##bytes(void* address) { plain(address, bytes, false); } \
  void __tsan_unaligned_volatile_write##bytes(void* address) { plain(address, bytes, true); } \
  void __tsan_read_write##bytes(void* address) { plain(address, bytes, true); }               \
  void __tsan_unaligned_read_write##bytes(void* address) { plain(address, bytes, true); }

EXPLORE_PLAIN(1)
EXPLORE_PLAIN(2)
EXPLORE_PLAIN(4)
EXPLORE_PLAIN(8)
EXPLORE_PLAIN(16)

void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  plain(from, bytes, false);
  plain(to, bytes, true);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  plain(from, bytes, false);
  plain(to, bytes, true);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  plain(to, bytes, true);
  return std::memset(to, value, bytes);
}

// No scheduling point: the operations before and after it are.
void __tsan_atomic_thread_fence(int order) {
  if (!scheduler.in_fiber()) return;
  scheduler.races().fence(scheduler.current(), order);
  if (scheduler.tracing()) scheduler.trace("fence", nullptr, 0, order);
  if (explore::is_seq_cst(order)) scheduler.show_stores();
}
void __tsan_atomic_signal_fence(int) {}

#define EXPLORE_UPDATE(bits, T, name, expression)                               \
  T __tsan_atomic##bits##_##name(volatile void* address, T value, int order) {  \
    return update<T>(address, order, #name,                                     \
                     [value](T before) { return static_cast<T>(expression); }); \
  }
#define EXPLORE_ATOMIC(bits, T)                                                                 \
  T __tsan_atomic##bits##_load(const volatile void* address, int order) {                       \
    return load<T>(address, order);                                                             \
  }                                                                                             \
  void __tsan_atomic##bits##_store(volatile void* address, T value, int order) {                \
    store<T>(address, value, order);                                                            \
  }                                                                                             \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile void* address, void* expected,    \
                                                     T desired, int order, int fail_order) {    \
    return compare_exchange<T>(address, static_cast<T*>(expected), desired, order, fail_order); \
  }                                                                                             \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile void* address, void* expected,      \
                                                   T desired, int order, int fail_order) {      \
    return compare_exchange<T>(address, static_cast<T*>(expected), desired, order, fail_order); \
  }                                                                                             \
  T __tsan_atomic##bits##_compare_exchange_val(volatile void* address, T expected, T desired,   \
                                               int order, int fail_order) {                     \
    compare_exchange<T>(address, &expected, desired, order, fail_order);                        \
    return expected;                                                                            \
  }                                                                                             \
  EXPLORE_UPDATE(bits, T, exchange, (static_cast<void>(before), value))                         \
  EXPLORE_UPDATE(bits, T, fetch_add, before + value)                                            \
  EXPLORE_UPDATE(bits, T, fetch_sub, before - value)                                            \
  EXPLORE_UPDATE(bits, T, fetch_and, before& value)                                             \
  EXPLORE_UPDATE(bits, T, fetch_or, before | value)                                             \
  EXPLORE_UPDATE(bits, T, fetch_xor, before ^ value)                                            \
  EXPLORE_UPDATE(bits, T, fetch_nand, ~(before & value))

EXPLORE_ATOMIC(8, std::uint8_t)
EXPLORE_ATOMIC(16, std::uint16_t)
EXPLORE_ATOMIC(32, std::uint32_t)
EXPLORE_ATOMIC(64, std::uint64_t)

}  // extern "C"
