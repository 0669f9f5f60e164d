#!/usr/bin/env bash
# A mapper that starts when the drive is over still gets all of it; Ctrl-C ends the driver.
source "$(dirname "$0")/support.sh"
skip_without mapper

start driver lidar_driver --speed 1000 --linger 60
until_prints driver 'the drive is over'
start mapper mapper --output "$directory/map.png"
ends_with 0 mapper
prints mapper '^mapper: 225 of 225 scans were mapped$'
interrupt driver
ends_with 0 driver
nothing_is_left
