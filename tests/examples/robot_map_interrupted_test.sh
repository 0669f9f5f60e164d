#!/usr/bin/env bash
# On Ctrl-C the mapper writes what it has so far.
source "$(dirname "$0")/support.sh"
skip_without mapper

start mapper mapper --output "$directory/map.png"
start driver lidar_driver --speed 10 --wait-for 1
until_prints mapper '^mapper: 50 of 225 scans mapped'
interrupt mapper
ends_with 1 mapper
prints mapper '^mapper: [0-9]* of 225 scans were mapped$'
[[ -s $directory/map.png ]] || fail 'there is no picture'
interrupt driver
ends_with 0 driver
nothing_is_left
