#!/usr/bin/env bash
# Installs what is missing, builds everything, and runs all tests. Arguments go to ctest: -R '^Rate'.
# The last line is `N passed, N failed`; the exit status is that of ctest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-deps.sh
echo "test: configuring and building in build/release"
cmake --preset release
cmake --build --preset release

report=$(mktemp)
trap 'rm -f "$report"' EXIT
echo "test: running"
status=0
ctest --preset release -j2 --output-on-failure --no-tests=error "$@" 2>&1 | tee "$report" || status=$?

# ctest sums up: "99% tests passed, 1 tests failed out of 120"
read -r failed total < <(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$report" | tail -n 1) ||
  { failed=0 total=0; }
echo "$((total - failed)) passed, $failed failed"
exit "$status"
