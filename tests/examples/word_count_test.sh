#!/usr/bin/env bash
# A request with containers arrives as it was built, and so does its response.
source "$(dirname "$0")/support.sh"

start word_count word_count
ends_with 0 word_count
diff - "$directory/word_count.out" <<END || fail 'other output was expected'
2 be
1 is
1 not
1 or
1 question
1 that
1 the
2 to
END
nothing_is_left
