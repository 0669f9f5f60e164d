// SPDX-License-Identifier: Apache-2.0
//
// Everything that most programs need.
#pragma once

#include <sluice/core/error.hpp>
#include <sluice/core/log.hpp>
#include <sluice/core/result.hpp>
#include <sluice/pattern/events/event_id.hpp>
#include <sluice/pattern/events/listener.hpp>
#include <sluice/pattern/events/notifier.hpp>
#include <sluice/pattern/events/options.hpp>
#include <sluice/pattern/publish_subscribe/options.hpp>
#include <sluice/pattern/publish_subscribe/publisher.hpp>
#include <sluice/pattern/publish_subscribe/reader.hpp>
#include <sluice/pattern/publish_subscribe/subscriber.hpp>
#include <sluice/pattern/publish_subscribe/writer.hpp>
#include <sluice/pattern/request_response/client.hpp>
#include <sluice/pattern/request_response/options.hpp>
#include <sluice/pattern/request_response/server.hpp>
#include <sluice/pattern/work_queue/job.hpp>
#include <sluice/pattern/work_queue/options.hpp>
#include <sluice/pattern/work_queue/producer.hpp>
#include <sluice/pattern/work_queue/worker.hpp>
#include <sluice/platform/descriptor_limit.hpp>
#include <sluice/service/discovery.hpp>
#include <sluice/service/node.hpp>
#include <sluice/service/open_mode.hpp>
#include <sluice/service/watch.hpp>
#include <sluice/wait/wait_set.hpp>
