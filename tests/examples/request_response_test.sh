#!/usr/bin/env bash
# A request waits for a server; each server gets it; the first answer counts.
source "$(dirname "$0")/support.sh"

start early request_response ask 20 22
start first request_response serve 2
ends_with 0 early
prints early '^20 + 22 = 42$'
start late request_response ask -5 3
ends_with 0 late
prints late '^-5 + 3 = -2$'
ends_with 0 first

start second request_response serve 1
start third request_response serve 1
until_prints second '^ready$'
until_prints third '^ready$'
start both request_response ask 1 1
ends_with 0 both
prints both '^1 + 1 = 2$'
ends_with 0 second
ends_with 0 third
nothing_is_left
