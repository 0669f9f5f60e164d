# shellcheck shell=bash
# Helpers for tests of several processes. Source it: it sets up a root and removes it at the end.
set -euo pipefail

examples=$1
directory=$(mktemp -d /dev/shm/sluice-example.XXXXXX)
export SLUICE_ROOT=$directory/root
mkdir "$SLUICE_ROOT"
export SLUICE_DOMAIN=test
declare -A process  # by name: the latest process that `start` gave it

clean_up() {
  local running
  running=$(jobs -p)
  # shellcheck disable=SC2086
  if [[ -n $running ]]; then kill -9 $running 2>/dev/null || true; fi
  rm -rf "$directory"
}
trap clean_up EXIT

fail() {
  echo "FAILED: $*" >&2
  for output in "$directory"/*.out; do
    if [[ -f $output ]]; then
      echo "--- ${output##*/}" >&2
      cat "$output" >&2
    fi
  done
  exit 1
}

# skip_without <program>: for what is built only where a library is there.
skip_without() {
  if [[ ! -x $examples/$1 ]]; then
    echo "$1 was not built"
    exit 77
  fi
}

# start <name> <program> [argument]...: in the background; the output goes to <name>.out.
start() {
  "$examples/$2" "${@:3}" >"$directory/$1.out" 2>&1 &
  process[$1]=$!
}

# until_prints <name> <pattern>: waits for a line of the output, 30 s at most.
until_prints() {
  local end=$((SECONDS + 30))
  until grep -q -- "$2" "$directory/$1.out"; do
    if ((SECONDS > end)); then fail "$1 never printed '$2'"; fi
    sleep 0.02
  done
}

# ends_with <status> <name>: waits for the end of a process.
ends_with() {
  local status=0
  wait "${process[$2]}" || status=$?
  if ((status != $1)); then fail "$2 ended with $status instead of $1"; fi
}

# kill_now <name>: with SIGKILL, and waits until it is gone.
kill_now() {
  kill -KILL "${process[$1]}" || fail "$1 was not there any more"
  wait "${process[$1]}" 2>/dev/null || true
}

interrupt() {
  kill -INT "${process[$1]}" || fail "$1 was not there any more"
}

prints() {
  grep -q -- "$2" "$directory/$1.out" || fail "$1 did not print '$2'"
}

nothing_is_left() {
  local left
  left=$(find "$SLUICE_ROOT" -mindepth 1)
  if [[ -n $left ]]; then fail "left in the root: $left"; fi
}
