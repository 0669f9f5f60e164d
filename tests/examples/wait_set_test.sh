#!/usr/bin/env bash
# Samples, a descriptor, a rhythm and a deadline in one thread, which ends with its input or a signal.
source "$(dirname "$0")/support.sh"

mkfifo "$directory/input"

# start_reading <name>: with descriptor 3 as its input.
start_reading() {
  "$examples/wait_set" <"$directory/input" >"$directory/$1.out" 2>&1 &
  process[$1]=$!
  exec 3>"$directory/input"
  until_prints "$1" 'running'
}

start_reading first
echo 7 >&3
until_prints first '^speed 7$'
until_prints first '^three ticks$'
until_prints first '^no joystick$'
echo 8 >&3
until_prints first '^speed 8$'
exec 3>&-
ends_with 0 first
prints first '^done$'
nothing_is_left

for signal in INT TERM; do
  start_reading "$signal"
  kill -"$signal" "${process[$signal]}"
  ends_with 0 "$signal"
  prints "$signal" '^done$'
  nothing_is_left
  exec 3>&-
done
