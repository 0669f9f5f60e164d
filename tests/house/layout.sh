#!/usr/bin/env bash
# The top level holds what it should and nothing else; the folders are layers, and a file includes
# only its own layer and those below.
# usage: layout.sh <source directory>
set -euo pipefail
cd "$1"
failures=0

fail() {
  echo "$1" >&2
  failures=$((failures + 1))
}

top_level() {
  # What git knows, or, in a copy without git, what is there beside the products of a build.
  git ls-files --cached --others --exclude-standard 2>/dev/null | cut -d/ -f1 | sort -u | grep . ||
    find . -mindepth 1 -maxdepth 1 ! -name build -printf "%f\n"
}

allowed=" CMakeLists.txt CMakePresets.json LICENSE README.md benchmarks docs examples include src tests "
while read -r entry; do
  [[ $entry == .* || $allowed == *" $entry "* ]] || fail "$entry does not belong to the top level"
done < <(top_level)

# Folder and what it may include, from the bottom up.
declare -A below=(
  [core]="core"
  [platform]="core platform"
  [reflect]="core reflect"
  [queue]="core/index.hpp platform/cache_line.hpp queue"
  [memory]="core platform reflect memory"
  [container]="core reflect memory container"
  [wait]="core platform wait"
  [service]="core platform reflect memory wait service"
  [pattern]="core platform reflect queue memory container wait service"
)

# check <folder> <what its files may include>
check() {
  local file line included name permitted
  while IFS=: read -r file line included; do
    permitted=no
    for name in $2; do
      if [[ $included == "$name" || $included == "$name"/* ]]; then permitted=yes; fi
    done
    [[ $permitted == yes ]] || fail "$file:$line: $1 includes $included, which is not below it"
  done < <(find "$1" -maxdepth 1 -type f -exec grep -n '#include <sluice/' /dev/null {} + |
    sed 's|#include <sluice/\(.*\)>.*|\1|')
}

for side in include/sluice src; do
  for folder in "$side"/*/; do
    layer=$(basename "$folder")
    if [[ -z ${below[$layer]:-} ]]; then
      [[ $folder =~ ^src/(cli|gateway|gdb|python)/$ ]] || fail "$folder is no layer"
    elif [[ $layer != pattern ]]; then
      check "${folder%/}" "${below[$layer]}"
    fi
  done
  # What the ports share, and above it a folder for each pattern, which knows no other pattern.
  mapfile -t shared < <(cd include/sluice && find pattern -maxdepth 1 -name '*.hpp')
  check "$side/pattern" "${below[pattern]} ${shared[*]}"
  for folder in "$side"/pattern/*/; do
    check "${folder%/}" "${below[pattern]} ${shared[*]} pattern/$(basename "$folder")"
  done
done

# The queues are plain words: no system calls, nothing but the C++ standard library.
while read -r found; do
  fail "$found: a queue uses the C++ standard library alone"
done < <(grep -rnE '#include <[a-z_/]+\.h>' include/sluice/queue || true)

# Boost and fmt are the compiled part's own matter.
while read -r found; do
  fail "$found: only src/ includes this"
done < <(grep -rnE '#include <(boost|fmt)/' include || true)
while read -r found; do
  fail "$found: src/core/format.cpp alone includes fmt"
done < <(grep -rn '#include <fmt/' src | grep -v '^src/core/format.cpp:' || true)

while read -r found; do
  fail "$found: one concept a header, without parts in files of their own"
done < <(find include src \( -name '*.inl' -o -name '*_impl.*' -o -name '*_fwd.*' -o -name detail \))

# A file that one reads in one go.
while read -r lines file; do
  ((lines <= 400)) || fail "$file has $lines lines, and may have 400"
done < <(find include src \( -name '*.hpp' -o -name '*.cpp' \) -exec wc -l {} \;)

# Every file says what its licence is.
while read -r found; do
  fail "$found has no line 'SPDX-License-Identifier: Apache-2.0'"
done < <(find include src tests benchmarks examples \( -name '*.hpp' -o -name '*.cpp' \) -print0 |
  xargs -0 grep -L 'SPDX-License-Identifier: Apache-2.0' || true)

exit $((failures > 0))
