// SPDX-License-Identifier: Apache-2.0
//
// Memory of a test's own that parent and children share, so that nobody needs a system call to keep
// in step.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace sluice {

/// A `T` that forked children share with the process that made it.
template <typename T>
class SharedPage {
 public:
  SharedPage() {
    void* page =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      std::perror("SharedPage");
      std::abort();
    }
    value_ = new (page) T{};
  }
  ~SharedPage() { ::munmap(value_, sizeof(T)); }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;

  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

}  // namespace sluice
