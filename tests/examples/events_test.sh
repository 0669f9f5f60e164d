#!/usr/bin/env bash
# Events wake a guard, who hears of the door's death too.
source "$(dirname "$0")/support.sh"

start events events
ends_with 0 events
diff - "$directory/events.out" <<END || fail 'other output was expected'
the door was opened
the door was shut
the door is gone
END
nothing_is_left
