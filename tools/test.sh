#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Installs what is missing, builds everything, and runs all tests. Arguments go to ctest: -R '^Rate'.
# The last line is `N passed, N failed, N skipped`; the exit status is that of ctest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

report=$(mktemp)
clean_up() {
  rm -f "$report"
  # A test that is interrupted or killed cannot remove its segment, which is named after its process.
  local file pid
  for file in /dev/shm/weir.v*.test-*; do
    pid=${file##*.test-} pid=${pid%%-*}
    [[ ! $pid =~ ^[0-9]+$ || -e /proc/$pid ]] || rm -f -- "$file" 2>/dev/null || true
  done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
clean_up

tools/install-deps.sh
echo "test: configuring and building in build/release"
cmake --preset release
cmake --build --preset release

echo "test: running"
status=0
ctest --preset release -j2 --output-on-failure --no-tests=error "$@" 2>&1 | tee "$report" || status=$?

# ctest sums up "99% tests passed, 1 tests failed out of 120", and counts the skipped, which it lists, among the passed.
read -r failed total < <(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$report" | tail -n 1) ||
  { failed=0 total=0; }
skipped=$(grep -cE '^\s+[0-9]+ - .* \((Skipped|Disabled)\)$' "$report" || true)
echo "$((total - failed - skipped)) passed, $failed failed, $skipped skipped"
exit "$status"
