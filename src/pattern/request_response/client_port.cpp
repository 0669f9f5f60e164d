// SPDX-License-Identifier: Apache-2.0
#include <sluice/core/format.hpp>
#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/platform/clock.hpp>
#include <sluice/service/departure.hpp>

namespace sluice {
namespace {

/// Address space is reserved for so many servers at once.
constexpr std::uint64_t kReservedServers = 2ULL * kMaxSeats;

}  // namespace

const PortKind kClientKind{.name = "client", .file = FileKind::client, .receivers = &kServerKind};

ClientPort::ClientPort(std::shared_ptr<Service> service, const PayloadLayout& request,
                       const PayloadLayout& response, const ClientOptions& options)
    : Port(kClientKind, std::move(service),
           kSlotsPerPending * options.max_pending + options.max_borrowed),
      options_(options),
      request_(request),
      response_(response),
      shape_{.max_pending = options.max_pending, .max_borrowed = options.max_borrowed},
      first_response_(shape_.slots()),
      exchanges_(shape_.slots()),
      busy_(shape_.slots()),
      peers_(this->service(), {kServerKind, sizeof(ServerFile)}, &file_),
      claimed_by_(options.max_borrowed) {
  spare_.reserve(shape_.slots());
  for (std::uint32_t slot = 0; slot < shape_.slots(); ++slot) {
    waitables_.push_back(std::make_unique<PendingRequest>(*this, slot));
  }
}

Result<ClientPort*> ClientPort::create(const Node& node, const ServiceDescription& service,
                                       const PayloadLayout& request, const PayloadLayout& response,
                                       const ClientOptions& options) {
  const auto checked =
      require({{"ClientOptions::max_pending", options.max_pending, 1, kMaxExchanges},
               {"ClientOptions::max_borrowed", options.max_borrowed, 1, kMaxExchanges},
               {"ClientOptions::heap_bytes", options.heap_bytes, 0, kMaxHeapBytes}});
  return open_port<ClientPort>(node, service, options.mode, checked, request, response, options);
}

Result<void> ClientPort::open() {
  const std::uint32_t requests = options_.max_pending;
  const std::uint64_t heap_offset = sizeof(ClientFile);
  const std::uint64_t reserved = heap_offset + kReservedServers * 2 * shape_.bytes() +
                                 SlotPool::reserved_bytes(request_, shape_.slots()) +
                                 (std::uint64_t{1} << 20);
  if (auto made = create_file(heap_offset + 1024, reserved); !made) return made;
  auto& words = file_.words<ClientFile>();
  words.shape.write({.max_pending = requests, .max_borrowed = options_.max_borrowed});
  if (auto opened = pool_.open(file_.shared(), words.slots, words.slot_count, heap_offset, request_,
                               [this] { collect_all(); });
      !opened) {
    return opened;
  }
  if (auto grown = pool_.grow_to(requests, "requests"); !grown) return grown;
  if (auto joined = file_.join(); !joined) return joined;
  look();
  return peers_.is_blind() ? Result<void>(pending_failure_) : Result<void>();
}

Borrowed ClientPort::wait(Cell cell, std::chrono::nanoseconds timeout) noexcept {
  const Deadline deadline(timeout);
  for (;;) {
    const Borrowed borrowed = receive(cell);
    if (borrowed.payload != nullptr || borrowed.error != Errc::ok) return borrowed;
    const Slot slot(cell);
    const RequestFate now = fate_now(slot);
    if (now == RequestFate::ended) return {.error = Errc::ok};
    if (now == RequestFate::died) return {.error = error_of(cell)};
    const auto left = deadline.left();
    if (takes_interruption()) return {.error = Errc::interrupted};
    if (left.count() == 0) {
      const std::uint32_t servers = present_servers();
      fail_timed_out(format("no response for {} ms; {} servers are there", to_ms(timeout), servers),
                     servers, timeout);
      return {.error = Errc::timed_out};
    }
    if (sleep_unless([&] { return peers_.has_news() || is_ready(slot); }, left)) look();
  }
}

RequestFate ClientPort::fate(Cell cell) noexcept {
  if (is_forked()) return RequestFate::untaken;
  follow_changes();
  const Slot slot(cell);
  const RequestFate now = fate_now(slot);
  if (now != RequestFate::open || !exchanges_[slot].silence.is_long()) return now;
  look();  // somebody may have died without a word
  return fate_now(slot);
}

Errc ClientPort::error_of(Cell cell) noexcept {
  if (is_forked()) return fail_forked();
  if (fate(cell) != RequestFate::died) return Errc::ok;
  const Errc error = exchanges_[cell].error;
  if (error == Errc::peer_died) {
    fail(error,
         "the server died, or left, while it worked on the "
         "request; send it again if that does no harm");
  } else if (last_failure().code != error) {
    fail(error, "the server that had the request is broken");
  }
  return error;
}

std::uint32_t ClientPort::servers() noexcept {
  if (is_forked()) return 0;
  look();
  return peers_.count_if([](const ServerPeer& server) {
    // acquire: pairs with the release in `store_looked`.
    return server.is_there() &&
           word_of(server.file, &FileHeader::looked).load(std::memory_order_acquire) != 0;
  });
}

bool ClientPort::PendingRequest::is_ready() noexcept {
  if (port_.is_forked()) return false;
  port_.follow_changes();
  return port_.is_ready(slot_);
}

void ClientPort::PendingRequest::look() noexcept {
  if (!port_.is_forked()) port_.look();
}

Errc ClientPort::fail_unanswered() noexcept {
  return fail(Errc::unanswered, "the server ended the request without a response");
}

std::uint32_t ClientPort::held() const noexcept {
  return cells_.held([this](Cell cell) { return cell < first_response_; });
}

Errc ClientPort::fail_too_many_requests() noexcept {
  const auto used = static_cast<std::uint32_t>(busy_.count());
  const std::uint32_t held = this->held();
  // The same again is in the same words: nothing is allocated while a caller tries in a loop.
  const std::pair counts(used, held);
  const bool is_same = last_failure().code == Errc::too_many_loans && refused_with_ == counts;
  if (is_same) return Errc::too_many_loans;
  refused_with_ = counts;
  return fail(Errc::too_many_loans,
              format("all {} requests are in use, {} of them loaned or pending "
                     "and {} dropped but still with a server; drop some, or raise "
                     "ClientOptions::max_pending",
                     used, held, used - held));
}

}  // namespace sluice
