// SPDX-License-Identifier: Apache-2.0
//
// Lists the services and the nodes that are there, like a small `ps`. Run it beside another
// example.
#include <cstdio>
#include <sluice/sluice.hpp>

int main() {
  for (const auto& service : sluice::services()) {
    std::printf("service %s: %s", service.name.c_str(), service.pattern.c_str());
    if (!service.type_name().empty()) std::printf(" of %s", service.type_name().c_str());
    std::puts("");
    for (const auto& port : service.ports) {
      std::printf("  %s in node %s, process %u\n", port.kind.c_str(), port.node_name.c_str(),
                  port.pid);
    }
  }
  for (const auto& node : sluice::nodes()) {
    std::printf("node %s: process %u, %s, %s\n", node.name.c_str(), node.pid,
                node.executable.c_str(), node.alive ? "alive" : "dead");
  }
}
