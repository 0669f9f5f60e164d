// SPDX-License-Identifier: Apache-2.0
//
// What a port that was moved from leaves behind: for each class, one port that was never open.
#include <sluice/pattern/events/listener_port.hpp>
#include <sluice/pattern/events/notifier_port.hpp>
#include <sluice/pattern/publish_subscribe/publisher_port.hpp>
#include <sluice/pattern/publish_subscribe/subscriber_port.hpp>
#include <sluice/pattern/request_response/client_port.hpp>
#include <sluice/pattern/request_response/server_port.hpp>
#include <sluice/pattern/work_queue/producer_port.hpp>
#include <sluice/pattern/work_queue/worker_port.hpp>
#include <type_traits>

namespace sluice {
namespace {

auto none() { return Service::none(); }

auto* make(std::type_identity<PublisherPort>) {
  return new PublisherPort(none(), PayloadLayout(), PublisherOptions(), WriterRole());
}
auto* make(std::type_identity<SubscriberPort>) {
  return new SubscriberPort(none(), PayloadLayout(), SubscriberOptions(), false);
}
auto* make(std::type_identity<ClientPort>) {
  return new ClientPort(none(), PayloadLayout(), PayloadLayout(), ClientOptions());
}
auto* make(std::type_identity<ServerPort>) {
  return new ServerPort(none(), PayloadLayout(), PayloadLayout(), ServerOptions());
}
auto* make(std::type_identity<NotifierPort>) { return new NotifierPort(none(), NotifierOptions()); }
auto* make(std::type_identity<ListenerPort>) { return new ListenerPort(none()); }
auto* make(std::type_identity<ProducerPort>) {
  return new ProducerPort(none(), WorkQueue::none(), ProducerOptions());
}
auto* make(std::type_identity<WorkerPort>) {
  return new WorkerPort(none(), PayloadLayout(), WorkerOptions());
}

}  // namespace

template <typename P>
P* closed_port() noexcept {
  // Never destroyed: a static port of the user's may be moved from while the program ends.
  static P* const port = make(std::type_identity<P>());
  return port;
}

template PublisherPort* closed_port<PublisherPort>() noexcept;
template SubscriberPort* closed_port<SubscriberPort>() noexcept;
template ClientPort* closed_port<ClientPort>() noexcept;
template ServerPort* closed_port<ServerPort>() noexcept;
template NotifierPort* closed_port<NotifierPort>() noexcept;
template ListenerPort* closed_port<ListenerPort>() noexcept;
template ProducerPort* closed_port<ProducerPort>() noexcept;
template WorkerPort* closed_port<WorkerPort>() noexcept;

}  // namespace sluice
