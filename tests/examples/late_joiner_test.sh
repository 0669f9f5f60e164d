#!/usr/bin/env bash
# A subscriber that comes late gets as much of the history as it asks for.
source "$(dirname "$0")/support.sh"

start late_joiner late_joiner
ends_with 0 late_joiner
diff - "$directory/late_joiner.out" <<END || fail 'other output was expected'
without history: 0 samples
history 1: 20
history 5: 16
history 5: 17
history 5: 18
history 5: 19
history 5: 20
END
nothing_is_left
