#!/usr/bin/env bash
# Measures pieces of the data path by themselves, with criterion (docs/performance.md). Arguments are a part of the names of what is to be measured:
# matcher, policy, heads, request, decode, copy. `--smoke` runs each once, in programs that are not optimised, and measures nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

profile=(--profile bench) options=()
if [ "${1:-}" = --smoke ]; then
  profile=(--profile dev) options=(--test)
  shift
fi
# Every crate with a folder `benches`.
packages=(-p heddle-routing -p heddle-http1 -p heddle-filters -p heddle-config -p heddle-hbone)
cargo bench --locked "${profile[@]}" "${packages[@]}" -- "${options[@]}" "$@"
