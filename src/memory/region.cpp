// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sluice/core/format.hpp>
#include <sluice/memory/region.hpp>
#include <sluice/platform/process.hpp>
#include <utility>

#if defined(__SANITIZE_THREAD__)
#define SLUICE_ONE_MAPPING 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLUICE_ONE_MAPPING 1
#endif
#endif

#ifdef SLUICE_ONE_MAPPING
#include <map>
#include <mutex>

extern "C" void __tsan_acquire(void* address);  // NOLINT
extern "C" void __tsan_release(void* address);  // NOLINT
#endif

namespace sluice {
namespace {

Failure mapping_failure(const std::string& path, std::uint64_t bytes, int errno_value) {
  return {errno_value == ENOMEM || errno_value == EAGAIN ? Errc::no_address_space : Errc::system,
          format("cannot map {}: {} bytes of address space needed: {}; raise RLIMIT_AS "
                 "(ulimit -v) or, after mlockall, RLIMIT_MEMLOCK (ulimit -l)",
                 path, bytes, std::strerror(errno_value))};
}

#ifdef SLUICE_ONE_MAPPING
// The thread sanitizer does not see that two mappings are one memory. Under it, every region of a
// file in this process is the mapping that came first, made writable.
struct SharedMappings {
  struct Mapping {
    std::byte* base;
    std::uint64_t mapped_bytes;
    std::uint64_t reserved_bytes;
    int users;
  };
  std::mutex mutex;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Mapping> by_file;
};

SharedMappings& shared_mappings() {
  static auto* mappings = new SharedMappings;
  return *mappings;
}
#endif

}  // namespace

std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

Region::Region(Region&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      reserved_bytes_(std::exchange(other.reserved_bytes_, 0)),
      access_(other.access_),
      fork_generation_(other.fork_generation_) {}

Region& Region::operator=(Region&& other) noexcept {
  if (this != &other) {
    unmap();
    base_ = std::exchange(other.base_, nullptr);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
    reserved_bytes_ = std::exchange(other.reserved_bytes_, 0);
    access_ = other.access_;
    fork_generation_ = other.fork_generation_;
  }
  return *this;
}

Region::~Region() { unmap(); }

#ifndef SLUICE_ONE_MAPPING

void Region::hand_on() const noexcept {}

Result<Region> Region::map(const File& file, const std::string& path, Access access,
                           std::uint64_t mapped_bytes, std::uint64_t reserved_bytes) {
  reserved_bytes = whole_pages(reserved_bytes < mapped_bytes ? mapped_bytes : reserved_bytes);
  void* base = ::mmap(nullptr, reserved_bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return mapping_failure(path, reserved_bytes, errno);
  ::munlock(base, reserved_bytes);  // after mlockall, a reservation must not count as locked
  Region region;
  region.base_ = static_cast<std::byte*>(base);
  region.reserved_bytes_ = reserved_bytes;
  region.access_ = access;
  region.fork_generation_ = fork_generation();
  if (auto extended = region.extend(file, path, mapped_bytes); !extended) {
    return extended.failure();
  }
  return region;
}

Result<void> Region::extend(const File& file, const std::string& path, std::uint64_t mapped_bytes) {
  mapped_bytes = whole_pages(mapped_bytes);
  if (mapped_bytes <= mapped_bytes_) return {};
  if (mapped_bytes > reserved_bytes_) {
    return Failure{Errc::no_address_space,
                   format("cannot map {}: {} bytes needed, {} bytes of address space reserved",
                          path, mapped_bytes, reserved_bytes_)};
  }
  const int protection = access_ == Access::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* piece = ::mmap(base_ + mapped_bytes_, mapped_bytes - mapped_bytes_, protection,
                       MAP_SHARED | MAP_FIXED, file.fd(), static_cast<off_t>(mapped_bytes_));
  if (piece == MAP_FAILED) return mapping_failure(path, mapped_bytes - mapped_bytes_, errno);
  ::madvise(piece, mapped_bytes - mapped_bytes_, MADV_DONTFORK);
  mapped_bytes_ = mapped_bytes;
  return {};
}

void Region::unmap() noexcept {
  if (base_ == nullptr) return;
  if (fork_generation_ == fork_generation()) ::munmap(base_, reserved_bytes_);
  base_ = nullptr;
}

#else

void Region::hand_on() const noexcept { __tsan_release(base_); }

Result<Region> Region::map(const File& file, const std::string& path, Access access,
                           std::uint64_t mapped_bytes, std::uint64_t reserved_bytes) {
  const auto status = status_of(file, path);
  if (!status) return status.failure();
  const std::lock_guard lock(shared_mappings().mutex);
  auto [entry, is_first] = shared_mappings().by_file.try_emplace({status->device, status->inode});
  auto& mapping = entry->second;
  if (is_first) {
    reserved_bytes = whole_pages(reserved_bytes < mapped_bytes ? mapped_bytes : reserved_bytes);
    void* base = ::mmap(nullptr, reserved_bytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return mapping_failure(path, reserved_bytes, errno);
    mapping = {static_cast<std::byte*>(base), 0, reserved_bytes, 0};
  }
  ++mapping.users;
  __tsan_acquire(mapping.base);
  Region region;
  region.base_ = mapping.base;
  region.reserved_bytes_ = mapping.reserved_bytes;
  region.access_ = access;
  region.fork_generation_ = fork_generation();
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
  region.mapped_bytes_ = whole_pages(mapped_bytes);
  return region;
}

Result<void> Region::extend(const File& file, const std::string& path, std::uint64_t mapped_bytes) {
  auto extended = map(file, path, access_, mapped_bytes, reserved_bytes_);
  if (!extended) return extended.failure();
  mapped_bytes_ = extended->mapped_bytes_;
  return {};
}

void Region::unmap() noexcept {
  if (base_ == nullptr) return;
  const std::lock_guard lock(shared_mappings().mutex);
  auto& by_file = shared_mappings().by_file;
  for (auto entry = by_file.begin(); entry != by_file.end(); ++entry) {
    if (entry->second.base != base_) continue;
    if (--entry->second.users == 0) {
      ::munmap(base_, reserved_bytes_);
      by_file.erase(entry);
    }
    break;
  }
  base_ = nullptr;
}

#endif

}  // namespace sluice
