#!/usr/bin/env bash
# Services, ports and nodes are listed while they are there, and not afterwards.
source "$(dirname "$0")/support.sh"

start publisher publisher
start subscriber subscriber
until_prints subscriber 'pose [0-9]*: x'
start list who_is_there
ends_with 0 list
prints list '^service robot/pose: publish-subscribe of Pose$'
prints list "^  publisher in node odometry, process ${process[publisher]}\$"
prints list "^  subscriber in node planner, process ${process[subscriber]}\$"
prints list "^node odometry: process ${process[publisher]}, $examples/publisher, alive\$"
interrupt publisher
interrupt subscriber
ends_with 0 publisher
ends_with 0 subscriber
start empty who_is_there
ends_with 0 empty
[[ ! -s $directory/empty.out ]] || fail 'somebody was listed who had gone'
nothing_is_left
