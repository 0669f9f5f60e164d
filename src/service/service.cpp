// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <new>
#include <sluice/core/format.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/platform/other_places.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/reaping.hpp>
#include <sluice/service/service.hpp>
#include <thread>

namespace sluice {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr const char* kServices = "services";

/// Somebody else created, left or removed the service at the same moment.
bool is_transient(Errc code) noexcept {
  return code == Errc::not_found || code == Errc::already_exists || code == Errc::would_block;
}

Failure busy() { return {Errc::would_block, "the service is being created or removed"}; }

std::string does_not_exist(const NodeState& node) {
  const RootOptions& options = node.options();
  return format(
      "it does not exist in domain '{}' of {}; start somebody who creates it first, or "
      "use OpenMode::open_or_create{}",
      options.domain, options.root, why_alone(options));
}

/// The name of a service's directory, whose own is `key`, seen from inside it: so that nobody has
/// to keep open the one that it is in.
std::string entry_of(const std::string& key) { return "../" + key; }

/// Not in step with the others who wait.
void pause_for_others(int attempt) {
  const std::uint64_t most_us = 50ULL << std::min(attempt, 5);
  std::this_thread::sleep_for(std::chrono::microseconds(1 + random_number() % most_us));
}

}  // namespace

std::string_view to_string(Pattern pattern) noexcept {
  static constexpr std::array<std::string_view, 5> kNames{
      "unknown", "publish-subscribe", "request-response", "event", "work-queue"};
  const auto number = static_cast<std::size_t>(pattern);
  return kNames[number < kNames.size() ? number : 0];
}

std::string key_of_service(Pattern pattern, std::string_view name) {
  return key_of(format("{}:{}", to_string(pattern), name));
}

Result<ServiceDescription> describe(const SharedFile& file) {
  const auto& words = *file.region().at<ServiceFile>(0);
  const std::uint64_t name_bytes = words.name_bytes;
  const std::uint64_t schema_bytes = words.schema_bytes;
  const std::uint64_t response_bytes = words.response_schema_bytes;
  const std::uint64_t text_bytes = name_bytes + schema_bytes + response_bytes;
  if (name_bytes > kMaxNameBytes || schema_bytes > kMaxSchemaBytes ||
      response_bytes > kMaxSchemaBytes ||
      !file.region().contains(ServiceFile::kTextOffset, text_bytes)) {
    return Failure{
        Errc::corrupted,
        format("{} is truncated or scribbled on: {} + {} + {} bytes of text in {}; remove it",
               file.path(), name_bytes, schema_bytes, response_bytes,
               file.region().mapped_bytes())};
  }
  // Copied before it is looked at: the file is its creator's.
  const std::string text(file.region().at<char>(ServiceFile::kTextOffset), text_bytes);
  ServiceDescription description{
      .pattern = words.pattern, .name = text.substr(0, name_bytes), .schema = {}};
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, format("{}: {}", file.path(), failure.message)};
  };
  if (const auto checked = check_name("service", description.name); !checked) {
    return explained({Errc::corrupted, checked.failure().message});
  }
  auto schema = decode(std::string_view(text).substr(name_bytes, schema_bytes));
  if (!schema) return explained(schema.failure());
  description.schema = std::move(*schema);
  if (response_bytes != 0) {
    auto response = decode(std::string_view(text).substr(name_bytes + schema_bytes));
    if (!response) return explained(response.failure());
    description.response = std::move(*response);
  }
  return description;
}

Result<SharedFile> open_service_file(const Directory& directory) {
  auto file = open_file(directory, kServiceFile, true);
  if (!file && file.error() == Errc::no_permission) {
    file = open_file(directory, kServiceFile, false);
  }
  if (!file) return file.failure();
  return SharedFile::adopt(std::move(*file), directory.path_of(kServiceFile), FileKind::service,
                           sizeof(ServiceFile), Region::Access::read_only);
}

Result<std::uint32_t> remove_service(SharedFile& service, const std::string& key,
                                     const Directory& directory) {
  const auto alone = try_lock(service.file(), LockKind::exclusive);
  if (!alone) return alone.failure();
  if (!*alone || !leads_to(directory, kServiceFile, service.file())) return 0U;
  std::uint32_t removed = 0;
  const auto remove = [&](const char* page) {
    if (::unlinkat(directory.fd(), page, 0) == 0) ++removed;
  };
  // Before the ports: the jobs in it keep the files of their producers.
  remove(kWorkQueueFile);
  removed += reap_files(directory, true);
  remove(kBoardFile);
  remove(kServiceFile);
  ::unlinkat(directory.fd(), entry_of(key).c_str(), AT_REMOVEDIR);
  return removed;
}

Result<std::shared_ptr<Service>> Service::join(const std::shared_ptr<const NodeState>& node,
                                               const ServiceDescription& description,
                                               OpenMode mode) {
  if (auto checked = check_name("service", description.name); !checked) return checked.failure();
  const auto explained = [&](const Failure& failure) {
    return Failure{failure.code, format("service '{}': {}", description.name, failure.message)};
  };
  if (auto checked = check_usable(node); !checked) return explained(checked.failure());
  const Deadline deadline(kPatience);
  for (int attempt = 0;; ++attempt) {
    auto joined = join_once(node, description, mode);
    if (joined) return joined;
    if (mode == OpenMode::open_only && joined.error() == Errc::not_found) {
      return explained({Errc::not_found, does_not_exist(*node)});
    }
    const bool is_taken = mode == OpenMode::create_only && joined.error() == Errc::already_exists;
    if (is_taken || !is_transient(joined.error())) return explained(joined.failure());
    if (deadline.left().count() == 0) {
      return explained(
          {Errc::timed_out, format("others created and removed it for {} s without a pause ({}); "
                                   "try again",
                                   kPatience.count(), joined.failure().message)});
    }
    pause_for_others(attempt);
  }
}

Result<std::shared_ptr<Service>> Service::join_once(const std::shared_ptr<const NodeState>& node,
                                                    const ServiceDescription& description,
                                                    OpenMode mode) {
  const std::string key = key_of_service(description.pattern, description.name);
  if (auto shared = node->memberships().find(key)) {
    if (mode == OpenMode::create_only) return shared->exists_already();
    if (auto checked = shared->check_type(description); !checked) return checked.failure();
    return shared;
  }
  const std::shared_ptr<Service> joined(new Service(node, description.name, key));
  if (auto outcome = joined->try_join(description, mode); !outcome) return outcome.failure();
  return node->memberships().enter(key, joined);
}

std::shared_ptr<Service> Service::none() {
  static Board nobodys{};
  std::shared_ptr<Service> service(new Service(nullptr, "", ""));
  service->board_words_ = &nobodys;
  return service;
}

Result<void> Service::try_join(const ServiceDescription& description, OpenMode mode) {
  const bool may_create = mode != OpenMode::open_only;
  const RootOptions& options = node_->options();
  auto services = may_create ? make_domain_directory(options, kServices)
                             : open_domain_directory(options, kServices);
  if (!services) return services.failure();
  auto directory =
      open_directory(*services, key_, owner_below(options),
                     may_create ? std::optional(directory_mode(options.access)) : std::nullopt);
  if (!directory) return directory.failure();
  directory_ = std::move(*directory);

  auto entered = enter(mode);
  if (entered) entered = check_type(description);
  if (may_create && entered.error() == Errc::not_found) entered = create_file(description);
  return entered ? open_board() : entered;
}

/// Whether what is there is a service that `mode` lets this one enter. Those who are in it have a
/// shared lock; whoever removes it has the exclusive one.
Result<void> Service::check_existence(SharedFile& file, OpenMode mode) {
  const auto lock = lock_of_another(file.file());
  const bool writable = (::fcntl(file.file().fd(), F_GETFL) & O_ACCMODE) == O_RDWR;
  if (!lock && writable) {
    const auto removed = remove_service(file, key_, directory_);
    return removed ? busy() : removed.failure();
  }
  // What another user's dead have left cannot be removed; whoever comes may use it.
  if (mode == OpenMode::open_or_create) return {};
  if (!lock && mode == OpenMode::open_only) return Failure{Errc::not_found, "nobody is in it"};
  if (!lock) {
    return Failure{Errc::no_permission,
                   format("nobody is in it, but another user left {}, which this one cannot "
                          "remove; let that user remove it, or use OpenMode::open_or_create",
                          file.path())};
  }
  if (*lock == LockKind::exclusive || !leads_to(directory_, kServiceFile, file.file())) {
    return busy();
  }
  if (mode == OpenMode::open_only) return {};
  return exists_already();
}

/// For whom it was to be the first port.
Failure Service::exists_already() const {
  return {Errc::already_exists, format("it exists, and this port is to be its first: {}; end them, "
                                       "or use OpenMode::open_or_create",
                                       who_is_in(directory_, node_->options()))};
}

/// Enters the service that is there. Errc::not_found: there is none.
Result<void> Service::enter(OpenMode mode) {
  auto file = open_service_file(directory_);
  if (!file) return file.failure();
  if (auto checked = check_existence(*file, mode); !checked) return checked;
  auto locked = try_lock(file->file(), LockKind::shared);
  if (!locked) return locked.failure();
  if (!*locked || !leads_to(directory_, kServiceFile, file->file())) return busy();
  file_ = std::move(*file);
  return {};
}

/// Whether it is the service of `description`.
Result<void> Service::check_type(const ServiceDescription& description) const {
  const auto found = describe(file_);
  if (!found) return found.failure();
  if (found->name != name_ || found->pattern != description.pattern) {
    return Failure{Errc::corrupted,
                   format("{} is that of the {} service '{}'; remove it, or choose another "
                          "name",
                          file_.path(), to_string(found->pattern), found->name)};
  }
  const auto mismatch = [](const char* which, const std::string& what) {
    return Failure{Errc::type_mismatch,
                   format("it exists with another {} type: {}; use the same type, or another "
                          "service name",
                          which, what)};
  };
  if (auto what = difference(description.schema, found->schema)) {
    return mismatch(description.response ? "request" : "payload", *what);
  }
  if (description.response.has_value() != found->response.has_value()) {
    return Failure{Errc::corrupted, format("{} {} a response type; remove it", file_.path(),
                                           found->response ? "has" : "lacks")};
  }
  if (!description.response) return {};
  if (auto what = difference(*description.response, *found->response)) {
    return mismatch("response", *what);
  }
  return {};
}

Result<void> Service::create_file(const ServiceDescription& description) {
  const std::string schema = encode(description.schema);
  const std::string response = description.response ? encode(*description.response) : "";
  auto file = SharedFile::create(
      directory_, file_mode(node_->options().access), FileKind::service, node_->id(),
      ServiceFile::kTextOffset + name_.size() + schema.size() + response.size(), 0);
  if (!file) return file.failure();
  auto& words = *file->region().at<ServiceFile>(0);
  words.pattern = description.pattern;
  words.name_bytes = static_cast<std::uint32_t>(name_.size());
  words.schema_bytes = static_cast<std::uint32_t>(schema.size());
  words.response_schema_bytes = static_cast<std::uint32_t>(response.size());
  char* text = file->region().at<char>(ServiceFile::kTextOffset);
  for (const std::string& part : {name_, schema, response})
    text = std::ranges::copy(part, text).out;
  if (auto linked = file->link(directory_, kServiceFile); !linked) {
    return linked.error() == Errc::already_exists ? busy() : linked.failure();
  }
  file_ = std::move(*file);
  return {};
}

/// Opens the board, or makes it: whoever holds the lock on `service` may, and nobody removes it.
Result<void> Service::open_board() {
  auto board = SharedFile::open(directory_, kBoardFile, FileKind::board, sizeof(Board),
                                Region::Access::read_write);
  if (!board && board.error() == Errc::not_found) {
    auto made = SharedFile::create(directory_, shared_page_mode(node_->options().access),
                                   FileKind::board, node_->id(), sizeof(Board), 0);
    if (!made) return made.failure();
    const FileHeader header = made->header();  // the new object takes its place
    new (made->region().data())
        Board{.header = header, .generation = 1, .doorbell = {}, .delivery = 0, .several = 0};
    auto linked = made->link(directory_, kBoardFile);
    if (linked) {
      board = std::move(*made);
    } else if (linked.error() == Errc::already_exists) {  // another one was faster
      board = SharedFile::open(directory_, kBoardFile, FileKind::board, sizeof(Board),
                               Region::Access::read_write);
    } else {
      return linked;
    }
  }
  if (!board) return board.failure();
  const auto status = status_of(board->file(), board->path());
  if (!status) return status.failure();
  board_status_ = *status;
  board_ = std::move(*board);
  board_.close_descriptor();
  board_words_ = board_.region().at<Board>(0);
  return {};
}

Service::Place Service::place() const noexcept {
  // A path that is not absolute may mean another directory by now.
  const bool is_absolute = directory_.path.starts_with('/');
  struct stat now {};
  struct stat mine {};
  const int looked =
      is_absolute ? ::stat(directory_.path.c_str(), &now)
                  : ::fstatat(directory_.fd(), entry_of(key_).c_str(), &now, AT_SYMLINK_NOFOLLOW);
  if (looked != 0) return Place::gone;
  if (::fstat(directory_.fd(), &mine) != 0) return Place::same;  // not known
  if (now.st_ino != mine.st_ino || now.st_dev != mine.st_dev) return Place::other;
  const bool is_same = leads_to(directory_, kServiceFile, file_.file()) &&
                       leads_to(directory_, kBoardFile, board_status_);
  return is_same ? Place::same : Place::other;
}

Service::~Service() {
  if (!file_.is_open() || node_->is_forked()) return;
  node_->memberships().forget(key_);
  // Given up first: of several who leave at once, the last to give it up finds itself alone.
  unlock(file_.file());
  (void)remove_service(file_, key_, directory_);
}

std::shared_ptr<Service> Memberships::find(const std::string& key) {
  std::shared_ptr<Service> found;  // may be the last one: to be destroyed without the mutex
  {
    const std::lock_guard lock(mutex_);
    const auto place = by_key_.find(key);
    if (place != by_key_.end()) found = place->second.lock();
  }
  return found != nullptr && found->place() == Service::Place::same ? found : nullptr;
}

std::shared_ptr<Service> Memberships::enter(const std::string& key,
                                            const std::shared_ptr<Service>& joined) {
  std::shared_ptr<Service> first;  // as in `find`
  const std::lock_guard lock(mutex_);
  std::weak_ptr<Service>& entry = by_key_[key];
  first = entry.lock();
  if (first != nullptr && first->place() == Service::Place::same) return first;
  entry = joined;
  return joined;
}

void Memberships::forget(const std::string& key) noexcept {
  const std::lock_guard lock(mutex_);
  const auto place = by_key_.find(key);
  if (place != by_key_.end() && place->second.expired()) by_key_.erase(place);
}

}  // namespace sluice
