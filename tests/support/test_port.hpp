// SPDX-License-Identifier: Apache-2.0
//
// A port of which the test decides whether it is ready, and what happens at the moment when
// somebody looks: between the look and the sleep, for example.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <sluice/platform/file.hpp>
#include <sluice/wait/waitable.hpp>
#include <string>

namespace sluice {

class TestPort final : public Waitable {
 public:
  explicit TestPort(const std::string& directory) {
    auto opened = open_directory_at_path(directory);
    if (!opened) std::abort();
    directory_ = std::move(*opened);
  }
  ~TestPort() { close(); }

  /// As a peer does it.
  void make_ready() {
    ready = true;
    ring();
  }
  void ring() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    doorbell_.wake(directory_);
  }
  /// As a port does it. Returns whether there was something.
  bool take() {
    if (!ready && settle_descriptor()) ++settled;
    return std::exchange(ready, false);
  }
  void close() { cut_link(); }

  [[nodiscard]] Waitable& waitable() noexcept { return *this; }
  [[nodiscard]] Doorbell& doorbell() noexcept override { return doorbell_; }
  [[nodiscard]] const Directory& pipes() const noexcept override { return directory_; }
  [[nodiscard]] mode_t pipe_mode() const noexcept override { return 0600; }
  [[nodiscard]] bool is_ready() noexcept override {
    ++looks_for_samples;
    const bool was_ready = ready;
    if (while_looked_at) while_looked_at();
    return was_ready;
  }
  void look() noexcept override { ++looks_for_peers; }

  bool ready = false;
  /// Runs after the answer of `is_ready` is found.
  std::function<void()> while_looked_at;
  int looks_for_samples = 0;
  int looks_for_peers = 0;
  int settled = 0;

 private:
  Directory directory_;
  Doorbell doorbell_{};
};

}  // namespace sluice
