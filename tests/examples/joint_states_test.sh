#!/usr/bin/env bash
# Text and lists of fixed capacity arrive as they were written.
source "$(dirname "$0")/support.sh"

start joints joint_states
ends_with 0 joints
diff - "$directory/joints.out" <<END || fail 'other output was expected'
left arm, 3 joints
shoulder 0.50
elbow 1.25
wrist -0.75
END
nothing_is_left
