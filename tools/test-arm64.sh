#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Builds for arm64 on an x86-64 Debian host and runs the test suite in an emulator, layer by layer: on a processor that
# has 16-byte compare-exchange instructions, and the layers that use shared words on one without them, too. Installs
# what is missing. The last line is `N passed, N failed`.
#
# Not a proof of memory order: the emulator's host does not reorder stores as an arm64 processor may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $(dpkg --print-architecture) != arm64 ]] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" dpkg --add-architecture arm64
fi
tools/install-deps.sh g++-aarch64-linux-gnu qemu-user {libfmt,libgtest,libgmock,libtomlplusplus,libxxhash}-dev:arm64 zlib1g-dev:arm64

words=(base primitives users workers limiter binding) # the layers that use shared words
others=(segment policy plan config inspect control http)
echo "test-arm64: configuring and building in build/arm64"
cmake --preset arm64 >/dev/null
cmake --build --preset arm64 --target "${words[@]/%/_test}" "${others[@]/%/_test}" shm-inspect weir-replay weir-run

# What the emulator, QEMU 7.2, accepts and does not do for a forked child.
preload=build/arm64/lib/madvise.so
aarch64-linux-gnu-g++ -std=c++20 -O1 -shared -fPIC tools/arm64/madvise.cpp -o "$preload"

left_out=(
  # A child of a raw clone, which runs no handlers: only a kernel can wipe its pages.
  ProcessTags.DifferInAChildHoweverItWasMade
  Workers.ARawCloneIsNoticedToo
  PidNamespace.IsNotKnownWithoutProcToARawClone
  # The emulator makes up /proc/self/stat, does not hold its program to RLIMIT_AS, and has page faults of its own.
  Evidence.OfAnEndIsNotAFirstThreadThatHasEnded
  Workers.WithoutALastingLockAreStillAliveAfterClosingAllDescriptors
  HostProgram.WithoutAddressSpaceForAllUsersGetsAStandInForFewer
  Segment.OfAGibibyteIsAttachedWithoutTouchingIt
)

passed=0 failed=0
count() { # the report of one program, its exit status
  local ok bad
  ok=$(grep -c '^\[       OK \]' "$1" || true)
  bad=$(grep -c '^\[  FAILED  \] .* ms)$' "$1" || true)
  ((bad > 0 || $2 == 0)) || bad=1 # it died
  passed=$((passed + ok)) failed=$((failed + bad))
}

report=$(mktemp)
trap 'rm -f "$report"' EXIT
run() { # processor, layers...
  local cpu=$1 layer status
  shift
  for layer in "$@"; do
    echo "test-arm64: $layer on $cpu"
    status=0
    GTEST_FILTER="-$(IFS=: && echo "${left_out[*]}")" QEMU_CPU=$cpu \
      timeout 900 qemu-aarch64 -E LD_PRELOAD="$PWD/$preload" "build/arm64/bin/${layer}_test" >"$report" 2>&1 || status=$?
    ((status == 0)) || cat "$report"
    count "$report" "$status"
  done
}
run max "${words[@]}" "${others[@]}"
run cortex-a72 "${words[@]}"

echo "test-arm64: left to arm64 itself:"
printf '  %s\n' "${left_out[@]}"
for file in build/arm64/lib/libweir.so build/arm64/bin/{shm-inspect,weir-replay,weir-run}; do
  if readelf --dyn-syms --wide "$file" | grep -q ' UND __atomic_'; then
    echo "test-arm64: $file calls libatomic, which locks"
    failed=$((failed + 1))
  else
    passed=$((passed + 1))
  fi
done

echo "$passed passed, $failed failed"
((failed == 0))
