// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <sluice/core/format.hpp>
#include <sluice/core/log.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/reaping.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

/// A sender that is gone, and whose file is there.
struct Departed {
  std::string name;
  std::uint64_t announced;
  std::uint64_t bytes;
};

/// Those of `kind` that are not kept, the one that came first before the others.
std::vector<Departed> departed(const Directory& service, const PortKind& kind) {
  std::vector<Departed> found;
  const auto names = list(service);
  if (!names) return found;
  for (const std::string& name : *names) {
    if (!seat_in(name, kind)) continue;
    const auto file = open_file(service, name, true);
    if (!file || is_locked(*file) || is_kept(service, kind, name)) continue;
    const auto status = status_of(*file, name);
    if (status) found.push_back({name, read_header(*file, kind).announced, status->bytes});
  }
  std::sort(found.begin(), found.end(),
            [](const Departed& a, const Departed& b) { return a.announced < b.announced; });
  return found;
}

/// Whether somebody who lives has still to look for the sender.
bool is_awaited(const Directory& service, const PortKind& kind, std::uint64_t announced) {
  if (kind.receivers == nullptr) return false;
  const auto names = list(service);
  if (!names) return true;  // perhaps
  return std::any_of(names->begin(), names->end(), [&](const std::string& name) {
    if (!seat_in(name, *kind.receivers)) return false;
    const auto receiver = SharedFile::open(service, name, kind.receivers->file, sizeof(FileHeader));
    // What cannot be looked at for want of something of this process's own may be waiting.
    if (!receiver) return is_own_failure(receiver.error());
    if (!is_locked(receiver->file())) return false;
    return is_waiting_for(word_of(*receiver, &FileHeader::looked), announced);
  });
}

}  // namespace

FileHeader read_header(const File& file, const PortKind& kind) {
  FileHeader header{};
  const bool is_good = ::pread(file.fd(), &header, sizeof header, 0) == sizeof header &&
                       header.magic == FileHeader::kMagic && header.kind == kind.file &&
                       header.layout_version == FileHeader::kLayoutVersion;
  return is_good ? header : FileHeader{};
}

bool is_kept(const Directory& service, const PortKind& kind, const std::string& name) {
  return kind.is_kept != nullptr && kind.is_kept(service, name);
}

bool is_wanted(const Directory& service, const PortKind& kind, const std::string& name,
               std::uint64_t announced) {
  return is_kept(service, kind, name) || is_awaited(service, kind, announced);
}

void reap_senders_to(const Directory& service, const PortKind& kind) {
  for (const PortKind* senders : port_kinds()) {
    if (senders->receivers != &kind) continue;
    // The oldest first: one that is not kept for the sake of a later one is not to outlast that.
    for (const Departed& sender : departed(service, *senders)) reap_port(service, sender.name);
  }
}

void limit_departed(const Directory& service, const PortKind& kind) {
  const std::vector<Departed> all = departed(service, kind);
  std::uint64_t bytes = 0;
  for (const Departed& one : all) bytes += one.bytes;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    if (all.size() - i <= kMaxDeparted && bytes <= kMaxDepartedBytes) return;
    const Departed& oldest = all[i];
    bytes -= oldest.bytes;
    const bool is_removed = remove_dead_file(service, oldest.name, [&](const File& file) {
      if (read_header(file, kind).announced != oldest.announced) return false;  // another's
      if (kind.before_drop != nullptr) kind.before_drop(service, oldest.name, all[i + 1].name);
      return true;
    });
    if (!is_removed) continue;
    log_passed_over({Errc::no_memory,
                     format("{} was removed before everybody had found it: {} like it and {} bytes "
                            "are kept at most; look more often for what was sent",
                            service.path_of(oldest.name), kMaxDeparted, kMaxDepartedBytes)});
  }
}

}  // namespace sluice
