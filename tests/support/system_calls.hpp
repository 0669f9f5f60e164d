// SPDX-License-Identifier: Apache-2.0
//
// What this process may ask of the kernel, from here on.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <span>

namespace sluice {

/// The kernel kills this thread for any system call but read, write and exit.
inline void forbid_system_calls() { ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); }
/// The exit that is allowed then.
[[noreturn]] inline void leave(int status) {
  ::syscall(SYS_exit, status);
  __builtin_unreachable();
}

/// From here on `filter` judges this thread's system calls. Returns whether that could be arranged.
inline bool filter_system_calls(std::span<sock_filter> filter) {
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                           .filter = filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// The system call `number` fails with `error`, as on a system that lacks it or in a sandbox.
inline bool refuse_system_call(unsigned number, unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return filter_system_calls(filter);
}

}  // namespace sluice
