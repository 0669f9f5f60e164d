// SPDX-License-Identifier: Apache-2.0
//
// What all ports have in common: a place in a service, why the last call failed, and that a forked
// child must leave them alone.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <sluice/core/result.hpp>
#include <sluice/platform/process.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/service.hpp>
#include <sluice/wait/waitable.hpp>
#include <string>
#include <string_view>

namespace sluice {

/// Thread safety: one thread at a time, except `is_forked`.
class Participant {
 public:
  Participant(const Participant&) = delete;
  Participant& operator=(const Participant&) = delete;

  /// Whether this process is a forked child of the one that made the port.
  [[nodiscard]] bool is_forked() const noexcept { return fork_generation_ != fork_generation(); }
  /// Why the last call failed.
  [[nodiscard]] const Failure& last_failure() const noexcept { return failure_; }

 protected:
  /// `kind`: "publisher", for messages.
  explicit Participant(const char* kind) noexcept
      : kind_(kind), fork_generation_(fork_generation()) {}
  ~Participant() = default;

  /// Precondition: not joined yet. Errors: as `Service::join`.
  Result<void> join(const Node& node, const ServiceDescription& description);
  /// Its service; left after all that the port itself holds is gone. Precondition: joined.
  [[nodiscard]] Service& service() const noexcept { return *service_; }

  /// Notes why the call under way fails, with the service's name before it. Allocates.
  Errc fail(Errc code, std::string_view why) noexcept;
  Errc fail(const Failure& failure) noexcept { return fail(failure.code, failure.message); }
  Errc fail_forked() noexcept;
  /// The same for the channel's failure, if it has one that was not reported yet; otherwise ok.
  template <typename Channel>
  Errc report(Channel& channel) noexcept {
    return channel.failure().code == Errc::ok ? Errc::ok : fail(channel.take_failure());
  }
  /// The same for what a channel reports; ok: the call has not failed.
  void note(const Failure& failure) noexcept;

  /// The port's descriptor (`fd()`); -1 where there is none, which counts as a failed call.
  [[nodiscard]] int descriptor_of(Waitable& waitable) noexcept;

 private:
  const char* kind_;
  std::uint32_t fork_generation_;
  std::unique_ptr<Service> service_;
  Failure failure_;
};

/// `failure`, with the service's name before it.
[[nodiscard]] Failure in_service(std::string_view service, const Failure& failure);

/// A value, and what an option may be.
struct OptionRange {
  const char* name;  ///< "ClientOptions::max_pending"
  std::uint64_t value;
  std::uint64_t least;
  std::uint64_t most;
};

/// Fails with invalid_options for the first that is outside.
Result<void> require(std::initializer_list<OptionRange> options);

}  // namespace sluice
