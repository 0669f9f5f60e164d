// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/pattern/port.hpp>

namespace sluice {

Errc Port::fail(Errc code, std::string_view why) noexcept {
  failure_ = in_service(service_->name(), {code, std::string(why)});
  return code;
}

Errc Port::fail_forked() noexcept {
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
  } else {
    fail(failure);
  }
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
