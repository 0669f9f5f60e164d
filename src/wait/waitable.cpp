// SPDX-License-Identifier: Apache-2.0
#include <sluice/wait/poll_descriptor.hpp>
#include <sluice/wait/waitable.hpp>

namespace sluice {

void Attachable::cut_link() noexcept {
  while (!watchers_.empty()) {  // others may be removed meanwhile
    Watcher* watcher = watchers_.back();
    watchers_.pop_back();
    watcher->on_closed();
  }
}

Waitable::Waitable() noexcept = default;
Waitable::~Waitable() { cut_link(); }

Result<int> Waitable::descriptor() noexcept {
  if (descriptor_ == nullptr) {
    auto created = PollDescriptor::create(pipes(), pipe_mode());
    if (!created) return created.failure();
    descriptor_ = std::make_unique<PollDescriptor>(std::move(*created));
    doorbell().arm(Doorbell::kPipes);
    if (is_ready()) descriptor_->ring();
  }
  return descriptor_->fd();
}

bool Waitable::clear_and_arm() noexcept {
  if (descriptor_->clear()) look();
  doorbell().arm(Doorbell::kPipes);
  return true;
}

void Waitable::cut_link() noexcept {
  descriptor_.reset();
  Attachable::cut_link();
}

}  // namespace sluice
