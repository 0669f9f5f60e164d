#!/usr/bin/env bash
# Each header compiles as the first thing that a program includes.
# usage: headers.sh <compiler> <source directory>
set -euo pipefail
compiler=$1
include=$2/include
failures=0

while read -r header; do
  if ! echo "#include <$header>" |
    "$compiler" -std=c++20 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -I"$include" \
      -fsyntax-only -x c++ -; then
    echo "$header does not compile on its own" >&2
    failures=$((failures + 1))
  fi
done < <(cd "$include" && find sluice -name '*.hpp' | sort)

exit $((failures > 0))
