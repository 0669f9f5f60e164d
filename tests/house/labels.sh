#!/usr/bin/env bash
# Each test has exactly one of the labels that tests/CMakeLists.txt lists: none is left out of all
# of them, and none runs twice.
# usage: labels.sh <ctest> <build directory>
set -euo pipefail
ctest=$1 build=$2
labels=(quick crash explore package long)

# tests <ctest options>: their names. What is not built yet has no cases yet.
tests() {
  "$ctest" --test-dir "$build" -N -E '_NOT_BUILT$' "$@" | sed -n 's/^ *Test *#[0-9]*: //p'
}

labelled=$(for label in "${labels[@]}"; do tests -L "^$label\$"; done | sort)
[[ -n $labelled ]]
wrong=$(diff <(tests | sort) - <<<"$labelled" | grep '^[<>]' || true)
if [[ -n $wrong ]]; then
  echo "without a label (<), or with more than one (>):" >&2
  echo "$wrong" >&2
  exit 1
fi
