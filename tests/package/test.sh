#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Installs weir under a prefix of its own and builds a program against it, by find_package and by pkg-config.
# Arguments: the build tree, whose library and objects serve for both kinds; the compiler; shared or static.
set -euo pipefail
build=$(realpath -- "$1") compiler=$2 kind=$3
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

if [[ $kind == static ]]; then
  # Configured as a user would; the objects are the ones that the shared library is made of.
  cmake -S "$here/../.." -B "$scratch/build" -DCMAKE_CXX_COMPILER="$compiler" -DBUILD_SHARED_LIBS=OFF \
    -DWEIR_TOOLS=OFF -DWEIR_EXAMPLES=OFF -DWEIR_TESTS=OFF -DWEIR_BENCH=OFF
  mkdir -p "$scratch/build/lib"
  find "$build/src/CMakeFiles" -name '*.o' -print0 | xargs -0 ar rcs "$scratch/build/lib/libweir.a"
  build=$scratch/build
elif [[ ! -w $build ]]; then
  echo "skipped: an installation writes its manifest into $build, which this user may not write"
  exit 77
fi
cmake --install "$build" --prefix "$prefix" >/dev/null

cmake -S "$here" -B "$scratch/consumer" -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$scratch/consumer"
[[ $("$scratch/consumer/consumer") == admitted ]]

pc=$(dirname -- "$(find "$prefix" -name weir.pc)")
export PKG_CONFIG_PATH=$pc
[[ $(pkg-config --variable=includedir weir) -ef $prefix/include ]]
# shellcheck disable=SC2046
"$compiler" -std=c++20 "$here/main.cpp" -o "$scratch/by-pkg-config" $(pkg-config --cflags --libs weir)
[[ $(LD_LIBRARY_PATH=$(dirname -- "$pc") "$scratch/by-pkg-config") == admitted ]]
if [[ $kind == static ]] && ldd "$scratch/by-pkg-config" | grep libweir; then
  exit 1
fi
