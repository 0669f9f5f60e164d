// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sluice/platform/file.hpp>
#include <sluice/platform/process.hpp>
#include <vector>

namespace sluice {
namespace {

struct LockedDescriptors {
  std::mutex mutex;
  std::vector<int> fds;
};

LockedDescriptors& locked_descriptors() {
  static auto* descriptors = new LockedDescriptors;  // outlives every static port
  return *descriptors;
}

/// Where a sandbox forbids getrandom: unlike any other of this machine, though not unguessable.
/// Source of the mixing: SplitMix64 (Steele, Lea and Flood, 2014).
std::uint64_t improvised_number() noexcept {
  static std::atomic<std::uint64_t> count{0};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  // relaxed: each call gets another number; nothing is ordered by it.
  std::uint64_t mixed = count.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed) +
                        static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                        static_cast<std::uint64_t>(now.tv_nsec) +
                        (static_cast<std::uint64_t>(::getpid()) << 40);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

}  // namespace

void watch_forks() noexcept {
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork([] { locked_descriptors().mutex.lock(); },
                   [] { locked_descriptors().mutex.unlock(); },
                   [] {
                     fork_generation_word.fetch_add(1, std::memory_order_relaxed);
                     for (const int fd : locked_descriptors().fds) ::close(fd);
                     locked_descriptors().fds.clear();
                     locked_descriptors().mutex.unlock();
                   });
  });
}

NoForks::NoForks() noexcept { locked_descriptors().mutex.lock(); }
NoForks::~NoForks() { locked_descriptors().mutex.unlock(); }

void close_in_child(int fd, const NoForks&) { locked_descriptors().fds.push_back(fd); }

void close_entered(int fd) noexcept {
  const NoForks held;
  std::erase(locked_descriptors().fds, fd);
  ::close(fd);
}

std::uint64_t random_number() noexcept {
  std::uint64_t number = 0;
  while (number == 0) {
    if (::getrandom(&number, sizeof number, 0) != sizeof number) number = improvised_number();
  }
  return number;
}

std::optional<UserNamespace> user_namespace() {
  std::FILE* const map = std::fopen("/proc/self/uid_map", "re");
  if (map == nullptr) return std::nullopt;
  // Lines of ranges; without any, no user has a number outside.
  UserNamespace found{.is_initial = false};
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;
  while (std::fscanf(map, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &count) == 3) {
    found.is_initial = count == UINT32_MAX;
    const std::uint32_t distance = ::geteuid() - inside;
    if (distance < count) found.outside = outside + distance;
  }
  std::fclose(map);
  return found;
}

std::string executable_path() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string();
}

std::uint64_t process_start_ticks() {
  const File file(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  char text[1024] = {};
  if (::read(file.fd(), text, sizeof text - 1) < 0) return 0;
  // Field 22. The name in field 2 may hold blanks and parentheses; fields are counted behind it.
  const char* at = std::strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 22; ++field) at = std::strchr(at + 1, ' ');
  return at == nullptr ? 0 : std::strtoull(at, nullptr, 10);
}

}  // namespace sluice
