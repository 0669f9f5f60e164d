#!/usr/bin/env bash
# Each of the three is killed in the middle of the drive and started again, one after the other; the
# others carry on, and all scans are mapped.
source "$(dirname "$0")/support.sh"
skip_without mapper

start_mapper() { start "$1" mapper --output "$directory/map.png"; }
start_driver() { start "$1" lidar_driver --speed 20 --wait-for 2; }

start guard guard
start_mapper mapper
start_driver driver

until_prints mapper '^mapper: 50 of 225'
kill_now mapper
start_mapper mapper_again
until_prints mapper_again '^mapper: 100 of 225'  # with the 50 that it did not see itself
kill_now guard
start guard_again guard
until_prints guard_again 'ready'
kill_now driver
start_driver driver_again

ends_with 0 mapper_again
prints mapper_again '^mapper: 225 of 225 scans were mapped$'
ends_with 0 driver_again
ends_with 0 guard_again
prints guard_again '^guard, in all: .* received, .* lost; latency '
nothing_is_left
