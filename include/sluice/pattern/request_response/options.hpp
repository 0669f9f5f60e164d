// SPDX-License-Identifier: Apache-2.0
//
// What can be chosen for a client and a server. Every field has a default that suits most
// programs; values outside the limits are refused with Errc::invalid_options.
#pragma once

#include <cstdint>
#include <sluice/service/open_mode.hpp>

namespace sluice {

struct ClientOptions {
  /// Requests that are loaned or pending; and, beside them, those that one server has not ended:
  /// one with so many is passed over until it ends some. 1 to 256. Each takes the memory of one
  /// request, and in each server that of its responses; up to four times as much while servers keep
  /// requests that were dropped.
  std::uint32_t max_pending = 16;
  /// Responses that may be held at once. 1 to 256. Servers have memory for so many more.
  std::uint32_t max_borrowed = 4;
  /// As `PublisherOptions::heap_bytes`: the most that slices, or containers, in requests can have
  /// together.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

struct ServerOptions {
  /// Requests that may be held at once, of all clients. 1 to 256. Others wait.
  std::uint32_t max_requests = 16;
  /// Loans of responses that may be held at once. 1 to 256.
  std::uint32_t max_loans = 4;
  /// How far the responses to one request may be ahead of its client. 1 to 1024; rounded up to a
  /// power of two. A request with one response needs no more than 1.
  std::uint32_t depth = 8;
  /// The same for responses.
  std::uint64_t heap_bytes = std::uint64_t{16} << 30;
  /// Whether the service has to exist, or not to.
  OpenMode mode = OpenMode::open_or_create;
};

}  // namespace sluice
