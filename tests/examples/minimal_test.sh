#!/usr/bin/env bash
# Publisher and subscriber find each other whoever starts first, and Ctrl-C leaves nothing.
source "$(dirname "$0")/support.sh"

start early subscriber
start publisher publisher
until_prints early 'pose 2: x'
start late subscriber
until_prints late 'pose [0-9]*: x'
interrupt publisher
ends_with 0 publisher
interrupt early
interrupt late
ends_with 0 early
ends_with 0 late
nothing_is_left
