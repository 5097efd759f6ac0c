#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Checks the manual pages and the completion that the build makes: they are well formed, and every option that --help shows
# is in both. Arguments: the build tree. Ends with 77 if there is nothing to check with.
set -euo pipefail
cd -- "$1"

for program in scdoc mandoc; do
  command -v "$program" >/dev/null || { echo "reference: there is no $program (Debian: $program)" >&2; exit 77; }
done

broken=0
fault() {
  echo "$1"
  broken=1
}

for page in man/{shm-inspect,weir-run,weir-replay}.1 man/weir.toml.5; do
  # The empty paragraphs that scdoc itself writes are warnings of mandoc.
  found=$(mandoc -T lint -W error "$page") || fault "$page: $found"
  ! command -v groff >/dev/null || found=$(groff -man -ww -z -T utf8 "$page" 2>&1)
  [[ -z $found ]] || fault "$page: $found"
done

text_of() { mandoc -T ascii -O width=200 "$1" | sed 's/.\x08//g'; }
options_in() { grep -oE -- '--[a-z][a-z0-9-]*' <<<"$1" | sort -u; }

# What bash offers after these words.
offered() { # SCRIPT FUNCTION WORD...
  local script=$1 function=$2
  shift 2
  bash -c 'source "$1"; function=$2; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "$function"; printf "%s\n" "${COMPREPLY[@]}"' \
    offered "$script" "$function" "$@"
}

# Texts are kept, rather than piped into a grep that ends early.
check() { # TOOL [COMMAND]: its options
  local tool=$1 page words option
  shift
  page=$(text_of "man/$tool.1")
  words=$(offered "completions/$tool" "_${tool//-/_}" "$tool" "$@" --)
  for option in $(options_in "$("bin/$tool" "$@" --help | grep -E '^ *(-h,)?--')"); do
    grep -q -- "$option" <<<"$page" || fault "$tool $*: $option is not in the manual page"
    grep -qx -- "$option" <<<"$words" || fault "$tool $*: $option is not in the completion"
  done
}

check weir-run
check weir-replay
check shm-inspect
commands=$(bin/shm-inspect --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[[ $(wc -w <<<"$commands") -ge 16 ]] || fault "--help names only these commands: $commands"
page=$(text_of man/shm-inspect.1)
words=$(offered completions/shm-inspect _shm_inspect shm-inspect "")
for command in $commands; do
  check shm-inspect "$command"
  grep -qE "^ +shm-inspect $command" <<<"$page" || fault "shm-inspect $command is not in the manual page"
  grep -qx "$command" <<<"$words" || fault "shm-inspect $command is not in the completion"
done

page=$(text_of man/weir.toml.5)
for key in $(bin/shm-inspect keys | sed -n 's/^| `\([a-z_]*\)` .*/\1/p' | sort -u); do
  grep -qw -- "$key" <<<"$page" || fault "$key is not in weir.toml(5)"
done
exit "$broken"
