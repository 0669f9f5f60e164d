// SPDX-License-Identifier: Apache-2.0
#include <sluice/containers.hpp>
#include <string>

sluice::Vector<std::string> texts;
