// SPDX-License-Identifier: Apache-2.0
//
// Everything that most programs need.
#pragma once

#include <sluice/core/error.hpp>
#include <sluice/core/result.hpp>
#include <sluice/port/client.hpp>
#include <sluice/port/event_id.hpp>
#include <sluice/port/job.hpp>
#include <sluice/port/listener.hpp>
#include <sluice/port/notifier.hpp>
#include <sluice/port/options.hpp>
#include <sluice/port/producer.hpp>
#include <sluice/port/publisher.hpp>
#include <sluice/port/reader.hpp>
#include <sluice/port/server.hpp>
#include <sluice/port/subscriber.hpp>
#include <sluice/port/worker.hpp>
#include <sluice/port/writer.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/node.hpp>
#include <sluice/wait_set.hpp>
