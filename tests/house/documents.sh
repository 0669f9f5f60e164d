#!/usr/bin/env bash
# Every program in the documents (a cpp block with a main function) compiles as it stands, and every
# link to a file of this tree leads to one.
# usage: documents.sh <compiler> <source directory>
set -euo pipefail
compiler=$1
cd "$2"
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for document in README.md docs/*.md docs/decisions/*.md; do
  rm -f "$work"/*.cpp
  awk -v work="$work" '
    /^```cpp$/ { inside = 1; file = sprintf("%s/%d.cpp", work, ++count); next }
    /^```$/    { inside = 0 }
    inside     { print > file }' "$document"
  for program in "$work"/*.cpp; do
    grep -q 'int main(' "$program" 2>/dev/null || continue
    if ! "$compiler" -std=c++20 -Wall -Wextra -Iinclude -fsyntax-only "$program"; then
      echo "$document: a program does not compile, see above" >&2
      failures=$((failures + 1))
    fi
  done
  while read -r link; do
    if [[ ! -e $(dirname "$document")/${link%%#*} ]]; then
      echo "$document: $link leads nowhere" >&2
      failures=$((failures + 1))
    fi
  done < <(grep -oE '\]\([^)#: ][^): ]*\)' "$document" | sed 's/^](//; s/)$//' | sort -u)
done

exit $((failures > 0))
