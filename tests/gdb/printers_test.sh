#!/usr/bin/env bash
# gdb prints what the containers, pointers and results of a stopped program hold.
# usage: printers_test.sh <program> <printers>
set -euo pipefail
program=$1
printers=$2

if ! gdb -nx -batch -ex 'python print("it runs")' 2>/dev/null | grep -q 'it runs'; then
  echo "skipped: there is no gdb with Python"
  exit 77
fi

# <expression> is <what gdb prints of it>, ADDRESS for any address.
expected() {
  cat <<'END'
first is {number = 1, next = sluice::offset_ptr = {get() = ADDRESS <printed::second>}}
second is {number = 2, next = sluice::offset_ptr = {get() = 0x0}}
to_anything is sluice::offset_ptr = {get() = ADDRESS <printed::second>}
to_a_pointer is sluice::offset_ptr = {get() = ADDRESS <printed::first+8>}
by_value is sluice::offset_ptr = {get() = ADDRESS <printed::first>}
no_numbers is sluice::Vector of size 0, capacity 0
numbers is sluice::Vector of size 3, capacity 8 = {3, 1, 4}
by_reference is sluice::Vector of size 3, capacity 8 = {3, 1, 4}
points is sluice::Vector of size 2, capacity 2 = {{x = 1, y = 2}, {x = 3, y = 4}}
rows is sluice::Vector of size 2, capacity 2 = {sluice::Vector of size 1, capacity 1 = {1}, sluice::Vector of size 2, capacity 2 = {2, 3}}
damaged is sluice::Vector, damaged: size 1000, capacity 2, data ADDRESS
no_text is ""
short_text is "map"
long_text is "longer than the object itself"
text_with_zero is "a\000b"
damaged_text is sluice::String, damaged: size 1000, capacity 15, data ADDRESS
no_entries is sluice::Map of size 0, capacity 0
entries is sluice::Map of size 2, capacity 2 = {["left"] = sluice::Vector of size 2, capacity 2 = {1, 2}, ["right"] = sluice::Vector of size 0, capacity 0}
static_text is "map"
no_static_text is ""
static_points is sluice::StaticVector of size 2, capacity 3 = {{x = 1, y = 2}, {x = 3, y = 4}}
static_texts is sluice::StaticVector of size 2, capacity 2 = {"a", "b"}
damaged_static is sluice::StaticVector of size 2, capacity 2 = {1, 2}
plain_value is sluice::Result = {value = 7}
class_value is sluice::Result = {value = "held"}
failure is sluice::Result, failed = {code = sluice::Errc::no_memory, message = "64 bytes are needed"}
done is sluice::Result
not_done is sluice::Result, failed = {code = sluice::Errc::closed, message = "the port is closed"}
slot is Slot 5
no_slot is Slot none
seat is Seat 2
returned is sluice::Result = {value = ADDRESS <printed::first>}
returned is sluice::Result, failed = {code = sluice::Errc::not_found, message = "there is no such link, and never was one"}
END
}

commands=(-ex "set width 0" -ex "source $printers" -ex "break look" -ex "run")
while read -r expression _; do
  [[ $expression != returned ]] || continue
  commands+=(-ex "echo $expression is\\040" -ex "output $expression" -ex 'echo \n')
done < <(expected)
commands+=(-ex "break give" -ex continue -ex finish -ex continue -ex finish)

# -nx: no settings of the user. No debugging information from the network.
printed=$(DEBUGINFOD_URLS='' gdb -nx -batch "${commands[@]}" "$program" 2>&1) || true
found=$(sed -nE 's/^Value returned is \$[0-9]+ = /returned is /; s/0x[0-9a-f]{2,}/ADDRESS/g
                 /^[a-z_]+ is /p' <<<"$printed")
diff <(expected) - <<<"$found" || {
  echo "(< expected, > printed) gdb prints something else; everything it said:"
  echo "$printed"
  exit 1
}
