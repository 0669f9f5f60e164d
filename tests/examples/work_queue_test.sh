#!/usr/bin/env bash
# Each job is done by one worker; that of a worker which is killed is done by another.
source "$(dirname "$0")/support.sh"

start map work_queue produce 100
start slow work_queue work 600000
until_prints slow '^tile 1, attempt 1$'
start first work_queue work 1
start second work_queue work 1
until_prints first '^tile'
kill_now slow
ends_with 0 map
prints map '^100 tiles are done$'
ends_with 0 first
ends_with 0 second

{
  echo 'tile 1, attempt 2'
  for ((number = 2; number <= 100; ++number)); do echo "tile $number, attempt 1"; done
} | sort >"$directory/expected"
cat "$directory"/{first,second}.out | sort | diff "$directory/expected" - ||
  fail 'a tile was lost, or done twice, or does not say that its worker died'
nothing_is_left
