#!/usr/bin/env bash
# Slices of any length arrive as they were written.
source "$(dirname "$0")/support.sh"

start slices slices
ends_with 0 slices
diff - "$directory/slices.out" <<END || fail 'other output was expected'
361 ranges, 1.00 to 4.60 m
721 ranges, 1.00 to 8.20 m
181 ranges, 1.00 to 2.80 m
END
nothing_is_left
