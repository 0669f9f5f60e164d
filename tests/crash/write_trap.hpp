// SPDX-License-Identifier: Apache-2.0
//
// Stops this process before each of its writes to shared memory. Every writable shared mapping is
// made read-only; a write faults, is counted, and runs as a single step (the processor's trap flag)
// while the mapping is writable. What the kernel writes is not seen.
//
// Defines `mmap` and `munmap` for the whole program: include it in one source file.
#pragma once

#include <cstdint>
#include <functional>

#if defined(__x86_64__)

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace sluice {

struct WatchedMapping {
  std::byte* begin;
  std::byte* end;
};

/// One a process; for its only thread.
class WriteTrap {
 public:
  static constexpr bool kWorksHere = true;

  /// In a forked child: the parent's mappings are not inherited.
  static void forget_mappings() { count_ = 0; }

  /// What the runs of one program have in common: how many writes came before each new mapping.
  /// The forked children of the process that made it write in it.
  class Trail {
   public:
    Trail() {
      const long mapped = ::syscall(SYS_mmap, nullptr, sizeof *writes_, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0L);
      writes_ = reinterpret_cast<Writes*>(mapped);
    }
    ~Trail() { ::syscall(SYS_munmap, writes_, sizeof *writes_); }
    Trail(const Trail&) = delete;
    Trail& operator=(const Trail&) = delete;

   private:
    friend class WriteTrap;
    using Writes = std::array<std::uint64_t, 512>;  // one more than their number; 0: not known
    Writes* writes_;
  };

  /// From now on `before_write(n)` is called before the n-th write, n = 1, 2, … It runs in a signal
  /// handler. It may be left out below `first`: earlier runs along `trail` tell how many writes
  /// there are until then, so that they need not be stopped again.
  static void arm(std::uint64_t first, Trail& trail,
                  std::function<void(std::uint64_t)> before_write) {
    before_write_ = std::move(before_write);
    trail_ = trail.writes_;
    for (std::size_t i = 0; i < trail_->size() && (*trail_)[i] != 0; ++i) {
      if ((*trail_)[i] <= first) maps_to_skip_ = i + 1;
    }
    if (maps_to_skip_ == 0) start();
  }

  static void* map(void* address, std::size_t bytes, int protection, int flags, int fd,
                   off_t offset) noexcept {
    const bool is_watched = (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
    if (is_watched) pass_mapping();
    if (is_watched && armed_) protection &= ~PROT_WRITE;
    const long mapped = ::syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
    auto* begin = reinterpret_cast<std::byte*>(mapped);
    if (begin != MAP_FAILED && is_watched) {
      if (count_ == mappings_.size()) std::abort();
      mappings_[count_++] = {begin, begin + bytes};
    }
    return begin;
  }

  static int unmap(void* address, std::size_t bytes) noexcept {
    auto* begin = static_cast<std::byte*>(address);
    auto* const end = std::remove_if(
        mappings_.data(), mappings_.data() + count_,
        [&](const WatchedMapping& one) { return one.begin >= begin && one.end <= begin + bytes; });
    count_ = static_cast<std::size_t>(end - mappings_.data());
    return static_cast<int>(::syscall(SYS_munmap, address, bytes));
  }

 private:
  static void start() {
    armed_ = true;
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_fault;
    ::sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = on_step;
    ::sigaction(SIGTRAP, &action, nullptr);
    for (std::size_t i = 0; i < count_; ++i) protect(mappings_[i], PROT_READ);
  }

  /// A new mapping is being made.
  static void pass_mapping() {
    if (trail_ == nullptr || maps_ == trail_->size()) return;
    std::uint64_t& before = (*trail_)[maps_++];
    if (armed_) {
      if (before != 0 && before != writes_ + 1) std::abort();  // the runs are not alike
      before = writes_ + 1;
    } else if (maps_ == maps_to_skip_) {
      writes_ = before - 1;
      start();
    }
  }

  static constexpr greg_t kTrapFlag = 0x100;
  static constexpr std::uintptr_t kPageBytes = 4096;

  static void protect(const WatchedMapping& one, int protection) {
    if (::mprotect(one.begin, static_cast<std::size_t>(one.end - one.begin), protection) != 0) {
      std::abort();
    }
  }

  static void on_fault(int, siginfo_t* info, void* context) {
    auto* address = static_cast<std::byte*>(info->si_addr);
    for (std::size_t i = 0; i < count_; ++i) {
      if (address < mappings_[i].begin || address >= mappings_[i].end) continue;
      std::byte* page = address - reinterpret_cast<std::uintptr_t>(address) % kPageBytes;
      if (open_.begin == nullptr) {
        before_write_(++writes_);
        open_.begin = page;
      }  // else the same write goes on in the next page
      open_.end = page + kPageBytes;
      protect(open_, PROT_READ | PROT_WRITE);
      static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
      return;
    }
    ::signal(SIGSEGV, SIG_DFL);  // a real fault: the instruction is tried again, and is fatal
  }

  static void on_step(int, siginfo_t*, void* context) {
    protect(open_, PROT_READ);
    open_ = {};
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  }

  static inline std::array<WatchedMapping, 1024> mappings_{};
  static inline std::size_t count_ = 0;
  static inline std::uint64_t writes_ = 0;
  static inline bool armed_ = false;
  static inline std::array<std::uint64_t, 512>* trail_ = nullptr;
  static inline std::size_t maps_ = 0;  // since `arm`
  static inline std::size_t maps_to_skip_ = 0;
  static inline WatchedMapping open_{};  // writable for the step that is under way
  static inline std::function<void(std::uint64_t)> before_write_;
};

}  // namespace sluice

extern "C" {

void* mmap(void* address, std::size_t bytes, int protection, int flags, int fd,
           off_t offset) noexcept {
  return sluice::WriteTrap::map(address, bytes, protection, flags, fd, offset);
}

int munmap(void* address, std::size_t bytes) noexcept {
  return sluice::WriteTrap::unmap(address, bytes);
}

}  // extern "C"

#else

namespace sluice {

/// Needs the trap flag of x86-64.
class WriteTrap {
 public:
  static constexpr bool kWorksHere = false;
  struct Trail {};
  static void forget_mappings() {}
  static void arm(std::uint64_t, Trail&, const std::function<void(std::uint64_t)>&) {}
};

}  // namespace sluice

#endif
