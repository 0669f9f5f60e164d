// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <sluice/core/result.hpp>
#include <sluice/pattern/loan.hpp>
#include <sluice/pattern/payload.hpp>
#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/pattern/request_response/options.hpp>
#include <sluice/pattern/request_response/pending.hpp>
#include <sluice/pattern/sample.hpp>
#include <sluice/service/node.hpp>
#include <string_view>
#include <utility>

namespace sluice {

/// Sends requests of type `Q` to every server of a service, and receives their responses, of type
/// `R`; each `T`, a trivially copyable type without pointers; `T[]`, slices of them; or a class
/// with containers (sluice/containers.hpp), which is filled in place by its sender, and destroyed
/// by it when the slot is used again. A request that no server has waits until one comes, and is
/// delivered by the next call of this client, or of one of its pending requests, other than `loan`.
/// Leaves the service once it is destroyed and the last of its requests and responses is given
/// back. `last_failure()`: that of its pending requests, too. Thread safety: one thread at a time;
/// different clients are independent.
template <typename Q, typename R>
class Client : public PortOwner<ClientPort> {
  static_assert(require_port_payload<Q>());
  static_assert(require_port_payload<R>());

 public:
  /// Joins `service`, or creates it; servers may come later. Errors: see `PortOwner`.
  explicit Client(const Node& node, std::string_view service, const ClientOptions& options = {})
      : Client(create(node, service, options).value()) {}
  /// The same without exceptions.
  [[nodiscard]] static Result<Client> create(const Node& node, std::string_view service,
                                             const ClientOptions& options = {}) noexcept {
    return own<Client>(
        ClientPort::create(node, service_of<Q, R>(Pattern::request_response, service),
                           port_layout<Q>(options.heap_bytes), port_layout<R>(), options));
  }

  /// A request to write: `Q{args…}`, or left as it is in memory without arguments. Of slices:
  /// `loan(count)`. Of a class with containers: `Q(args…, allocator)`; filling it allocates in
  /// shared memory. Wait-free; system calls only when all requests are in use, or for a slice that
  /// is larger than those before. Errors: too_many_loans (`ClientOptions::max_pending` are held, or
  /// with each server), no_memory and no_address_space (slices), forked.
  template <typename... Args>
  requires(!is_slice<Q>) [[nodiscard]] Loan<Q> loan(Args&&... args) noexcept(
      constructs_without_throwing<Q, Args...>()) {
    return construct<Q>(port_, port_->loan(), std::forward<Args>(args)...);
  }
  [[nodiscard]] Loan<Q> loan(std::size_t count) noexcept requires(is_slice<Q>) {
    return Loan<Q>(port_, port_->loan_slice(count));
  }

  /// Sends a loan of this client to every server of the service, except those with
  /// `ClientOptions::max_pending` requests that they have not ended. Never fails. Wait-free; system
  /// calls only when ports have come or gone, or somebody sleeps. Aborts where `loan` is empty or
  /// another client's: a programmer's error.
  [[nodiscard]] Pending<R> send(Loan<Q>&& loan) noexcept {
    return Pending<R>(port_, port_->send(loan.hand_on(
                                 port_, "send of a loan that is empty or of another client")));
  }

  /// Sends a copy of `value`, or of a slice's elements, from anything that converts to a
  /// `std::span` of them. Not of a class with containers. The result is false where there was no
  /// loan; errors as for `loan`.
  [[nodiscard]] Pending<R> send(Original<Q> value) noexcept requires(!DynamicPayload<Q>) {
    const Loaned loaned = loan_copy<Q>(port_, value);
    if (loaned.payload == nullptr) return Pending<R>(loaned.error);
    return Pending<R>(port_, port_->send(loaned.cell));
  }

  /// One request, one response: sends a loan of this client and waits for the first response of any
  /// server, at most `timeout`; for a server to come, too. Errors: timed_out, peer_died, unanswered
  /// (every server ended the request without a response), and those of `Pending::receive`. Aborts
  /// as `send`.
  template <typename Rep, typename Period>
  [[nodiscard]] Sample<R> call(Loan<Q>&& loan,
                               std::chrono::duration<Rep, Period> timeout) noexcept {
    return first_response(send(std::move(loan)), timeout);
  }
  /// The same with a copy of `value`. Errors: those of `loan`, too.
  template <typename Rep, typename Period>
  requires(!DynamicPayload<Q>)
      [[nodiscard]] Sample<R> call(Original<Q> value,
                                   std::chrono::duration<Rep, Period> timeout) noexcept {
    return first_response(send(value), timeout);
  }

  /// Servers of the service now. What is sent from here on reaches them when they next receive or
  /// wait. System calls.
  [[nodiscard]] std::uint32_t servers() noexcept { return port_->servers(); }

  /// Sleeps until there are at least `count` servers, at most `timeout`.
  /// Returns ok, or why not (`last_failure()` says the same): timed_out, with how many there are;
  /// forked. System calls.
  template <typename Rep, typename Period>
  Result<void> wait_for_servers(std::uint32_t count,
                                std::chrono::duration<Rep, Period> timeout) noexcept {
    return this->wait_for_peers("servers", count, timeout, &ClientPort::servers);
  }

 private:
  using PortOwner::PortOwner;

  template <typename Timeout>
  Sample<R> first_response(Pending<R> pending, Timeout timeout) noexcept {
    Sample<R> response = pending.wait(timeout);
    if (response || response.error() != Errc::ok) return response;
    return Sample<R>(port_, {.error = port_->fail_unanswered()});
  }
};

}  // namespace sluice
