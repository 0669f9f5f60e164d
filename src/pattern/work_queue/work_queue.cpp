// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <new>
#include <optional>
#include <sluice/core/format.hpp>
#include <sluice/pattern/work_queue/work_queue.hpp>
#include <sluice/service/board.hpp>
#include <utility>

namespace sluice {
namespace {

using Words = WorkIndexQueue::Words;

constexpr std::uint64_t bytes_of(std::uint32_t capacity) noexcept {
  return WorkQueueFile::kWordsOffset + Words::bytes(capacity);
}

/// For what follows a death. Null where there is no queue, or none that anybody can use: then
/// nobody's jobs are in it.
Result<std::optional<WorkQueue>> open_if_there(const Directory& service) {
  auto queue = WorkQueue::open(service);
  if (queue) return std::optional<WorkQueue>(std::move(*queue));
  switch (queue.error()) {
    case Errc::not_found:
    case Errc::corrupted:
    case Errc::version_mismatch:
      return std::optional<WorkQueue>();
    default:
      return queue.failure();
  }
}

/// Gives the jobs of a dead worker, whose file's lock is held, to others. False: that is not
/// possible now, the file must stay. Cut short: the next call puts back the rest.
bool put_back_jobs(const Directory& service, const std::string& worker) {
  const auto seat = seat_in(worker, kWorkerKind);
  auto queue = open_if_there(service);
  if (!queue) return false;
  // Who sleeps is woken when the death is announced, after the file is gone.
  if (*queue && seat) (**queue)->put_back_all(*seat);
  return true;
}

/// Whether a dead producer's file can go, with its lock held: no job needs its slots.
bool has_no_jobs(const Directory& service, const std::string& producer) {
  const auto seat = seat_in(producer, kProducerKind);
  const auto queue = open_if_there(service);
  if (!queue) return false;
  return !*queue || !seat || !(**queue)->has_jobs_of(*seat);
}

}  // namespace

const PortKind kProducerKind{"producer", FileKind::producer, has_no_jobs};
const PortKind kWorkerKind{"worker", FileKind::worker, put_back_jobs};

WorkQueue WorkQueue::none() {
  alignas(Words) static std::byte memory[Words::bytes(1)];
  return {SharedFile(), *Words::create(memory, 1), 1};
}

Result<WorkQueue> WorkQueue::open(const Directory& service) {
  auto file = SharedFile::open(service, kWorkQueueFile, FileKind::work_queue, sizeof(WorkQueueFile),
                               Region::Access::read_write);
  if (!file) return file.failure();
  file->close_descriptor();
  // Read once: whoever takes part may write it.
  const std::uint32_t capacity = std::atomic_ref(file->region().at<WorkQueueFile>(0)->capacity)
                                     .load(std::memory_order_relaxed);
  if (!std::has_single_bit(capacity) || capacity > WorkIndexQueue::kMaxCapacity ||
      !file->region().contains(0, bytes_of(capacity))) {
    return Failure{Errc::corrupted,
                   format("{} has a queue of {} jobs in {} bytes; end the programs that use "
                          "the service, and it is made again",
                          file->path(), capacity, file->region().mapped_bytes())};
  }
  auto& words = *file->region().at<Words>(WorkQueueFile::kWordsOffset);
  return WorkQueue(std::move(*file), words, capacity);
}

Result<WorkQueue> WorkQueue::open_or_make(const Service& service, std::uint32_t depth) {
  auto queue = open(service.directory());
  if (queue || queue.error() != Errc::not_found) return queue;
  const std::uint32_t capacity = std::bit_ceil(depth);
  auto file = SharedFile::create(service.directory(), service.shared_mode(), FileKind::work_queue,
                                 service.node().id(), bytes_of(capacity), 0);
  if (!file) return file.failure();
  const FileHeader header = file->header();  // the new object takes its place
  new (file->region().data())
      WorkQueueFile{.header = header, .capacity = capacity, .unused = {}, .room = {}};
  Words::create(file->region().at<std::byte>(WorkQueueFile::kWordsOffset), capacity);
  const auto linked = file->link(service.directory(), kWorkQueueFile);
  if (!linked && linked.error() == Errc::already_exists)
    return open(service.directory());  // another's is there
  if (!linked) return linked.failure();
  file->close_descriptor();  // nobody owns it: nobody asks for its lock
  auto& words = *file->region().at<Words>(WorkQueueFile::kWordsOffset);
  return WorkQueue(std::move(*file), words, capacity);
}

}  // namespace sluice
