#!/usr/bin/env bash
# The drive is mapped in three processes that know each other by the names of services.
source "$(dirname "$0")/support.sh"
skip_without mapper

start guard guard
start mapper mapper --output "$directory/map.png"
start driver lidar_driver --speed 200 --wait-for 2 --linger 0
ends_with 0 mapper
ends_with 0 driver
ends_with 0 guard
prints mapper '^mapper: 225 of 225 scans were mapped$'
prints driver '^lidar_driver: 225 of 225$'
prints guard '^guard, in all: .* m ahead, .* received, .* lost; latency '
read -r received lost < <(sed -n 's/^guard, in all:.* \([0-9]*\) received, \([0-9]*\) lost.*/\1 \2/p' \
  "$directory/guard.out")
((received + lost == 225)) || fail 'a scan was neither received nor lost'
[[ $(head -c 4 "$directory/map.png" | tail -c 3) == PNG ]] || fail 'map.png is no picture'
[[ $(find "$directory" -name 'map.png*' | wc -l) == 1 ]] || fail 'an unfinished picture is left'
nothing_is_left
