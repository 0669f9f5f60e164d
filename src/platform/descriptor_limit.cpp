// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <cerrno>
#include <sluice/platform/descriptor_limit.hpp>
#include <sluice/platform/file.hpp>

namespace sluice {

Result<std::uint64_t> raise_descriptor_limit() noexcept {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return system_failure("read", "the limit of open descriptors", errno);
  }
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return system_failure("raise", "the limit of open descriptors", errno);
  }
  return limit.rlim_max;
}

}  // namespace sluice
