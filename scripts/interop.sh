#!/usr/bin/env bash
# Runs Heddle against programs of others, and its protocol suite: each folder of tests/interop with a run.sh is a part.
# Without an argument all parts run, else the named ones: `scripts/interop.sh xds load`.
# A part prints what it found and ends with 0 if it passed, 3 if something that it needs is missing (it says what), else otherwise.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

parts() {
  local script
  for script in tests/interop/*/run.sh; do
    [ -e "$script" ] && basename "$(dirname "$script")"
  done
}

chosen=("$@")
[ ${#chosen[@]} -gt 0 ] || mapfile -t chosen < <(parts)

summary=()
failed=0
for part in "${chosen[@]}"; do
  script=tests/interop/$part/run.sh
  if [ ! -e "$script" ]; then
    echo "There is no part $part. Parts: $(parts | tr '\n' ' ')"
    exit 2
  fi
  echo "== interop: $part"
  bash "$script"
  case $? in
    0) summary+=("$part: passed") ;;
    3) summary+=("$part: not run in full, something is missing (see above)"); failed=1 ;;
    *) summary+=("$part: FAILED"); failed=1 ;;
  esac
done
echo
printf '%s\n' "${summary[@]}"
exit "$failed"
