// SPDX-License-Identifier: Apache-2.0
//
// What others need of the file of a publisher that is gone: what is lost with it, and whether it
// holds the newest value of the service.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/reaping.hpp>
#include <string>

namespace sluice {
namespace {

/// What the publisher `dropped` had published is lost for those who will find the one after it.
void count_as_lost(const Directory& service, const std::string& dropped, const std::string& next) {
  const auto from = SharedFile::open(service, dropped, FileKind::publisher, sizeof(PublisherFile));
  const auto to = SharedFile::open(service, next, FileKind::publisher, sizeof(PublisherFile),
                                   Region::Access::read_write);
  if (!from || !to) return;
  const auto& words = *from->region().at<PublisherFile>(0);
  // relaxed, all: both are gone. Killed after this and before `dropped` is removed: counted twice.
  to->region().at<PublisherFile>(0)->lost_before.fetch_add(
      words.words.head.load(std::memory_order_relaxed) +
          words.lost_before.load(std::memory_order_relaxed),
      std::memory_order_relaxed);
}

/// What a publisher's file says of its newest sample.
struct Newest {
  bool is_there;
  bool is_kept;  ///< outlives its publisher
  Moment moment;
};
/// Read, not mapped: this is asked for many files.
Result<Newest> newest_in(const Directory& service, const std::string& name) {
  const auto file = open_file(service, name, false);
  if (!file) return file.failure();
  alignas(PublisherFile) std::array<std::byte, sizeof(PublisherFile)> bytes;
  if (read_header(*file, kPublisherKind).magic == 0 ||
      ::pread(file->fd(), bytes.data(), bytes.size(), 0) != ssize_t{sizeof bytes}) {
    return Failure{Errc::corrupted, service.path_of(name)};
  }
  const auto word = [&]<typename T>(std::size_t offset, T&& value) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  const auto shape = word(offsetof(PublisherFile, shape), PublisherShape{});
  return Newest{.is_there = word(offsetof(PublisherFile, words), std::uint64_t{0}) != 0,
                .is_kept = shape.keeps_last != 0,
                .moment = {.stamp = word(offsetof(PublisherFile, newest_stamp), std::uint64_t{0}),
                           .announced = word(offsetof(FileHeader, announced), std::uint64_t{0})}};
}

/// Whether `name` is a writer's file with the newest value of the service: none was published after
/// it. Of two at the same moment it is one.
bool has_last_value(const Directory& service, const std::string& name) {
  const auto own = newest_in(service, name);
  // What cannot be looked at for want of something of this process's own may have it.
  if (!own) return is_own_failure(own.error());
  if (!own->is_kept || !own->is_there) return false;
  const auto names = list(service);
  if (!names) return true;
  return std::none_of(names->begin(), names->end(), [&](const std::string& other_name) {
    if (other_name == name || !seat_in(other_name, kPublisherKind)) return false;
    const auto other = newest_in(service, other_name);
    if (!other || !other->is_there || other->moment.is_before(own->moment)) return false;
    return own->moment.is_before(other->moment) || own->moment.announced < other->moment.announced;
  });
}

}  // namespace

const PortKind kPublisherKind{.name = "publisher",
                              .file = FileKind::publisher,
                              .receivers = &kSubscriberKind,
                              .is_kept = has_last_value,
                              .before_drop = count_as_lost};

}  // namespace sluice
