// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <sluice/core/format.hpp>
#include <sluice/pattern/port.hpp>
#include <sluice/platform/other_places.hpp>

namespace sluice {

Port::Port(const PortKind& kind, std::shared_ptr<Service> service, std::uint32_t handles)
    : kind_(kind),
      fork_generation_(service->was_joined() ? fork_generation() : kNoForkGeneration),
      service_(std::move(service)),
      cells_(handles) {
  if (was_never_open()) failure_ = {Errc::closed, format("this {} was moved from", kind.name)};
}

Errc Port::fail(Errc code, std::string_view why) noexcept {
  failure_ = in_service(service_->name(), {code, std::string(why)});
  // It may be waiting for somebody who cannot find it.
  if (code == Errc::timed_out && !loss_.empty()) failure_.message += "; " + loss_;
  return code;
}

Errc Port::fail_timed_out(std::string why, std::uint32_t peers,
                          std::chrono::nanoseconds timeout) noexcept {
  if (peers == 0 && timeout >= kLongestSleep) why += why_alone(service_->node().options());
  return fail(Errc::timed_out, why);
}

void Port::note_loss() noexcept {
  if (!loss_.empty()) return;
  Failure loss = file_.loss();
  if (loss.code == Errc::ok) return;
  fail(loss);
  loss_ = std::move(loss.message);
}

Errc Port::fail_forked() noexcept {
  if (was_never_open()) return Errc::closed;
  failure_ = {
      Errc::forked,
      format("this {} belongs to the parent process; make one of the child's own", kind_.name)};
  return Errc::forked;
}

Errc Port::fail_all(Errc code, std::uint32_t all, const char* held, const char* option) noexcept {
  // The same again is in the same words: nothing is allocated while a caller tries in a loop.
  if (failure_.code == code && failure_.message.ends_with(option)) return code;
  return fail(code, format("all {} {}, or raise {}", all, held, option));
}

void Port::note(const Failure& failure) noexcept {
  if (failure.code == Errc::ok) {
    failure_ = {};
    if (!loss_.empty()) fail(Errc::not_found, loss_);  // newcomers are missed at every call
  } else {
    fail(failure);
  }
}

void Port::interrupt() noexcept {
  if (is_forked()) return;
  const int errno_before = errno;
  // release: pairs with the acquire in `is_interrupted`.
  interrupted_.store(true, std::memory_order_release);
  rouse();
  errno = errno_before;
}

Result<void> Port::wait_for_peers(const char* peers, std::uint32_t least,
                                  std::chrono::nanoseconds timeout,
                                  const std::function<std::uint32_t()>& present) noexcept {
  if (is_forked()) {
    fail_forked();
    return last_failure();
  }
  const Deadline deadline(timeout);
  std::uint32_t there = 0;
  const auto are_there = [&] { return (there = present()) >= least; };
  while (!are_there()) {
    const auto left = deadline.left();
    if (takes_interruption()) return last_failure();
    if (left.count() == 0) {
      fail_timed_out(format("after {} ms there are {} {}, {} are waited for", to_ms(timeout), there,
                            peers, least),
                     there, timeout);
      return last_failure();
    }
    (void)sleep_unless(are_there, left);
  }
  return {};
}

int Port::descriptor_of(Waitable& waitable) noexcept {
  if (is_forked()) {
    fail_forked();
    return -1;
  }
  const auto fd = waitable.descriptor();
  if (!fd) fail(fd.failure());
  return fd ? *fd : -1;
}

Failure in_service(std::string_view service, const Failure& failure) {
  return {failure.code, format("service '{}': {}", service, failure.message)};
}

Result<void> require(std::initializer_list<OptionRange> options) {
  for (const auto& [name, value, least, most] : options) {
    if (value >= least && value <= most) continue;
    return Failure{Errc::invalid_options,
                   format("{} is {}, it must be {} to {}", name, value, least, most)};
  }
  return {};
}

}  // namespace sluice
