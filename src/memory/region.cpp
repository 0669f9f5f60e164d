// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sluice/core/format.hpp>
#include <sluice/memory/region.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/platform/thread_sanitizer.hpp>

namespace sluice {

std::uint64_t whole_pages(std::uint64_t bytes) noexcept {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

Failure mapping_failure(const std::string& path, std::uint64_t bytes, int errno_value) {
  return {errno_value == ENOMEM || errno_value == EAGAIN ? Errc::no_address_space : Errc::system,
          format("cannot map {}: {} bytes of address space needed: {}; raise RLIMIT_AS "
                 "(ulimit -v) or, after mlockall, RLIMIT_MEMLOCK (ulimit -l)",
                 path, bytes, std::strerror(errno_value))};
}

Result<std::byte*> reserve_address_space(const std::string& path, std::uint64_t bytes) {
  void* base =
      ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return mapping_failure(path, bytes, errno);
  ::munlock(base, bytes);                 // after mlockall, a reservation must not count as locked
  ::madvise(base, bytes, MADV_DONTDUMP);  // nor enter a core file
  return static_cast<std::byte*>(base);
}

#ifndef SLUICE_THREAD_SANITIZER  // with it: region_with_thread_sanitizer.cpp

void Region::hand_on() const noexcept {}

Result<Region> Region::map(const File& file, const std::string& path, Access access,
                           std::uint64_t mapped_bytes, std::uint64_t reserved_bytes) {
  reserved_bytes = whole_pages(std::max(mapped_bytes, reserved_bytes));
  const auto base = reserve_address_space(path, reserved_bytes);
  if (!base) return base.failure();
  Region region;
  region.base_ = {*base, Unmap{reserved_bytes, fork_generation()}};
  region.access_ = access;
  if (auto extended = region.extend(file, path, mapped_bytes); !extended) {
    return extended.failure();
  }
  return region;
}

Result<void> Region::extend(const File& file, const std::string& path, std::uint64_t mapped_bytes) {
  mapped_bytes = whole_pages(mapped_bytes);
  if (mapped_bytes <= mapped_bytes_) return {};
  if (mapped_bytes > reserved_bytes()) {
    return Failure{Errc::no_address_space,
                   format("cannot map {}: {} bytes needed, {} bytes of address space reserved",
                          path, mapped_bytes, reserved_bytes())};
  }
  const int protection = access_ == Access::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
  // A child that was forked between the two calls would keep the mapping, and with it the lock.
  const NoForks held;
  void* piece = ::mmap(data() + mapped_bytes_, mapped_bytes - mapped_bytes_, protection,
                       MAP_SHARED | MAP_FIXED, file.fd(), static_cast<off_t>(mapped_bytes_));
  if (piece == MAP_FAILED) return mapping_failure(path, mapped_bytes - mapped_bytes_, errno);
  ::madvise(piece, mapped_bytes - mapped_bytes_, MADV_DONTFORK);
  mapped_bytes_ = mapped_bytes;
  return {};
}

void Region::Unmap::operator()(std::byte* base) const noexcept {
  if (fork_generation == sluice::fork_generation()) ::munmap(base, reserved_bytes);
}

#endif

}  // namespace sluice
