// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/request_response/options.hpp>
#include <sluice/pattern/request_response/request.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/node.hpp>
#include <string_view>

namespace sluice {

/// Receives the requests of every client of a service, of type `Q`, and answers them with responses
/// of type `R`; each `T`, a trivially copyable type without pointers; `T[]`, slices of them; or a
/// class with containers (sluice/containers.hpp).
/// Clients are served in turn, each in the order in which it sent. Of several servers, each
/// receives every request. One that is destroyed takes no more requests, and leaves the service
/// once the last of those that it has taken, and the last loan, is given back; what it has sent
/// stays readable. `last_failure()`: that of its requests, too. Thread safety: one thread at a
/// time; different servers are independent.
template <typename Q, typename R>
class Server : public WaitablePortOwner<ServerPort> {
  static_assert(require_port_payload<Q>());
  static_assert(require_port_payload<R>());

 public:
  /// Joins `service`, or creates it; clients may come later. Errors: see `PortOwner`.
  explicit Server(const Node& node, std::string_view service, const ServerOptions& options = {})
      : Server(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Server> create(const Node& node, std::string_view service,
                                             const ServerOptions& options = {}) noexcept {
    return own<Server>(
        ServerPort::create(node, service_of<Q, R>(Pattern::request_response, service),
                           port_layout<Q>(), port_layout<R>(options.heap_bytes), options));
  }

  /// The next request; does not block. Wait-free; system calls only when ports have come or gone.
  /// Errors: too_many_borrowed (`ServerOptions::max_requests`), forked, corrupted or
  /// version_mismatch (a client that cannot be read; others can).
  [[nodiscard]] Request<Q, R> receive() noexcept { return Request<Q, R>(port_, port_->receive()); }

  /// The same, but sleeps until there is one, at most `timeout`; then the error is timed_out,
  /// and `last_failure()` says how many clients are connected.
  template <typename Rep, typename Period>
  [[nodiscard]] Request<Q, R> wait(std::chrono::duration<Rep, Period> timeout) noexcept {
    return Request<Q, R>(port_, port_->wait(to_timeout(timeout)));
  }

  /// Clients of the service that this server is connected with now. System calls.
  [[nodiscard]] std::uint32_t clients() noexcept { return port_->clients(); }

  /// Sleeps until there are at least `count` clients that this server is connected with, at most
  /// `timeout`: clients that were there before it are once they have made a call since it came.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_clients(std::uint32_t count,
                                std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("clients", count, timeout, &ServerPort::clients);
  }

  /// What responses of this server say in `Sample::publisher()`.
  [[nodiscard]] std::uint64_t id() const noexcept { return port_->incarnation(); }

 private:
  using WaitablePortOwner::WaitablePortOwner;
};

}  // namespace sluice
