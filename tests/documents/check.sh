#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Checks that what our documents refer to is there: the targets of relative links, files of the source tree that are named
# by their path, and each line of the tests that docs/testing.md quotes. Argument: the root of the source tree. Prints
# each broken reference.
set -euo pipefail
cd -- "$1"

broken=0
check() { # document, what it says, path
  compgen -G "$3" >/dev/null && return # a path may be a pattern
  echo "$1: $2: there is no $3"
  broken=1
}

while IFS= read -r document; do
  folder=$(dirname -- "$document")
  text=$(sed '/^```/,/^```/d' "$document") # without code
  while IFS= read -r target; do
    check "$document" "link" "$folder/${target%%#*}"
  done < <(grep -oP '\]\(\K[^)]+' <<<"$text" | grep -vE '^(https?:|mailto:|#)')
  while IFS= read -r path; do
    check "$document" "\`$path\`" "$path"
  done < <(grep -oP '`\K(\.ci|bench|cmake|docs|examples|include|src|tests|tools)/[A-Za-z0-9_./*-]+(?=`)' <<<"$text")
done < <(find . -path ./build -prune -o -name '*.md' -print)

while IFS= read -r line; do
  [[ -z $line ]] || grep -rqxF --include='*_test.cpp' -- "$line" tests && continue
  echo "docs/testing.md quotes a line that is in no test: $line"
  broken=1
done < <(sed -n '/^```cpp$/,/^```$/p' docs/testing.md | grep -v '^```')
exit "$broken"
