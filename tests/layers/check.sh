#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Checks that each layer uses what src/CMakeLists.txt says it LINKS, or what that links, and nothing else: in its
# includes, and in the symbols that its objects need. A layer that is linked must also be used.
# Within a layer, too, files use each other one way only.
# Arguments: the root of the source tree, nm, and a file for each layer, named by it: the layers that it links in the
# first line, then its objects. Prints each use that is not declared, and each declaration that is not used.
set -euo pipefail
root=$1 nm=$2
shift 2

declare -A links uses includes
for file in "$@"; do
  layer=$(basename -- "$file")
  links[$layer]=" $(head -n 1 "$file") "
  includes[$layer]=" $(grep -rhoP '^#include "\K[a-z_]+(?=/)' "$root/src/$layer" | sort -u | tr '\n' ' ')"
  uses[$layer]=${includes[$layer]}
done

wrong=0
complain() {
  echo "$1"
  wrong=1
}

# The layers that one reaches by what it links, itself and the public headers included.
declare -A reach
for layer in "${!links[@]}"; do
  reached=" $layer weir " pending=${links[$layer]}
  while [ -n "${pending// /}" ]; do
    next=""
    for below in $pending; do
      [[ $reached == *" $below "* ]] && continue
      reached+="$below "
      next+="${links[$below]:-}"
    done
    pending=$next
  done
  reach[$layer]=$reached
done

for layer in "${!links[@]}"; do
  for used in ${includes[$layer]}; do
    [[ ${reach[$layer]} == *" $used "* ]] || complain "src/$layer includes \"$used/...\" and does not link weir_$used"
  done
done

# Where each symbol is defined, and which layers need it. An inline function may be defined in several.
symbols=$(for file in "$@"; do
  tail -n +2 "$file" | xargs "$nm" --format=posix |
    awk -v layer="$(basename -- "$file")" 'NF >= 2 && $1 ~ /weir/ { print layer, ($2 == "U" ? "needs" : "has"), $1 }'
done | sort -u)
while read -r layer owners symbol; do
  found=""
  for owner in ${owners//,/ }; do
    [[ ${reach[$layer]} == *" $owner "* ]] && found=$owner
  done
  [ -n "$found" ] || complain "src/$layer needs ${symbol} of src/${owners} and does not link it"
  uses[$layer]+="$found "
done < <(awk '
  $2 == "has" { where[$3] = where[$3] (where[$3] == "" ? "" : ",") $1 }
  $2 == "needs" { needs[++n] = $1 " " $3 }
  END { for (i = 1; i <= n; ++i) { split(needs[i], one); if (where[one[2]] != "") print one[1], where[one[2]], one[2] } }
' <<<"$symbols")

for layer in "${!links[@]}"; do
  for below in ${links[$layer]}; do
    [[ ${uses[$layer]} == *" $below "* ]] || complain "src/$layer links weir_$below and uses nothing of it"
  done
done

# A header and its source are one unit, and no unit uses itself by way of others. tsort names the units of a circle.
circles=$(for tree in src include; do
  (cd "$root/$tree" && grep -roP '^#include "\K[a-z_]+/[a-z_]+(?=\.hpp")' . | sed -E 's|^\./||; s/\.(hpp|cpp):/ /')
done | awk '$1 != $2' | sort -u | { tsort 2>&1 >/dev/null || true; } | sed -nE 's|^tsort: ([a-z_]+/[a-z_]+)$|\1|p')
[ -z "$circles" ] || complain "these files use each other in a circle: ${circles//$'\n'/ }"

# Programs are written with the public headers, as a user's are.
while IFS= read -r line; do
  complain "$line: a program may include \"weir/...\" alone"
done < <(cd "$root" && grep -rnoP '^#include "(?!weir/|common/)[a-z_]+/[^"]*"' tools examples)
while IFS= read -r line; do
  complain "$line: a public header may include \"weir/...\" alone"
done < <(cd "$root" && grep -rnoP '^#include "(?!weir/)[^"]*"' include)
exit "$wrong"
