#!/usr/bin/env bash
# Another process reads what is in a segment; when its owner ends, the segment is gone.
source "$(dirname "$0")/support.sh"

start owner segment
until_prints owner 'the grid is there'
start reader segment read
ends_with 0 reader
prints reader '^a grid of 400 x 400 cells, the last 399 m high$'
interrupt owner
ends_with 0 owner
nothing_is_left
