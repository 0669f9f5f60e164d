// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <sluice/pattern/events/layout.hpp>
#include <sluice/pattern/publish_subscribe/layout.hpp>
#include <sluice/pattern/request_response/layout.hpp>
#include <sluice/pattern/work_queue/layout.hpp>
#include <sluice/service/port_kind.hpp>

namespace sluice {

std::span<const PortKind* const> port_kinds() noexcept {
  static constexpr std::array kKinds{&kPublisherKind, &kSubscriberKind, &kClientKind,
                                     &kServerKind,    &kNotifierKind,   &kListenerKind,
                                     &kProducerKind,  &kWorkerKind};
  return kKinds;
}

}  // namespace sluice
