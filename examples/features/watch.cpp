// SPDX-License-Identifier: Apache-2.0
//
// Prints which services of the domain come and leave, and who comes, leaves and dies in one of
// them, until Ctrl-C. Start and end other examples beside it.
#include <cstdio>
#include <sluice/sluice.hpp>
#include <string>

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "robot/pose";
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);

  sluice::Node node{"watch"};
  sluice::DomainWatch domain{node};
  sluice::ServiceWatch ports{node, name};

  sluice::WaitSet wait_set;
  wait_set.attach(domain, [&] {
    for (const auto& [change, service] : domain.receive()) {
      std::printf("service %s %s: %s\n", service.name.c_str(),
                  std::string(to_string(change)).c_str(), service.pattern.c_str());
    }
  });
  wait_set.attach(ports, [&] {
    for (const auto& [change, port] : ports.receive()) {
      std::printf("%s %s: node %s, process %u\n", port.kind.c_str(),
                  std::string(to_string(change)).c_str(), port.node_name.c_str(), port.pid);
    }
  });

  std::puts("watching");
  if (wait_set.run() != sluice::Errc::ok) {
    std::fprintf(stderr, "%s\n", wait_set.last_failure().message.c_str());
    return 1;
  }
}
