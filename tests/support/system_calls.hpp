// SPDX-License-Identifier: Apache-2.0
//
// What this process may ask of the kernel, from here on.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace sluice {

/// The kernel kills this thread for any system call but read, write and exit.
inline void forbid_system_calls() { ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0); }
/// The exit that is allowed then.
[[noreturn]] inline void leave(int status) {
  ::syscall(SYS_exit, status);
  __builtin_unreachable();
}

/// The system call `number` fails with `error`, as on a system that lacks it or in a sandbox.
/// Returns whether that could be arranged.
inline bool refuse_system_call(unsigned number, unsigned error) {
  std::array<sock_filter, 4> program{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                          .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

}  // namespace sluice
