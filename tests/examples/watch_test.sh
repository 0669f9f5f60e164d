#!/usr/bin/env bash
# Who comes, leaves and dies is printed, in turn.
source "$(dirname "$0")/support.sh"

start watch watch
until_prints watch '^watching$'
start publisher publisher
until_prints watch "^publisher came: node odometry, process ${process[publisher]}\$"
until_prints watch '^service robot/pose came: publish-subscribe$'
start subscriber subscriber
until_prints watch "^subscriber came: node planner, process ${process[subscriber]}\$"
kill_now subscriber
until_prints watch "^subscriber died: node planner, process ${process[subscriber]}\$"
interrupt publisher
ends_with 0 publisher
until_prints watch "^publisher left: node odometry, process ${process[publisher]}\$"
until_prints watch '^service robot/pose left: publish-subscribe$'
interrupt watch
ends_with 0 watch
lines=$(grep -c '' "$directory/watch.out")
((lines == 7)) || fail "the watch printed $lines lines instead of 7"
nothing_is_left
