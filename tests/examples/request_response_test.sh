#!/usr/bin/env bash
# A request waits for a server; of several, the first answer counts; a dead one is not missed.
source "$(dirname "$0")/support.sh"

start early request_response ask 20 22
start first request_response serve 2
ends_with 0 early
prints early '^20 + 22 = 42$'
start late request_response ask -5 3
ends_with 0 late
prints late '^-5 + 3 = -2$'
ends_with 0 first

start second request_response serve 100
start third request_response serve 100
until_prints second '^ready$'
until_prints third '^ready$'
start both request_response ask 1 1
ends_with 0 both
prints both '^1 + 1 = 2$'
kill_now second
start rest request_response ask 2 2
ends_with 0 rest
prints rest '^2 + 2 = 4$'
kill_now third
start next late_joiner  # whoever comes next removes what the dead left
ends_with 0 next
nothing_is_left
