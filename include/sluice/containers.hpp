// SPDX-License-Identifier: Apache-2.0
//
// Containers that live in shared memory. StaticString and StaticVector have a fixed capacity, need
// no allocator, and are plain payloads like any struct. The rest is about String, Vector, Map: who
// sends them (a publisher, client, server or producer) builds them in place, in its own file, and
// everybody reads them there, wherever the file is mapped.
//
//   struct Cloud {
//     explicit Cloud(sluice::Allocator<> a) : frame{a}, points{a}, labels{a} {}
//     sluice::String frame;
//     sluice::Vector<Point> points;
//     sluice::Map<sluice::String, int> labels;
//   };
//
// Elements are payloads, or classes that have containers themselves and take the allocator last in
// their constructor: `Vector<String>`, `Map<String, Vector<float>>`, `Vector<Cloud>`. They are
// built with the heap of the container that they are in. Iterators are pointers.
//
// What grows a container throws `Error` where its heap is full, with what was needed and what there
// is (without exceptions: prints it and aborts). A container that was received is for reading;
// changing it aborts, and copying it gives an ordinary one. Thread safety: as the standard
// library's containers. None of this is wait-free: allocating takes a lock of the process.
#pragma once

#include <sluice/container/map.hpp>
#include <sluice/container/static_string.hpp>
#include <sluice/container/static_vector.hpp>
#include <sluice/container/string.hpp>
#include <sluice/container/vector.hpp>
#include <sluice/memory/allocator.hpp>
