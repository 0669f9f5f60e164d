#!/usr/bin/env bash
# Builds the project in consumer/ against the library in one of three ways, and runs it.
# usage: consume.sh find_package|add_subdirectory|fetch_content <source> <build> <work directory>
set -euo pipefail
way=$1 source=$2 build=$3 work=$4/$1

# Without debugging information, which takes time.
options=(-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DSLUICE_BY="$way")
case $way in
  find_package)
    rm -rf "$work"
    mkdir -p "$work"
    cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
    [[ -f $work/prefix/share/sluice/gdb/sluice_printers.py ]]
    # What the library was built with must not be needed to use it.
    options+=(-DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON
      -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON)
    ;;
  add_subdirectory | fetch_content)
    # Both compile the library in the same place with the same options: the second one finds it
    # done. All else begins anew.
    work=$4/from_source
    rm -f "$work"/build/CMakeCache.txt "$work"/build/consumer
    # As if it had been fetched: no network.
    options+=(-DSLUICE_SOURCE="$source" -DFETCHCONTENT_SOURCE_DIR_SLUICE="$source")
    ;;
esac

cmake -S "$(dirname "${BASH_SOURCE[0]}")/consumer" -B "$work/build" "${options[@]}"
cmake --build "$work/build"

SLUICE_ROOT=$(mktemp -d)
export SLUICE_ROOT
trap 'rm -rf "$SLUICE_ROOT"' EXIT
"$work/build/consumer"
[[ -z $(ls -A "$SLUICE_ROOT") ]] || { ls -R "$SLUICE_ROOT"; exit 1; }
