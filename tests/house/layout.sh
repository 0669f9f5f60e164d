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

# Layer and what it may include, from the bottom up. queue/ and memory/ do not know each other.
declare -A below=(
  [core]="core"
  [platform]="core platform"
  [memory]="core platform memory"
  [queue]="queue platform/cache_line.hpp"
  [channel]="core platform memory queue channel"
  [service]="core platform memory queue channel service"
  [port]="core platform memory queue channel service port"
)

for side in include/sluice src; do
  for folder in "$side"/*/; do
    layer=$(basename "$folder")
    if [[ -z ${below[$layer]:-} ]]; then
      [[ $folder == src/cli/ ]] || fail "$folder is no layer"
      continue
    fi
    while IFS=: read -r file line included; do
      permitted=no
      for name in ${below[$layer]}; do
        if [[ $included == "$name" || $included == "$name"/* ]]; then permitted=yes; fi
      done
      [[ $permitted == yes ]] || fail "$file:$line: $layer/ includes $included, which is above it"
    done < <(grep -rn '#include <sluice/' "$folder" | sed 's|#include <sluice/\(.*\)>.*|\1|')
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
  fail "$found: one concept a header, without parts in files of their own"
done < <(find include src \( -name '*.inl' -o -name '*_impl.*' -o -name '*_fwd.*' -o -name detail \))

# Every file says what its licence is.
while read -r found; do
  fail "$found has no line 'SPDX-License-Identifier: Apache-2.0'"
done < <(find include src tests benchmarks examples \( -name '*.hpp' -o -name '*.cpp' \) -print0 |
  xargs -0 grep -L 'SPDX-License-Identifier: Apache-2.0' || true)

exit $((failures > 0))
