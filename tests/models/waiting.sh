#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Searches small configurations of waiting.pml with Spin. The protocol must hold in each; each planted fault must be found.
# Argument: the folder of the model. Exit status 77: Spin or a C compiler is missing.
set -euo pipefail
model=$(realpath -- "$1")/waiting.pml
for program in spin gcc; do
  command -v "$program" >/dev/null && continue
  echo "skipped: no $program here (Debian: spin, gcc)"
  exit 77
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

wrong=0
# search holds|fails|cycles name definitions...: fails by an assertion; "ends" and "cycles" look for circles without progress
search() {
  local wanted=$1 name=$2 found=holds states kind=(-DSAFETY) circles=()
  shift 2
  [[ $wanted != ends && $wanted != cycles ]] || { kind=(-DNP) circles=(-l); }
  spin -a "$@" "$model" >spin.log 2>&1 || { cat spin.log; exit 1; }
  gcc -O0 -w "${kind[@]}" -DCOLLAPSE -DVECTORSZ=2048 -DMEMLIM=3000 -o pan pan.c
  ./pan -E -m100000 "${circles[@]}" >pan.log 2>&1 || true
  states=$(grep -oP '^\s*\K\d+(?= states, stored)' pan.log || true)
  if grep -q 'assertion violated' pan.log; then
    found=fails
  elif grep -q '^pan:1: non-progress cycle' pan.log; then
    found=cycles
  elif ! grep -q 'errors: 0' pan.log || grep -q 'max search depth too small\|not completed' pan.log; then
    found=broken
  elif [[ $wanted == ends ]]; then
    found=ends
  fi
  printf '%-58s %-6s %9s states %4ss\n' "$name" "$found" "$states" "$SECONDS"
  [[ $found == "$wanted" ]] || { echo "  should be: $wanted"; tail -n 40 pan.log; wrong=1; }
}

user=(-DNK=2 -DUSERS=2 -DH0=3 -DN0=3)
heavy=(-DNC=2 -DW0=2)
search holds "two waiters, one permit"
search holds "one kill" -DNW=1 -DFAULTS=1
search holds "a user's permit besides, held for ever" "${user[@]}" -DENDS=0 -DSTAYS=2
search holds "push-out" -DNS=1 -DC1=5
search ends "a weight of 2 beside one of 1" "${heavy[@]}" -DSTAYS=1

search fails "no second look after the gate is open" -DBUG_NO_SECOND_LOOK
search fails "no second look after what it lacks has changed" "${user[@]}" -DENDS=0 -DBUG_NO_LOOK_AFTER_CHANGE
search fails "does not ring on when what it lacks has changed" "${user[@]}" -UH0 -DH0=1 -DSTAYS=2 -DTAKEN=1 -DBUG_NO_PASS_ON
search fails "rings before the cell is free" -DBUG_RING_FIRST
search fails "shuts the gate whatever its epoch" -DBUG_NO_EPOCH
search fails "newcomers ignore the gate" -DBUG_NEWCOMERS_PASS
search fails "admitted, and does not ring the next" -DNC=2 -DHW=2 -DENDS=0 -DBUG_NO_CHAIN
search fails "an undo is silent" "${user[@]}" -UH0 -DH0=0 -DSTAYS=2 -DTAKEN=1 -DBUG_SILENT_UNDO
search fails "one that is cancelled is silent" -DCANCELS=1 -DBUG_SILENT_CANCELLER
search fails "one ring for all that came back" "${user[@]}" -UN0 -DN0=2 -DENDS=0 -DBUG_ONE_RING
search cycles "takes a part without a look" "${heavy[@]}" -DSTAYS=1 -DBUG_CHARGES_BLINDLY
search cycles "asks again one that has answered" "${heavy[@]}" -DSTAYS=1 -DBUG_ASKS_AGAIN
search cycles "marks nobody absent" -DFAULTS=1 -DBUG_NOT_MARKED
exit "$wrong"
