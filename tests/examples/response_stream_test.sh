#!/usr/bin/env bash
# A client takes as much of a stream as it wants, or all of it, and is told when the server dies.
source "$(dirname "$0")/support.sh"

start planner response_stream plan
start content response_stream drive 3
ends_with 0 content
prints content '^route 3: '
start thorough response_stream drive 0
ends_with 0 thorough
prints thorough '^route 500: '
prints thorough '^that is the best one$'

start surprised response_stream drive 0
until_prints surprised '^route 10: '
kill_now planner
ends_with 1 surprised
prints surprised '^the planner died$'
nothing_is_left
