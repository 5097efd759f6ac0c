#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0

# Installs what building and testing weir needs, as far as it is missing. Arguments: further packages.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libboost-dev libboost-context-dev libfmt-dev libgtest-dev libgmock-dev
          libbenchmark-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev relacy-dev spin valgrind
          prometheus python3-prometheus-client scdoc mandoc libncurses-dev tmux
          "$@")

is_installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "install-deps: all ${#packages[@]} packages are there"
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install-deps: there is no apt-get here; install what these Debian packages hold: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: run as root, or install sudo: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install-deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"
