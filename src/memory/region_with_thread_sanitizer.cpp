// SPDX-License-Identifier: Apache-2.0
//
// The thread sanitizer does not see that two mappings are one memory. Under it, every region of a
// file in this process is the mapping that came first, made writable.
#include <sluice/memory/region.hpp>
#include <sluice/platform/thread_sanitizer.hpp>

#ifdef SLUICE_THREAD_SANITIZER
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <sluice/core/format.hpp>
#include <sluice/platform/process.hpp>

extern "C" void __tsan_acquire(void* address);  // NOLINT
extern "C" void __tsan_release(void* address);  // NOLINT

namespace sluice {
namespace {

struct SharedMappings {
  struct Mapping {
    std::byte* base = nullptr;
    std::uint64_t mapped_bytes = 0;
    std::uint64_t reserved_bytes = 0;
    int users = 0;
  };
  std::mutex mutex;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Mapping> by_file;
};

SharedMappings& shared_mappings() {
  static auto* mappings = new SharedMappings;
  return *mappings;
}

}  // namespace

void Region::hand_on() const noexcept { __tsan_release(data()); }

Result<Region> Region::map(const File& file, const std::string& path, Access access,
                           std::uint64_t mapped_bytes, std::uint64_t reserved_bytes) {
  const auto status = status_of(file, path);
  if (!status) return status.failure();
  const std::lock_guard lock(shared_mappings().mutex);
  auto& mapping = shared_mappings().by_file[{status->device, status->inode}];
  if (mapping.base == nullptr) {
    reserved_bytes = whole_pages(std::max(mapped_bytes, reserved_bytes));
    const auto base = reserve_address_space(path, reserved_bytes);
    if (!base) return base.failure();
    mapping = {*base, 0, reserved_bytes, 0};
  }
  __tsan_acquire(mapping.base);
  if (mapped_bytes > mapping.mapped_bytes) {
    mapped_bytes = whole_pages(mapped_bytes);
    const std::string writable = format("/proc/self/fd/{}", file.fd());
    const int fd = ::open(writable.c_str(), O_RDWR | O_CLOEXEC);
    void* piece = ::mmap(mapping.base + mapping.mapped_bytes, mapped_bytes - mapping.mapped_bytes,
                         PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd < 0 ? file.fd() : fd,
                         static_cast<off_t>(mapping.mapped_bytes));
    if (fd >= 0) ::close(fd);
    if (piece == MAP_FAILED) return mapping_failure(path, mapped_bytes, errno);
    mapping.mapped_bytes = mapped_bytes;
  }
  ++mapping.users;
  Region region;
  region.base_ = {mapping.base, Unmap{mapping.reserved_bytes, fork_generation()}};
  region.access_ = access;
  region.mapped_bytes_ = whole_pages(mapped_bytes);
  return region;
}

Result<void> Region::extend(const File& file, const std::string& path, std::uint64_t mapped_bytes) {
  auto extended = map(file, path, access_, mapped_bytes, reserved_bytes());
  if (!extended) return extended.failure();
  mapped_bytes_ = extended->mapped_bytes_;
  return {};
}

void Region::Unmap::operator()(std::byte* base) const noexcept {
  const std::lock_guard lock(shared_mappings().mutex);
  auto& by_file = shared_mappings().by_file;
  const auto entry = std::find_if(by_file.begin(), by_file.end(),
                                  [&](const auto& other) { return other.second.base == base; });
  if (--entry->second.users > 0) return;
  ::munmap(base, reserved_bytes);
  by_file.erase(entry);
}

}  // namespace sluice
#endif
