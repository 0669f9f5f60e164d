// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <array>
#include <sluice/core/format.hpp>
#include <sluice/core/log.hpp>
#include <sluice/platform/lock.hpp>
#include <sluice/service/departure.hpp>
#include <sluice/service/service.hpp>
#include <sluice/service/watch.hpp>
#include <tuple>

namespace sluice {
namespace {

constexpr const char* kLate = "; until then, changes are found every 100 ms, and not at once";

class NoWatch final : public Attachable {
 public:
  [[nodiscard]] const Failure* refusal() const noexcept override { return &failure_; }
  [[nodiscard]] Waker waker() noexcept override { return {}; }
  [[nodiscard]] bool is_ready() noexcept override { return false; }
  void look() noexcept override {}

 private:
  Failure failure_{Errc::closed, "this watch was moved from"};
};

Attachable* make_no_watch() { return new NoWatch; }

/// The ports of the services of one name.
class PortsState final : public WatchStateOf<PortChange> {
 public:
  PortsState(std::shared_ptr<const NodeState> node, std::string_view service)
      : WatchStateOf(std::move(node)) {
    for (const Pattern pattern : kPatterns) keys_.push_back(key_of_service(pattern, service));
  }

 private:
  /// A port whose file was seen.
  struct Known {
    const PortKind* kind;
    File file;
    std::string name;
    PortInfo info;
    bool is_gone;  // and was told of; it waits until its name is gone, too
  };

  void find_newcomers(const Directory& services) noexcept override;
  void note_changes() noexcept override;
  void meet(const Directory& service, const std::string& name);
  void note_gone();

  std::vector<std::string> keys_;
  std::vector<Known> known_;
  std::vector<Known> newcomers_;  // of the look under way
};

void PortsState::note_gone() {
  for (Known& port : known_) {
    if (port.is_gone) continue;
    // In this order: who is not locked any more has said before whether it left.
    const bool is_alive = is_locked(port.file);
    const bool has_left = read_header(port.file, *port.kind).has_left != 0;
    if (is_alive && !has_left) continue;
    port.is_gone = true;
    port.info.alive = false;
    changes_.push_back({has_left ? Change::left : Change::died, port.info});
  }
  // As long as the file of one that is gone has a name, whoever is about to remove it locks it, and
  // would make it seem to come again.
  std::erase_if(known_, [](const Known& port) {
    if (!port.is_gone) return false;
    const auto status = status_of(port.file, port.name);
    return status && status->links == 0;
  });
}

void PortsState::note_changes() noexcept {
  note_gone();
  std::ranges::sort(newcomers_, {},
                    [](const Known& port) { return std::tie(port.info.kind, port.info.seat); });
  for (Known& port : newcomers_) {
    if (!port.is_gone) changes_.push_back({Change::came, port.info});
    known_.push_back(std::move(port));
  }
  newcomers_.clear();
}

void PortsState::find_newcomers(const Directory& services) noexcept {
  for (const std::string& key : keys_) {
    watch(services.path_of(key));
    const auto service = open_service(services, key);
    if (!service) continue;
    const auto names = list(*service);
    if (!names) pass_over(names.failure());
    if (!names) continue;
    for (const std::string& name : *names) meet(*service, name);
  }
}

/// The file `name`, unless it is known.
void PortsState::meet(const Directory& service, const std::string& name) {
  const auto port = port_of(name);
  if (!port) return;
  const auto is_it = [&](const Known& known) {
    return known.name == name && leads_to(service, name, known.file);
  };
  if (std::any_of(known_.begin(), known_.end(), is_it)) return;
  auto file = SharedFile::open(service, name, port->kind.file, sizeof(FileHeader));
  if (!file) return pass_over(file.failure());
  const bool is_alive = is_locked(file->file());
  // Not from the mapping, which a port that shrinks its file would make deadly to read.
  const FileHeader header = read_header(file->file(), port->kind);
  const bool is_there = is_alive && header.has_left == 0;
  newcomers_.push_back(
      {&port->kind, std::move(file->file()), name,
       info_of(*port, header, is_there, is_there ? name_of_node(options(), header.node) : ""),
       !is_there});
}

/// The services of a domain.
class ServicesState final : public WatchStateOf<ServiceChange> {
 public:
  explicit ServicesState(std::shared_ptr<const NodeState> node) : WatchStateOf(std::move(node)) {}

 private:
  struct Known {
    std::string page;  // its file `service`, from the directory of the services
    File file;
    ServiceInfo info;
  };

  void find_newcomers(const Directory& services) noexcept override;
  void note_changes() noexcept override;
  void meet(const Directory& services, const std::string& key);

  std::vector<Known> known_;
  std::vector<Known> newcomers_;  // of the look under way
};

/// Whoever is in a service shares a lock; who has it alone removes the service.
void ServicesState::note_changes() noexcept {
  std::erase_if(known_, [this](Known& service) {
    if (is_locked_shared(service.file)) return false;
    changes_.push_back({Change::left, std::move(service.info)});
    return true;
  });
  std::ranges::sort(newcomers_, {}, [](const Known& service) {
    return std::tie(service.info.name, service.info.pattern);
  });
  for (Known& service : newcomers_) {
    changes_.push_back({Change::came, service.info});
    known_.push_back(std::move(service));
  }
  newcomers_.clear();
}

void ServicesState::find_newcomers(const Directory& services) noexcept {
  const auto keys = list(services);
  if (!keys) return pass_over(keys.failure());
  for (const std::string& key : *keys) meet(services, key);
}

/// The service with the directory `key`, unless it is known.
void ServicesState::meet(const Directory& services, const std::string& key) {
  std::string page = format("{}/{}", key, kServiceFile);
  const auto is_it = [&](const Known& known) {
    return known.page == page && leads_to(services, page, known.file);
  };
  if (std::any_of(known_.begin(), known_.end(), is_it)) return;
  watch(services.path_of(key));
  const auto service = open_service(services, key);
  if (!service) return;
  auto file = SharedFile::open(*service, kServiceFile, FileKind::service, sizeof(ServiceFile));
  if (!file) return pass_over(file.failure());
  if (!is_locked_shared(file->file())) return;  // nobody is in it
  auto description = describe(*file);
  if (!description) return pass_over(description.failure());
  newcomers_.push_back(
      {std::move(page), std::move(file->file()), info_of(std::move(*description))});
}

}  // namespace

std::string_view to_string(Change change) noexcept {
  static constexpr std::array<std::string_view, 3> kNames{"came", "left", "died"};
  return kNames[static_cast<std::size_t>(change)];
}

Attachable& no_watch() noexcept {
  // Never destroyed: a static watch of the user's may be moved from while the program ends.
  static Attachable* const none = make_no_watch();
  return *none;
}

WatchState::WatchState(std::shared_ptr<const NodeState> node) : node_(std::move(node)) {
  auto watcher = DirectoryWatcher::create();
  if (watcher) {
    watcher_ = std::move(*watcher);
  } else {
    unwatched_ = {watcher.error(), watcher.failure().message + kLate};
    log_passed_over(unwatched_);
    failure_ = unwatched_;
  }
}

const Failure* WatchState::refusal() const noexcept {
  static const Failure forked{
      Errc::forked, "this watch belongs to the parent process; make one of the child's own"};
  return node_->is_forked() ? &forked : nullptr;
}

bool WatchState::refuses_fork() noexcept {
  if (refusal() == nullptr) return false;
  failure_ = *refusal();
  return true;
}

bool WatchState::wait(std::chrono::nanoseconds timeout) noexcept {
  if (refuses_fork()) return false;
  const Deadline deadline(timeout);
  for (;;) {
    if (descriptor_ != nullptr) (void)descriptor_->clear();
    look();
    if (has_changes()) return true;
    const auto left = deadline.left();
    if (left.count() == 0) return false;
    sleep(left);
  }
}

void WatchState::sleep(std::chrono::nanoseconds timeout) noexcept {
  pollfd one{.fd = watcher_.fd(), .events = POLLIN, .revents = 0};
  const timespec slice = to_timespec(std::min<std::chrono::nanoseconds>(timeout, kLongestSleep));
  (void)::ppoll(&one, 1, &slice, nullptr);
}

int WatchState::fd() noexcept {
  if (refuses_fork()) return -1;
  if (descriptor_ == nullptr) {
    auto created = PollDescriptor::create(watcher_.fd());
    if (!created) {
      failure_ = created.failure();
      return -1;
    }
    descriptor_ = std::make_unique<PollDescriptor>(std::move(*created));
  }
  return descriptor_->fd();
}

bool WatchState::is_ready() noexcept {
  if (watcher_.drain() || !has_looked_) look();
  return has_changes();
}

void WatchState::look() noexcept {
  has_looked_ = true;
  failure_ = unwatched_;
  passed_over_before_ = std::exchange(passed_over_, {});
  watcher_.drain();  // what comes from here on is looked at again
  look_for_newcomers();
  note_changes();
}

void WatchState::look_for_newcomers() noexcept {
  // From the top down, and each before it is looked into: what comes after the look is noticed. The
  // domain's directory is there as long as the node is.
  const auto domain = open_domain_directory(options(), ".");
  if (!domain) return pass_over(domain.failure());
  watch(domain->path);
  watch(domain->path_of("services"));
  const auto services = open_domain_directory(options(), "services");
  if (!services) return pass_over(services.failure());
  find_newcomers(*services);
}

void WatchState::watch(const std::string& path) noexcept {
  const auto added = watcher_.add(path);
  if (!added) pass_over({added.error(), added.failure().message + kLate});
}

Result<Directory> WatchState::open_service(const Directory& services, const std::string& key) {
  auto service = open_directory(services, key, owner_below(options()));
  if (!service) pass_over(service.failure());
  return service;
}

void WatchState::pass_over(const Failure& cause) noexcept {
  if (cause.code == Errc::not_found) return;
  if (!passed_over_before_.contains(cause.message) && !passed_over_.contains(cause.message)) {
    log_passed_over(cause);
  }
  passed_over_.insert(cause.message);
  failure_ = cause;
}

Result<ServiceWatch> ServiceWatch::create(const Node& node, std::string_view service) noexcept {
  if (auto checked = check_name("service", service); !checked) return checked.failure();
  if (auto checked = check_usable(node.state()); !checked) return checked.failure();
  return ServiceWatch(std::make_unique<PortsState>(node.state(), service));
}

Result<DomainWatch> DomainWatch::create(const Node& node) noexcept {
  if (auto checked = check_usable(node.state()); !checked) return checked.failure();
  return DomainWatch(std::make_unique<ServicesState>(node.state()));
}

}  // namespace sluice
