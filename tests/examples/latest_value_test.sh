#!/usr/bin/env bash
# A reader sees the newest value, keeps that of a dead writer, and sees its successor's.
source "$(dirname "$0")/support.sh"

start latest_value latest_value
ends_with 0 latest_value
diff - "$directory/latest_value.out" <<END || fail 'other output was expected'
at first: nothing
driving, 80 %
0 writers, still driving
parked, updated: no
END
nothing_is_left
