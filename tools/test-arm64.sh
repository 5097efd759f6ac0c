#!/usr/bin/env bash
# Builds for arm64 on an x86-64 Debian host and runs the tests of words, primitives, users and limiter in an emulator, as
# a processor with 16-byte compare-exchange instructions and as one without. Installs what is missing.
# The last line is `N passed, N failed`.
#
# Not a proof of memory order: the emulator's host does not reorder stores as an arm64 may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $(dpkg --print-architecture) != arm64 ]] && ! dpkg --print-foreign-architectures | grep -qx arm64; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" dpkg --add-architecture arm64
fi
tools/install-deps.sh g++-aarch64-linux-gnu qemu-user {libfmt,libgtest,libgmock,libtomlplusplus,libxxhash}-dev:arm64 zlib1g-dev:arm64

targets=(base_test primitives_test users_test limiter_test)
echo "test-arm64: configuring and building in build/arm64"
cmake --preset arm64 >/dev/null
cmake --build --preset arm64 --target "${targets[@]}" shm-inspect weir-replay weir-run

# QEMU 7.2 says yes to MADV_WIPEONFORK and wipes nothing: a forked worker takes itself for its parent.
forking=LimiterPermits.OfAParentAreUntouchedByItsChild
forking+=:LimiterPermits.OfAKilledWorkerComeBackToTheNextWhoNeedsThem
forking+=:LimiterPermits.OfAStoppedWorkerStayItsOwn
forking+=:LimiterPermits.AWorkerTableFullOfTheLivingIsAClearErrorAndTheDeadMakeRoom
forking+=:LimiterBreaker.AKilledProberDoesNotKeepItHalfOpen

passed=0 failed=0
count() {  # one program's report, its exit status
  local ok bad
  ok=$(grep -c '^\[       OK \]' "$1" || true)
  bad=$(grep -c '^\[  FAILED  \] .* ms)$' "$1" || true)
  ((bad > 0 || $2 == 0)) || bad=1  # it died
  passed=$((passed + ok)) failed=$((failed + bad))
}

report=$(mktemp)
trap 'rm -f "$report"' EXIT
for cpu in max cortex-a72; do
  for target in "${targets[@]}"; do
    echo "test-arm64: $target on $cpu"
    status=0
    GTEST_FILTER="-$forking" QEMU_CPU=$cpu timeout 600 qemu-aarch64 "build/arm64/bin/$target" >"$report" 2>&1 || status=$?
    ((status == 0)) || cat "$report"
    count "$report" "$status"
  done
done

echo "test-arm64: left to arm64 itself: ${forking//:/ }"
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
